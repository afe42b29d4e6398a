"""Filling the slots of a prompt template: words and parts in, message parts out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mmrank.mllm.prompt import Part, TextPart
from mmrank.prompts.slots import split_slots

Value: TypeAlias = str | Sequence[Part]
"""What a slot stands for: a few words of mmrank's own, or parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A filled template. `shared`: how many leading parts do not depend on a slot of `moving`."""

    parts: tuple[Part, ...]
    shared: int


def fill(template: str, values: Mapping[str, Value], *, moving: Collection[str] = ()) -> Filled:
    """Put values into a template. Words next to each other become one part; a slot that stands for parts splits them.

    `moving`: names of slots whose value differs between the prompts of one query.

    >>> fill("Of {count}: {query}!", {"count": "3", "query": [TextPart(text="cats", data=True)]}).parts[0].text
    'Of 3: '
    """
    parts: list[Part] = []
    shared, fixed = 0, True
    words, words_fixed = "", True

    def take(new: Sequence[Part], same: bool) -> None:
        nonlocal shared, fixed
        parts.extend(new)
        fixed = fixed and same
        if fixed:
            shared = len(parts)

    for literal, name in split_slots(template):
        words += literal
        if name is None:
            continue
        value = values[name]
        if isinstance(value, str):
            words += value
            words_fixed = words_fixed and name not in moving
            continue
        if words:
            take([TextPart(text=words)], words_fixed)
        words, words_fixed = "", True
        take(value, name not in moving)
    if words:
        take([TextPart(text=words)], words_fixed)
    return Filled(parts=tuple(parts), shared=shared)
