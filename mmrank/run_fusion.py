"""Fusing Runs: thousands of queries at once, column-wise, each query as `mmrank.fuse` would rank it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrank.aggregate import Method, Normalise, ranks_of
from mmrank.columns import Columns, Lists, aligned, blocks, gather
from mmrank.errors import UsageError
from mmrank.fusion_rule import Absent, FusionRule
from mmrank.run import Run


def fuse_runs(
    runs: Sequence[Lists],
    method: Method = "product",
    *,
    weights: Sequence[float] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    normalise: Normalise | None = None,
    absent: Absent = "floor",
    epsilon: float | None = None,
    k: int | None = None,
) -> Run:
    """One Run from several: every query of any of them, with every item that any of them has for it.

    Args:
        runs: one per retriever, at least one; each a Run (`Run.read` a TREC file, `Run.from_matrix` a score matrix)
            or a sequence of Rankings, one per query.
        method, weights, groups, normalise, absent, epsilon: as in `mmrank.fuse`; what each computes stands in
            `mmrank.fusion_rule.FusionRule`.
        k: keep the best `k` of each query; all when None.

    A query that a Run does not have is an empty list there: it gives no item anything. Ties: best rank over the
    lists, then id. The order of the Runs never decides, nor does the order of queries or items in them.
    Scores of the answer are the fused scores. What is worked on at a time is bounded, whatever the Runs hold.
    Raises `UsageError` when there is no Run, one shares no query with the others, or the settings do not fit.

    >>> one = Run.from_matrix(np.array([[0.9, 0.8, 0.1]]), ["q"], ["a", "b", "c"])
    >>> two = Run.from_matrix(np.array([[0.2, 0.3, 0.1]]), ["q"], ["a", "b", "c"])
    >>> fuse_runs([one, two]).ids("q")
    ('b', 'a', 'c')
    """
    if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
        raise UsageError(f"k is {k!r}; it must be a whole number from 1, or None for all items.")
    rule = FusionRule(
        method=method, weights=weights, groups=groups, normalise=normalise, absent=absent, epsilon=epsilon
    )
    rule.check(len(runs))
    gathered = gather(runs)
    parts = [_fused(block, len(gathered.items), rule, k) for block in blocks(gathered.lists)]
    return Run(
        query_ids=gathered.query_ids,
        offsets=np.concatenate([[0], *(part.lengths for part in parts)], dtype=np.int64).cumsum(),
        items=gathered.items,
        codes=np.concatenate([np.empty(0, np.int64), *(part.codes for part in parts)]).astype(np.int32),
        scores=np.concatenate([np.empty(0), *(part.scores for part in parts)]),
        name=f"fuse:{method}",
    )


def _fused(block: Sequence[Columns], items: int, rule: FusionRule, k: int | None) -> Columns:
    side_by_side = aligned(block, items, rule)
    fused = rule.joined(side_by_side.values, side_by_side.present)
    order = side_by_side.best_first(fused)
    lengths = side_by_side.lengths
    if k is not None:
        order = order[ranks_of(lengths) <= k]
        lengths = np.minimum(lengths, k)
    return Columns(lengths=lengths, codes=side_by_side.codes[order], scores=fused[order])
