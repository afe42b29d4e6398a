"""What a checkpoint's chat template writes around the parts of a prompt, found without showing it their content.

The template is run once for each shape of conversation, with a mark in the place of every text. So a stranger's words
cannot steer it (Qwen3's template looks for ``<tool_response>`` in them), the place of every part in the final text is
known exactly, and Jinja is not run again for each of a thousand prompts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mmrank.errors import MllmError
from mmrank.hub import first_line

PartKind: TypeAlias = Literal["text", "picture"]
Shape: TypeAlias = tuple[tuple[str, tuple[PartKind, ...]], ...]
"""Of a conversation: the role of each message and the kinds of its parts."""

Render: TypeAlias = Callable[[list[dict[str, Any]]], str]
"""Messages in transformers' form -> the text the chat template makes of them, with the generation prompt."""

_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_PAD = "\u2003"
"""White space no template writes: where it is gone, the template trims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """`literals[i]` stands before part i, the last one behind the last part; one more than there are parts.

    `trims`: for each part, whether the template takes white space off its left and its right end. The place of a
    picture is its placeholder token, which is not in the literals.
    """

    literals: tuple[str, ...]
    trims: tuple[tuple[bool, bool], ...]


def skeleton(shape: Shape, render: Render, *, picture_token: str | None) -> Skeleton:
    """The skeleton of a conversation of this shape.

    `picture_token`: the placeholder of one picture; None for a model of text alone, whose template is given each
    message as one string. A template that moves pictures away from their place (LLaVA-OneVision's writes all of them
    first) is given their placeholders as text instead, as such models were trained on interleaved input.
    Raises `MllmError` when the template refuses the messages or leaves a part out.
    """
    kinds = [kind for _, parts in shape for kind in parts]
    if picture_token is None:
        return _read(_written(render, shape, as_string=True), kinds, {})
    if "picture" in kinds:
        text = _written(render, shape, pictures=True)
        if _order(text, picture_token) == kinds:
            return _read(text, kinds, {"picture": picture_token})
        found = _read(_written(render, shape, merged=True), kinds, {})
        return _with_wrapping(found, kinds, _around_picture(render, picture_token))
    return _read(_written(render, shape), kinds, {})


def _written(
    render: Render, shape: Shape, *, pictures: bool = False, merged: bool = False, as_string: bool = False
) -> str:
    """What the template writes. `pictures`: as pictures, else as text; `merged`: one text a message."""
    messages: list[dict[str, Any]] = []
    number = 0
    for role, parts in shape:
        content: list[dict[str, Any]] = []
        for kind in parts:
            mark = f"{_PAD}{_OPEN}{number}{_CLOSE}{_PAD}"
            content.append({"type": "image"} if pictures and kind == "picture" else {"type": "text", "text": mark})
            number += 1
        if merged or as_string:
            joined = "".join(part["text"] for part in content)
            messages.append({"role": role, "content": joined if as_string else [{"type": "text", "text": joined}]})
        else:
            messages.append({"role": role, "content": content})
    try:
        return render(messages)
    # The template is the checkpoint's own program (Jinja): it may raise anything, and often does on purpose.
    except Exception as error:
        roles = ", ".join(role for role, _ in shape)
        raise MllmError(
            f"The model's chat template refuses a conversation of the roles {roles} ({first_line(error)}). "
            "Use a prompt without the role it does not know, or pass chat_template= with a template that takes it."
        ) from error


def _order(text: str, picture_token: str) -> list[PartKind]:
    found = re.finditer(f"{_MARK.pattern}|{re.escape(picture_token)}", text)
    return ["picture" if match.group() == picture_token else "text" for match in found]


def _read(text: str, kinds: Sequence[PartKind], tokens: dict[str, str]) -> Skeleton:
    """Take the rendered text apart at its marks (and at the pictures' token, when it stands for them)."""
    pattern = _MARK.pattern
    if tokens:
        pattern += "|" + re.escape(tokens["picture"])
    places = list(re.finditer(pattern, text))
    numbers = [int(m.group(1)) for m in places if m.group(1) is not None]
    expected = [i for i, kind in enumerate(kinds) if kind == "text" or not tokens]
    if numbers != expected or len(places) != len(kinds):
        raise MllmError(
            f"The model's chat template does not keep the parts of a message: it was given {len(kinds)} and wrote "
            f"{len(places)} of them, or in another order. Pass chat_template= with one that writes each part once."
        )
    literals, trims, at = [], [], 0
    for place in places:
        is_mark = place.group(1) is not None
        left, right = place.start(), place.end()
        has_left = is_mark and text[left - 1 : left] == _PAD
        has_right = is_mark and text[right : right + 1] == _PAD
        literals.append(text[at : left - has_left])
        trims.append((is_mark and not has_left, is_mark and not has_right))
        at = right + has_right
    return Skeleton(literals=(*literals, text[at:]), trims=tuple(trims))


def _around_picture(render: Render, picture_token: str) -> tuple[str, str]:
    """What the template puts before and behind a picture's placeholder, such as ``<|vision_start|>``."""
    alone: Shape = (("user", ("picture",)),)
    with_picture = _written(render, alone, pictures=True)
    with_text = _written(render, alone).replace(_PAD, "")
    token = with_picture.find(picture_token)
    if token < 0:
        raise MllmError(
            f"The model's chat template does not write {picture_token} for a picture. "
            "Pass chat_template= with one that does."
        )
    before, behind = with_picture[:token], with_picture[token + len(picture_token) :]
    mark = _MARK.search(with_text)
    assert mark is not None
    head, tail = with_text[: mark.start()], with_text[mark.end() :]
    shared_head = len(_common_prefix(before, head))
    shared_tail = len(_common_prefix(behind[::-1], tail[::-1]))
    return before[shared_head:], behind[: len(behind) - shared_tail]


def _common_prefix(a: str, b: str) -> str:
    size = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[:size]


def _with_wrapping(found: Skeleton, kinds: Sequence[PartKind], around: tuple[str, str]) -> Skeleton:
    literals = list(found.literals)
    for i, kind in enumerate(kinds):
        if kind == "picture":
            literals[i] += around[0]
            literals[i + 1] = around[1] + literals[i + 1]
    trims = tuple((False, False) if kind == "picture" else trim for kind, trim in zip(kinds, found.trims, strict=True))
    return Skeleton(literals=tuple(literals), trims=trims)
