"""One hit for each group, the others folded behind it: spans of one video, pages of one PDF, rows of one product.

Folding is not reordering: what is folded leaves the Ranking and stands in `hit.folded` of the hit that leads its group,
and the record says how many there are. `hit.sources` is something else: the lists that one Item came from.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from mmrank.errors import UsageError
from mmrank.folding import fold, folded_note
from mmrank.pipeline import Stage
from mmrank.types import Cost, Item, Ranking, Record

PARENT = "parent"


def key_of(item: Item, by: str) -> Hashable:
    """What an Item is grouped by, None for one that stands for itself.

    With "parent" the whole counts to its own parts: a PDF that was added as an Item too is in the group of its pages.

    >>> key_of(Item(id="a.mp4#t=0,10", kind="video", parent="a.mp4"), "parent")
    'a.mp4'
    >>> key_of(Item(id="a", kind="image", meta={"shop": "north"}), "shop")
    'north'
    """
    return (item.parent or item.id) if by == PARENT else item.meta.get(by)


def owners_by_key(keys: Sequence[Hashable], k: int | None = None) -> list[int | None]:
    """For each position the position that leads its group: the first with its key; a None leads itself.

    `k`: only the first k groups are made; what belongs to none of them has the owner None.

    >>> owners_by_key(["a", "b", "a", None, "c", "b"], k=3)
    [0, 1, 0, 3, None, 1]
    """
    first: dict[Hashable, int] = {}
    owners: list[int | None] = []
    groups = 0
    for position, key in enumerate(keys):
        owner = None if key is None else first.get(key)
        if owner is None and (k is None or groups < k):
            owner, groups = position, groups + 1
            if key is not None:
                first[key] = position
        owners.append(owner)
    return owners


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBy(Stage):
    """A Stage that leaves one hit of each group; see `group_by`."""

    by: str = PARENT

    def __post_init__(self) -> None:
        if not isinstance(self.by, str) or not self.by:
            raise UsageError(f"group_by is {self.by!r}; give 'parent' or the name of a metadata column.")

    @property
    def name(self) -> str:
        return f"group_by({self.by})"

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        return [self.folded(ranking) for ranking in rankings]

    def folded(self, ranking: Ranking, k: int | None = None) -> Ranking:
        """One Ranking, folded; `k`: only its first k groups."""
        start = time.perf_counter()
        owners = owners_by_key([key_of(hit.item, self.by) for hit in ranking.hits], k)
        note = folded_note(len(ranking), owners)
        record = Record(stage=self.name, note=note, cost=Cost(seconds=time.perf_counter() - start))
        return ranking.with_hits(fold(ranking.hits, owners, self.by), record)

    def __repr__(self) -> str:
        return f"group_by({self.by!r})"


def group_by(by: str = PARENT) -> GroupBy:
    """A Stage: one hit for each video or PDF ("parent"), or for each value of a metadata column.

    The best hit of a group leads; the others stand in its `folded`, best first, with the rank they had. Hits without a
    parent (or without a value in the column) stand for themselves. It folds what it is given: for k whole groups
    whatever there is to find, search with ``index.search(..., group_by="parent")``.

    >>> from mmrank.types import Hit, Query
    >>> spans = [Item(id=f"a.mp4#t={t}", kind="video", parent="a.mp4") for t in (30, 10)]
    >>> hits = [Hit(item=item, score=1.0) for item in (spans[0], Item(id="b", kind="image"), spans[1])]
    >>> (folded,) = group_by("parent").process([Ranking(query=Query(text="q"), hits=hits)])
    >>> folded.ids, [behind.hit.id for behind in folded.hits[0].folded]
    (('a.mp4#t=30', 'b'), ['a.mp4#t=10'])
    >>> folded.records[0].note
    '1 hit folded behind 1 other; 3 looked at.'
    """
    return GroupBy(by=by)
