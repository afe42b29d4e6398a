"""Where the prompts of one query part: the longest run of tokens and pictures that all of them begin with.

Every prompt is tokenised whole and then cut between two tokens, so the parts are the whole's own tokens by
construction; a boundary where a tokenizer joins the last shared word to what follows just moves to the left.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from mmrank.mllm.local.drafts import Draft
from mmrank.mllm.local.features import feature_key

Spelling: TypeAlias = tuple[int | str, ...]
"""A prompt as token ids, with the `feature_key` of each picture in the place of its token: equal spellings are equal
to the model, which equal ids alone are not."""

WORTH = 64
"""Tokens that must be saved before a prefix is run by itself: an extra run of the model costs about as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The end of a shared prefix.

    `group`: what the prompts were grouped by. `spelling`: the prefix itself. `length`: its tokens with pictures
    counted in, `pictures`: how many of the prompt's pictures lie in it.
    """

    group: Hashable
    spelling: Spelling
    length: int
    pictures: int


def cuts(
    drafts: Sequence[Draft], *, picture_id: int | None, known: Callable[[Hashable], Cut | None], kept: bool = True
) -> list[Cut | None]:
    """The cut of each draft; None where nothing is gained.

    Grouped by the parts that `Prompt.shared` counts, over roles and answer prefixes alike, for what is compared in the
    end are tokens. `picture_id`: the placeholder's token. `known`: the cut whose prefix has been run for a group.
    `kept`: prefixes outlive the batch, so that a lasting one (`Prompt.lasting`) is worth running for a single prompt.
    """
    groups: dict[Hashable, list[int]] = {}
    for i, draft in enumerate(drafts):
        if draft.prompt.shared and draft.anchors:
            groups.setdefault(tuple(islice(draft.prompt.parts(), draft.prompt.shared)), []).append(i)
    found: list[Cut | None] = [None] * len(drafts)
    for group, members in groups.items():
        spelt = {i: _spelling(drafts[i], picture_id) for i in members}
        old = known(group)
        if old is not None:
            size = len(old.spelling)
            for i in [i for i in members if spelt[i][:size] == old.spelling and len(spelt[i]) > size]:
                found[i] = old
                del spelt[i]
        saved = len(spelt) if kept and drafts[members[0]].prompt.lasting else len(spelt) - 1
        if saved > 0:
            new = _longest(group, [drafts[i] for i in spelt], list(spelt.values()))
            if new.length * saved >= WORTH:
                found = [new if i in spelt else cut for i, cut in enumerate(found)]
    return found


def _spelling(draft: Draft, picture_id: int | None) -> Spelling:
    pictures = iter(draft.prompt.pictures)
    return tuple(feature_key(next(pictures)) if i == picture_id else i for i in draft.ids)


def _longest(group: Hashable, drafts: Sequence[Draft], spelt: Sequence[Spelling]) -> Cut:
    """The cut after all tokens that begin within the shared parts and are the same; one at least is left behind it."""
    ends = [bisect_left(d.anchors, d.spans[d.prompt.shared - 1][1]) for d in drafts]
    size = min(*ends, *(len(one) - 1 for one in spelt))
    first = spelt[0]
    for other in spelt[1:]:
        size = next((at for at in range(size) if first[at] != other[at]), size)
    spelling = first[:size]
    pictures = sum(isinstance(one, str) for one in spelling)
    length = size - pictures + sum(drafts[0].visual[:pictures])
    return Cut(group=group, spelling=spelling, length=length, pictures=pictures)
