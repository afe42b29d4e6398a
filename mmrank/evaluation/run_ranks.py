"""Ranks of relevant items in a Run: its order is trusted, a hit's place is its rank.

Queries are worked on in blocks. Within a block, hits are looked up in small dense tables (queries of the block times
the items that matter to them), so that time grows with the hits and memory with the block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import Floats, Ints
from mmrank.evaluation.ranks import Ranks
from mmrank.evaluation.relations import Related, Scope
from mmrank.run import Run

Codes: TypeAlias = npt.NDArray[np.int32]

BLOCK_HITS = 1 << 19
"""Hits that are worked on at once, unless one query has more."""

BLOCK_QUERIES = 1024

TABLE_CELLS = 1 << 24
"""The most cells of a look-up table, unless one query alone needs more."""

NOWHERE = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """A Run in a Task's terms.

    `rows`: int64 (queries,), where a query of the task stands in the Run, -1 when it does not. `items`: int64 (items of
    the run,), the gallery's position of each, -1 when it is not there (then it is taken out of the lists).
    """

    run: Run
    rows: Ints
    items: Ints
    gallery: int

    @classmethod
    def of(cls, run: Run, query: Mapping[str, int], item: Mapping[str, int]) -> Placed:
        rows = np.full(len(query), -1, dtype=np.int64)
        for row, name in enumerate(run.query_ids):
            if name in query:
                rows[query[name]] = row
        items = np.array([item.get(name, -1) for name in run.items], dtype=np.int64)
        return cls(run=run, rows=rows, items=items, gallery=len(item))

    @property
    def lengths(self) -> Ints:
        """Hits of each query of the task; shape (queries,)."""
        found = np.append(np.diff(self.run.offsets), 0)
        return np.where(self.rows >= 0, found[self.rows], 0).astype(np.int64)

    def hits(self, first: int, last: int) -> tuple[Ints, Codes]:
        """Queries `first` up to `last`, their hits in order: each one's query (from 0) and its code in the Run."""
        lengths = self.lengths[first:last]
        rows = self.rows[first:last]
        query = np.repeat(np.arange(last - first, dtype=np.int64), lengths)
        starts = np.where(rows >= 0, np.append(self.run.offsets[:-1], 0)[rows], 0)
        ends = starts + lengths
        if (starts[1:] == ends[:-1]).all():  # one behind the other in the Run too
            return query, self.run.codes[starts[0] : ends[-1]]
        at = np.arange(len(query)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        return query, self.run.codes[at]

    def blocks(self, *related: Related | None) -> Iterator[tuple[int, int]]:
        """Spans of queries that are small enough, in hits and in what is related to them."""
        before = np.concatenate([[0], np.cumsum(self.lengths)])
        offsets = [each.offsets for each in related if each is not None]
        first, queries = 0, len(self.rows)
        while first < queries:
            last = int(np.searchsorted(before, before[first] + BLOCK_HITS, side="right")) - 1
            last = min(max(last, first + 1), first + BLOCK_QUERIES, queries)
            while last > first + 1 and any(
                (last - first) * min(int(o[last] - o[first]), self.gallery) > TABLE_CELLS for o in offsets
            ):
                last = first + (last - first) // 2
            yield first, last
            first = last


def ranks_in_run(placed: Placed, relevant: Related, gains: Floats, scope: Scope) -> tuple[Ranks, Ints]:
    """Ranks of `relevant` items among what counts in the lists, and how many that is, int64 (queries,)."""
    values = np.full(len(relevant.codes), np.inf)
    counted = np.zeros(len(placed.rows), dtype=np.int64)
    for first, last in placed.blocks(relevant, scope.excluded, scope.among):
        query, code = placed.hits(first, last)
        lengths = placed.lengths[first:last]
        kept = _kept(placed, query, code, (first, last), scope)
        if kept is not None:
            query, code = query[kept], code[kept]
            lengths = np.bincount(query, minlength=last - first)
        counted[first:last] = lengths
        hit, pair = _meet(placed, query, code, relevant.part(first, last))
        starts = (np.cumsum(lengths) - lengths)[query[hit]]
        values[relevant.offsets[first] + pair] = hit - starts + 1
    return Ranks.of(relevant.counts, values, gains), counted


def group_ranks_in_run(placed: Placed, groups: Ints, relevant: Related, gains: Floats, scope: Scope) -> Ranks:
    """Ranks of groups of items, each where its best item stands. `relevant`: groups, not items."""
    values = np.full(len(relevant.codes), np.inf)
    number = int(groups.max(initial=-1)) + 1
    for begin, end in placed.blocks(scope.excluded, scope.among):
        for first, last in _steps(begin, end, max(1, TABLE_CELLS // max(number, 1))):
            query, code = placed.hits(first, last)
            kept = _kept(placed, query, code, (first, last), scope)
            if kept is not None:
                query, code = query[kept], code[kept]
            group = groups[placed.items][code]  # no code of an item that is not there is left
            flat = np.full((last - first) * number, NOWHERE, dtype=np.int64)
            np.minimum.at(flat, query * number + group, np.arange(len(query)))
            best = flat.reshape(last - first, number)
            part = relevant.part(first, last)
            own = best[part.queries, part.codes]
            better = (best[part.queries] < own[:, None]).sum(axis=1) + 1.0
            values[relevant.offsets[first] : relevant.offsets[last]] = np.where(own < NOWHERE, better, np.inf)
    return Ranks.of(relevant.counts, values, gains)


def _steps(begin: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    for first in range(begin, end, size):
        yield first, min(first + size, end)


def _kept(
    placed: Placed, query: Ints, code: Codes, span: tuple[int, int], scope: Scope
) -> npt.NDArray[np.bool_] | None:
    """Which hits of a block count; None: all of them."""
    out = scope.excluded.part(*span)
    strange = bool((placed.items < 0).any())
    if scope.among is None and not len(out.codes) and not strange:
        return None
    kept = (placed.items >= 0)[code] if strange else np.ones(len(code), dtype=bool)
    if scope.among is not None:
        inside = ~scope.limited[span[0] : span[1]][query]
        inside[_meet(placed, query, code, scope.among.part(*span))[0]] = True
        kept &= inside
    kept[_meet(placed, query, code, out)[0]] = False
    return kept


def _meet(placed: Placed, query: Ints, code: Codes, related: Related) -> tuple[Ints, Ints]:
    """Hits whose item is related to their query, as (positions of hits, positions of pairs)."""
    names, column = np.unique(related.codes, return_inverse=True)
    width = len(names) + 1
    narrow = np.zeros(placed.gallery + 1, dtype=np.int64)  # the last one is for items that are not there (-1)
    narrow[names] = np.arange(1, width)
    table = np.zeros((len(related.offsets) - 1, width), dtype=np.int32)
    table[related.queries, column + 1] = np.arange(1, len(related.codes) + 1)
    at = narrow[placed.items][code]
    at += query * width
    found = table.ravel()[at]
    hit = np.flatnonzero(found)
    return hit, found[hit].astype(np.int64) - 1
