"""What stands behind a hit, in words: "3 more spans: 0:10, 0:45, 1:20", "2 alike: copy.jpg, small.jpg"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmrank.cli.places import name_and_place
from mmrank.types import Folded, Hit, Item

PARTS = {"page": ("page", "pages"), "video": ("span", "spans"), "text": ("part", "parts"), "image": ("image", "images")}
"""What parts of one whole are called, by kind."""

SHOWN = 6
"""Parts that are named; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The hits of one sort behind another: how they are announced, and each with its name, best first."""

    announced: str
    named: Sequence[tuple[Item, str]]
    left: int

    def __str__(self) -> str:
        more = [f"{self.left} more"] if self.left else []
        return f"{self.announced}: {', '.join([*(name for _, name in self.named), *more])}"


def behind(hit: Hit) -> list[Behind]:
    """What stands behind a hit, near-identical ones first; nothing for a hit that stands for itself.

    >>> spans = [Item(id=f"a#{t}", kind="video", uri=f"a.mp4#t={t},{t + 10}", parent="a") for t in (0, 10, 45)]
    >>> rest = tuple(Folded(hit=Hit(item=span, score=1.0), by="parent") for span in spans[1:])
    >>> [str(one) for one in behind(Hit(item=spans[0], score=1.0, folded=rest))]
    ['2 more spans: 0:10, 0:45']
    """
    sorts: dict[tuple[bool, str], list[Folded]] = {}
    for folded in hit.folded:
        alike = folded.by == "distinct"
        sorts.setdefault((not alike, "" if alike else folded.hit.item.kind), []).append(folded)
    return [_behind(hit.item, members, alike=not other) for (other, _), members in sorted(sorts.items())]


def _behind(leading: Item, members: Sequence[Folded], *, alike: bool) -> Behind:
    count, items = len(members), [folded.hit.item for folded in members]
    if alike:
        announced = f"{count:,} alike"
    else:
        one, many = PARTS[items[0].kind]
        announced = f"{count:,} more {one if count == 1 else many}"
    named = [(item, _short(leading, item)) for item in items[:SHOWN]]
    return Behind(announced, named, count - len(named))


def _short(leading: Item, item: Item) -> str:
    """The place alone where both are in one file, and of a span only where it begins."""
    (file, _), (name, place) = name_and_place(leading), name_and_place(item)
    if not place or item.parent is None or item.parent != leading.parent or name != file:
        return f"{name} {place}".strip()
    return place.partition(" to ")[0].removeprefix("page ").removeprefix("part ")


def folded_json(hit: Hit) -> list[dict[str, Any]]:
    """The hits behind another for JSON; `rank` is where each stood before it was folded."""
    return [
        {
            "id": one.hit.id,
            "kind": one.hit.item.kind,
            "uri": one.hit.item.uri,
            "score": one.hit.score,
            "rank": one.hit.rank,
            "by": one.by,
            **({"folded": folded_json(one.hit)} if one.hit.folded else {}),
        }
        for one in hit.folded
    ]
