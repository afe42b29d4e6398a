"""Lists of many queries as columns, side by side: what fusing and kinship work on.

Every query's hits of all lists meet in *cells*, one per (query, item), ordered by query and then by item id. A value
per list and cell is then one table, and a thousand queries are fused by the arithmetic of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import Floats, Ints, Table, ranks_of, reduce_lists
from mmrank.errors import UsageError
from mmrank.fusion_rule import FusionRule
from mmrank.run import Run
from mmrank.types import Ranking

Lists: TypeAlias = "Run | Sequence[Ranking]"
"""One retriever's answers to many queries."""

BLOCK_HITS = 1 << 17
"""Hits of all lists that are worked on at once, unless one query has more: a few MB, which also suits the caches."""

SPARSE = 8
"""From this many possible cells per hit on, finding the distinct ones by sorting is cheaper than by marking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """One list for each of some queries, one behind the other.

    `lengths`: int64 (queries,). `codes`: int64 (hits,), best first within each query. `scores`: float64 (hits,), not
    rising within a query.
    """

    lengths: Ints
    codes: Ints
    scores: Floats

    def part(self, first: int, last: int) -> Columns:
        """Queries `first` up to `last`."""
        start, length = int(self.lengths[:first].sum()), int(self.lengths[first:last].sum())
        rows = slice(start, start + length)
        return Columns(lengths=self.lengths[first:last], codes=self.codes[rows], scores=self.scores[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Lists side by side.

    `lengths`: int64 (queries,), cells of each query. `codes`: int64 (cells,), rising within a query. `values`:
    float64 (lists, cells), a list's floor where it does not have the item; `present`: bool, same shape.
    `best`: float64 (cells,), the item's best rank over the lists.
    """

    lengths: Ints
    codes: Ints
    values: Table
    present: npt.NDArray[np.bool_]
    best: Floats

    def best_first(self, fused: Floats) -> Ints:
        """The cells of each query by fused score, highest first. Ties: the better best rank, then the id.

        The rule is symmetric in the lists, so their order never decides; nor does the order of the items in a matrix.
        """
        order = np.empty(len(fused), dtype=np.int64)
        ends = np.cumsum(self.lengths)
        down = -fused
        for start, end in zip((ends - self.lengths).tolist(), ends.tolist(), strict=True):
            order[start:end] = np.argsort(down[start:end]) + start
        self._decide_ties(order, fused[order])
        return order

    def _decide_ties(self, order: Ints, scores: Floats) -> None:
        """Put cells of one query with equal scores in their order. Cells are numbered by id within a query."""
        if not len(order):
            return
        begins = np.ones(len(order), dtype=bool)
        begins[1:] = scores[1:] != scores[:-1]
        begins[(np.cumsum(self.lengths) - self.lengths)[self.lengths > 0]] = True
        lonely = begins & np.append(begins[1:], True)
        tied = np.flatnonzero(~lonely)
        cells = order[tied]
        order[tied] = cells[np.lexsort((cells, self.best[cells], np.cumsum(begins)[tied]))]


def aligned(lists: Sequence[Columns], items: int, rule: FusionRule) -> Aligned:
    """`lists` of the same queries side by side, with the values `rule` gives their hits. `items`: how many codes."""
    queries = len(lists[0].lengths)
    keys = [np.repeat(np.arange(queries, dtype=np.int64) * items, part.lengths) + part.codes for part in lists]
    cells, places = _distinct(keys, queries * items)
    ends = np.searchsorted(cells, np.arange(1, queries + 1, dtype=np.int64) * items)
    lengths = np.diff(ends, prepend=0).astype(np.int64)
    values = np.zeros((len(lists), len(cells)))
    present = np.zeros(values.shape, dtype=bool)
    best = np.full(len(cells), np.inf)
    for row, (part, place) in enumerate(zip(lists, places, strict=True)):
        valued = rule.valued(part.scores, part.lengths, lengths)
        if valued.floors.any():
            values[row] = np.repeat(valued.floors, lengths)
        values[row, place] = valued.values
        present[row, place] = True
        best[place] = np.minimum(best[place], ranks_of(part.lengths))
    codes = cells - np.repeat(np.arange(queries, dtype=np.int64) * items, lengths)
    return Aligned(lengths=lengths, codes=codes, values=values, present=present, best=best)


def _distinct(keys: Sequence[Ints], space: int) -> tuple[Ints, list[Ints]]:
    """The distinct keys (from 0, below `space`) in rising order, and where each list's keys stand among them."""
    if space <= SPARSE * sum(map(len, keys)):
        seen = np.zeros(space, dtype=bool)
        for key in keys:
            seen[key] = True
        cells = np.flatnonzero(seen).astype(np.int64, copy=False)
        place = np.cumsum(seen, dtype=np.int64) - 1
        return cells, [place[key] for key in keys]
    cells, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    return cells, np.split(inverse.astype(np.int64, copy=False), np.cumsum([len(key) for key in keys])[:-1])


def blocks(lists: Sequence[Columns]) -> Iterator[list[Columns]]:
    """The same queries of every list, as many at a time as `BLOCK_HITS` allows, at least one."""
    hits = np.sum([part.lengths for part in lists], axis=0)
    first = 0
    while first < len(hits):
        last = first + max(1, int(np.searchsorted(np.cumsum(hits[first:]), BLOCK_HITS, side="right")))
        yield [part.part(first, last) for part in lists]
        first = last


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Several Runs over the queries of all of them. `items`: every item id, sorted; codes point into it."""

    query_ids: tuple[str, ...]
    items: tuple[str, ...]
    lists: tuple[Columns, ...]


def gather(lists: Sequence[Lists]) -> Gathered:
    """Several retrievers' answers as columns over the same queries and items.

    A query that a Run does not have is an empty list there. Raises `UsageError` when there is no Run, or when one of
    them shares no query with the others.
    """
    runs = [part if isinstance(part, Run) else run_of(part) for part in lists]
    if not runs:
        raise UsageError("No Run was given; fusing needs at least one.")
    query_ids = tuple(dict.fromkeys(query_id for run in runs for query_id in run.query_ids))
    _shared(runs)
    items = tuple(sorted({item for run in runs for item in run.items}))
    code = {item: position for position, item in enumerate(items)}
    return Gathered(query_ids=query_ids, items=items, lists=tuple(_columns(run, query_ids, code) for run in runs))


def _shared(runs: Sequence[Run]) -> None:
    for position, run in enumerate(runs):
        others = {query_id for other in runs if other is not run for query_id in other.query_ids}
        if run.query_ids and others and others.isdisjoint(run.query_ids):
            raise UsageError(
                f"Run {position} ({run.name!r}) shares no query with the others: its first is {run.query_ids[0]!r}, "
                f"theirs {min(others)!r}. Give Runs of the same queries, with the same ids."
            )


def _columns(run: Run, query_ids: Sequence[str], code: dict[str, int]) -> Columns:
    codes = np.array([code[item] for item in run.items], dtype=np.int64)
    of_query = np.diff(run.offsets)
    if run.query_ids == query_ids:
        lengths, rows = of_query, np.arange(int(run.offsets[0]), int(run.offsets[-1]))
    else:
        at = {query_id: position for position, query_id in enumerate(run.query_ids)}
        where = np.array([at.get(query_id, -1) for query_id in query_ids], dtype=np.int64)
        known = np.maximum(where, 0)
        lengths = np.where(where >= 0, np.append(of_query, 0)[known], 0)
        starts = np.append(run.offsets[:-1], 0)[known]
        rows = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    return Columns(lengths=lengths, codes=codes[run.codes[rows]], scores=in_order(run.scores[rows], lengths))


def in_order(scores: Floats, lengths: Ints) -> Floats:
    """`scores` where they agree with the order of their list; elsewhere the ranks stand in for them: n, n-1, ..., 1.

    Order is the truth. Scores that rise down the list (a reranker's head before a retriever's tail) or are not finite
    do not compare with each other.
    """
    if not len(scores):
        return scores
    with np.errstate(invalid="ignore", over="ignore"):
        rises = np.zeros(len(scores))
        rises[1:] = ~(scores[1:] <= scores[:-1])
        starts = (np.cumsum(lengths) - lengths)[lengths > 0]
        rises[starts] = 0.0
        span = reduce_lists(np.maximum, scores, lengths) - reduce_lists(np.minimum, scores, lengths)
    broken = (reduce_lists(np.add, rises, lengths) > 0) | ~np.isfinite(span)
    if not broken.any():
        return scores
    return np.where(np.repeat(broken, lengths), np.repeat(lengths + 1.0, lengths) - ranks_of(lengths), scores)


def run_of(rankings: Sequence[Ranking]) -> Run:
    """Rankings as a Run whose scores compare: of a Ranking scored by several stages the ranks stand in for them."""
    run = Run.from_rankings(rankings)
    mixed = np.array([len({hit.stage for hit in ranking}) > 1 for ranking in rankings], dtype=bool)
    lengths = np.diff(run.offsets)
    scores = np.where(np.repeat(mixed, lengths), np.repeat(lengths + 1.0, lengths) - ranks_of(lengths), run.scores)
    return Run(query_ids=run.query_ids, offsets=run.offsets, items=run.items, codes=run.codes, scores=scores)
