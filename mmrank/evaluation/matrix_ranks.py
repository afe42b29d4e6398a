"""Ranks of relevant items in a score matrix, by counting: no sort decides ties, a stated rule does.

A matrix may be a memory map: it is read in blocks of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import Floats, Ints
from mmrank.errors import UsageError
from mmrank.evaluation.ranks import Ranks, Ties, settle
from mmrank.evaluation.relations import Related, Relations, Scope
from mmrank.run import Run

Scores = npt.NDArray[np.floating]

BLOCK_SCORES = 1 << 21
"""Scores that are worked on at once, unless one row has more."""

SORT_FROM = 8
"""From this many relevant items of a query on, sorting its row is cheaper than counting once for each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counted:
    """What one pass over a matrix gives.

    `ranks`, `members`, `groups`: Ranks of the relevant items over all items, over members, over groups. `lengths`:
    int64 (queries,), candidates of each query. `tied`: bool (queries,), whether its best relevant item shares its score
    with an item that is not relevant. `best`: the best items of each query as a Run.
    """

    ranks: Ranks
    members: Ranks | None
    groups: Ranks | None
    lengths: Ints
    tied: npt.NDArray[np.bool_]
    best: Run


def count(scores: Scores, task: Relations, ties: Ties, depth: int) -> Counted:
    """Everything that metrics need of a matrix of shape (queries, items), in one pass. `depth`: hits kept a query.

    Raises `UsageError` for NaN.
    """
    items = np.full(len(task.relevant.codes), np.inf)
    members = None if task.members is None else items.copy()
    groups = None if task.relevant_groups is None else np.full(len(task.relevant_groups.codes), np.inf)
    lengths = np.zeros(len(task.query), dtype=np.int64)
    tied = np.zeros(len(task.query), dtype=bool)
    best: list[_Best] = []
    keep = _BestOf(np.array(list(task.item), dtype=object), depth)
    squeeze = _grouper(task.groups)
    for first, last in _blocks(scores):
        block = _limited(_block(scores, first, last), task.scope, first, last)
        span = slice(int(task.relevant.offsets[first]), int(task.relevant.offsets[last]))
        part, gains = task.relevant.part(first, last), task.gains[span]
        lengths[first:last] = np.count_nonzero(~np.isnan(block), axis=1)
        items[span], tied[first:last] = _ranks(block, part, gains, ties)
        best.append(keep(block))
        if members is not None and task.members is not None:
            members[span], _ = _ranks(_limited(block, task.members, first, last), part, gains, ties)
        if groups is not None and task.relevant_groups is not None:
            own = slice(int(task.relevant_groups.offsets[first]), int(task.relevant_groups.offsets[last]))
            some = task.relevant_groups.part(first, last)
            groups[own], _ = _ranks(squeeze(block), some, task.group_gains[own], ties)
    counts = task.relevant.counts
    return Counted(
        ranks=Ranks.of(counts, items, task.gains),
        members=None if members is None else Ranks.of(counts, members, task.gains),
        groups=None
        if groups is None or task.relevant_groups is None
        else Ranks.of(task.relevant_groups.counts, groups, task.group_gains),
        lengths=lengths,
        tied=tied,
        best=_run(best, task),
    )


def _blocks(scores: Scores) -> Iterator[tuple[int, int]]:
    rows, columns = scores.shape
    step = max(1, BLOCK_SCORES // max(columns, 1))
    for first in range(0, rows, step):
        yield first, min(first + step, rows)


def _block(scores: Scores, first: int, last: int) -> Scores:
    """Some rows, in a type that compares fast; float16 fits into float32 exactly."""
    block = np.ascontiguousarray(scores[first:last])
    if block.dtype == np.float16:
        block = block.astype(np.float32)
    bad = np.isnan(block)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise UsageError(
            f"The matrix holds NaN, first in row {first + row}, column {column} ({int(bad.sum())} of them in rows "
            f"{first} to {last - 1}); a score must be a number. Mend what wrote it, or give -inf where there is none."
        )
    return block


def _limited(block: Scores, scope: Scope, first: int, last: int) -> Scores:
    """The block with NaN where an item does not count: it is then neither higher than anything nor equal to it."""
    out = scope.excluded.part(first, last)
    limited = scope.limited[first:last]
    if not len(out.codes) and not limited.any():
        return block
    block = block.copy()
    if scope.among is not None and limited.any():
        part = scope.among.part(first, last)
        keep = np.zeros(block.shape, dtype=bool)
        keep[part.queries, part.codes] = True
        keep[~limited] = True
        block[~keep] = np.nan
    block[out.queries, out.codes] = np.nan
    return block


def _grouper(groups: Ints | None) -> Callable[[Scores], Scores]:
    """What turns columns of items into columns of groups, each with its highest score."""
    if groups is None:
        return lambda block: block
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    in_order = bool((np.diff(order) == 1).all())
    return lambda block: np.fmax.reduceat(block if in_order else block[:, order], starts, axis=1)


def _ranks(block: Scores, relevant: Related, gains: Floats, ties: Ties) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Ranks of the relevant cells, inf for those that do not count; and which queries' best of them is tied."""
    query = relevant.queries
    own = block[query, relevant.codes]
    known = ~np.isnan(own)
    higher, tied = _counts(block, relevant, own)
    # Within a tie that items of several gains share, the worst order of the gains, or the best when optimistic.
    by_gain = -gains if ties == "optimistic" else gains
    order = np.lexsort((by_gain, -np.where(known, own, -np.inf), ~known, query))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(query[order]) != 0) | (own[order][1:] != own[order][:-1])
    run = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    turn, rivals = np.empty(len(order)), np.empty(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order)) - starts[run] + 1
    rivals[order] = np.diff(np.append(starts, len(order)))[run]
    values = np.where(known, settle(higher, tied, turn, rivals, ties), np.inf)
    shared = np.zeros(block.shape[0], dtype=bool)
    lead = np.flatnonzero(np.diff(query[order], prepend=-1))
    leaders = order[lead]
    shared[query[leaders]] = known[leaders] & (tied[leaders] > rivals[leaders])
    return values, shared


def _counts(block: Scores, relevant: Related, own: Scores) -> tuple[Ints, Ints]:
    """Of each relevant cell: cells of its row with a higher score, and with the same one (itself among them)."""
    counts = relevant.counts
    higher = np.zeros(len(own), dtype=np.int64)
    tied = np.ones(len(own), dtype=np.int64)
    most = int(counts.max(initial=0))
    if most >= SORT_FROM:
        ordered = np.sort(block, axis=1)
        lengths = np.count_nonzero(~np.isnan(block), axis=1)
        for row in np.flatnonzero(counts):
            mine = slice(int(relevant.offsets[row]), int(relevant.offsets[row + 1]))
            line = ordered[row, : lengths[row]]
            right = np.searchsorted(line, own[mine], side="right")
            higher[mine] = len(line) - right
            tied[mine] = right - np.searchsorted(line, own[mine], side="left")
        return higher, tied
    for turn in range(most):
        rows = np.flatnonzero(counts > turn)
        at = relevant.offsets[rows] + turn
        lines = block if len(rows) == len(block) else block[rows]
        score = own[at][:, None]
        higher[at] = np.count_nonzero(lines > score, axis=1)
        tied[at] = np.count_nonzero(lines == score, axis=1)
    return higher, tied


_Best = tuple[Ints, Ints, Floats]
"""How many hits each row has, their columns, their scores."""


class _BestOf:
    """The best few cells of each row, equal scores by item id. NaN cells are none."""

    def __init__(self, names: npt.NDArray[np.object_], depth: int) -> None:
        self._depth = depth
        self._by_id = np.empty(len(names), dtype=np.int64)
        self._by_id[np.argsort(names, kind="stable")] = np.arange(len(names))

    def __call__(self, block: Scores) -> _Best:
        rows, columns = block.shape
        depth = min(self._depth, columns)
        low = np.where(np.isnan(block), -np.inf, block)
        edge = np.partition(low, columns - depth, axis=1)[:, columns - depth] if depth else np.full(rows, np.inf)
        row, column = np.nonzero(block >= edge[:, None])
        score = block[row, column]
        order = np.lexsort((self._by_id[column], -score, row))
        row, column, score = row[order], column[order], score[order]
        before = np.searchsorted(row, np.arange(rows))
        kept = np.arange(len(row)) - before[row] < depth
        return np.bincount(row[kept], minlength=rows), column[kept], score[kept].astype(np.float64)


def _run(best: list[_Best], task: Relations) -> Run:
    lengths = np.concatenate([np.empty(0, np.int64), *(part[0] for part in best)])
    return Run(
        query_ids=tuple(task.query),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=tuple(task.item),
        codes=np.concatenate([np.empty(0, np.int64), *(part[1] for part in best)]).astype(np.int32),
        scores=np.concatenate([np.empty(0), *(part[2] for part in best)]),
        name="matrix",
    )
