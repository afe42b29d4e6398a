"""Hits folded behind others: what grouping and near-duplicates share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmrank.errors import UsageError
from mmrank.types import Folded, Hit


def fold(hits: Sequence[Hit], owners: Sequence[int | None], by: str) -> list[Hit]:
    """The leading hits in order, each with those that it owns in its `folded`, best first.

    `owners`: for each hit the position of the one that leads it, its own for a leader; None: it is left out.
    """
    behind: dict[int, list[Folded]] = {}
    for position, owner in enumerate(owners):
        if owner is None:
            continue
        mine = behind.setdefault(owner, [])
        if owner != position:
            mine.append(Folded(hit=hits[position], by=by))
    return [replace(hits[p], folded=(*hits[p].folded, *mine)) if mine else hits[p] for p, mine in behind.items()]


def folded_note(before: int, owners: Sequence[int | None]) -> str:
    """What the record says of a folding.

    >>> folded_note(6, [0, 1, 0, 3, None, 1])
    '2 hits folded behind 2 others; 6 looked at.'
    """
    pairs = [owner for position, owner in enumerate(owners) if owner is not None and owner != position]
    if not pairs:
        return f"Nothing to fold; {before} looked at."
    hits = "1 hit" if len(pairs) == 1 else f"{len(pairs)} hits"
    leading = len(set(pairs))
    others = "1 other" if leading == 1 else f"{leading} others"
    return f"{hits} folded behind {others}; {before} looked at."


def check_distinct(distinct: bool | float | None) -> None:
    """Raise `UsageError` for what is neither a switch nor a cosine."""
    if distinct is None or isinstance(distinct, bool):
        return
    if not isinstance(distinct, int | float) or not -1 <= distinct <= 1:
        raise UsageError(
            f"distinct is {distinct!r}; it must be True (near-identical pictures), or a cosine from -1 to 1 from which "
            "two hits of a kind count as one."
        )
