"""Searching on until k hits are left after folding: nobody gets a short list because one video filled it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from mmrank.duplicates import Distinct, Looks
from mmrank.errors import UsageError
from mmrank.group import PARENT, GroupBy, key_of, owners_by_key
from mmrank.index.schema import OWN_COLUMNS
from mmrank.types import Cost, Ranking

if TYPE_CHECKING:
    from mmrank.index.options import SearchOptions

FIRST = 4
"""The first list is this many times as long as the k wanted, and so is each list after it than the one before: one
search is enough where a group has four members, and three reach 64 times k."""

Lister: TypeAlias = Callable[[Sequence[int], int], Mapping[int, Ranking]]
"""Which queries, by number, and how many hits: the best so many of each."""


def check_group_by(by: str | None, columns: Iterable[str]) -> None:
    """Raise `UsageError` for a name that no Item of the index is grouped by. `columns`: those an Item is made of."""
    known = [PARENT, *(column for column in columns if column not in OWN_COLUMNS)]
    if by is not None and by not in known:
        raise UsageError(f"group_by is {by!r}, which is no metadata column of this index; it has {', '.join(known)}.")


def deepened(lister: Lister, asked: Iterable[int], k: int, options: SearchOptions, looks: Looks) -> dict[int, Ranking]:
    """For each query its first k groups, or distinct hits, or both; fewer only when there are no more.

    A list is read deeper, for the queries that need it alone, until k are full or the list has come to its end. So the
    answer to a query does not depend on the others. What is folded behind a hit was found within that depth; the record
    says how many hits that were.
    """
    done: dict[int, Ranking] = {}
    spent: dict[int, float] = dict.fromkeys(asked, 0.0)
    depth = FIRST * k
    while spent:
        lists = lister([*spent], depth)
        for number, found in lists.items():
            start = time.perf_counter()
            folded, full = _folded(found, k, options, looks)
            seconds = time.perf_counter() - start
            if full or len(found) < depth:
                done[number] = _with_seconds(folded, spent.pop(number))
            else:
                spent[number] += found.cost.seconds + seconds
        depth *= FIRST
    return done


def _folded(found: Ranking, k: int, options: SearchOptions, looks: Looks) -> tuple[Ranking, bool]:
    """The list folded, and whether it has k of what was asked for."""
    folded = found
    if options.distinct is not None and options.distinct is not False:
        stage = Distinct(source=looks, threshold=None if options.distinct is True else options.distinct)
        folded = stage.folded(found, None if options.group_by else k)
    if options.group_by is None:
        return folded, len(folded) >= k
    if options.parts:
        owners = owners_by_key([key_of(hit.item, options.group_by) for hit in folded])
        return folded, sum(owner == position for position, owner in enumerate(owners)) >= k
    folded = GroupBy(by=options.group_by).folded(folded, k)
    return folded, len(folded) >= k


def _with_seconds(ranking: Ranking, seconds: float) -> Ranking:
    """The Ranking with the time of earlier, shorter lists on its last record."""
    *before, last = ranking.records
    last = replace(last, cost=last.cost + Cost(seconds=seconds))
    return Ranking(query=ranking.query, hits=ranking.hits, records=(*before, last))
