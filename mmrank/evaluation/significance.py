"""Is one system better than another, or was it luck? Paired randomisation tests, corrected for how many were made.

Smucker, Allan and Carterette, "A Comparison of Statistical Significance Tests for Information Retrieval Evaluation",
CIKM 2007: if the two systems were the same, which of a query's two values belongs to which would be a coin's throw.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from mmrank.aggregate import Floats
from mmrank.errors import UsageError
from mmrank.evaluation.metrics import MedianRank, Metric
from mmrank.evaluation.results import Comparison, Evaluation, SystemTask

PERMUTATIONS = 10_000

BLOCK_SIGNS = 1 << 23
"""Coins that are thrown at once."""

SAME = 1e-9
"""Sums of the same values in another order differ by rounding; within this share of the largest they are equal."""


def randomisation_test(differences: Floats, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Floats:
    """Two-sided p-values of paired differences, by Fisher's randomisation test on the mean.

    Args:
        differences: shape (queries,) or (queries, tests), second system minus first; no nan. Columns share the coins.
        permutations: random assignments; the observed one is counted too, so that p is at least 1 / (permutations + 1).
        seed: of the coins; the same seed gives the same p.

    Returns:
        p-values in (0, 1], shape (tests,); 1 where all differences are 0.

    >>> better = np.array([1.0] * 9 + [0.0])
    >>> bool(randomisation_test(better)[0] < 0.01), float(randomisation_test(better * 0)[0])
    (True, 1.0)
    """
    table = differences.reshape(len(differences), -1).astype(np.float64)
    if not np.isfinite(table).all() or permutations < 1:
        raise UsageError(
            f"{int((~np.isfinite(table)).sum())} differences are not finite and permutations is {permutations}; a test "
            "needs finite numbers and at least one permutation."
        )
    table = table[(table != 0).any(axis=1)]  # a coin for two equal values decides nothing
    observed = np.abs(table.sum(axis=0))
    slack = SAME * np.abs(table).sum(axis=0)
    reached = np.ones(table.shape[1], dtype=np.int64)
    rng = np.random.default_rng(seed)
    step = max(1, BLOCK_SIGNS // max(len(table), 1))
    for first in range(0, permutations, step):
        throws = min(step, permutations - first)
        bits = np.unpackbits(rng.integers(0, 256, (throws, (len(table) + 7) // 8), dtype=np.uint8), axis=1)
        kept = bits[:, : len(table)].astype(np.float64)
        sums = np.abs(2.0 * (kept @ table) - table.sum(axis=0))
        reached += (sums >= observed - slack).sum(axis=0)
    return reached / (permutations + 1)


def holm(p_values: Floats) -> Floats:
    """Holm's correction over all tests: the chance of one false finding among them stays below the level. At most 1.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return corrected


def compare(evaluation: Evaluation, *, seed: int = 0, permutations: int = PERMUTATIONS) -> tuple[Comparison, ...]:
    """Every pair of systems on every metric of every task that both were measured on, corrected over all of them.

    Queries count that count for both. A median rank is not tested (the test is on means), nor is a mean rank that is
    not known.
    """
    found: list[Comparison] = []
    for task in evaluation.dataset.tasks:
        systems = [each for each in evaluation.systems if each.task == task.name]
        coins = zlib.crc32(f"{seed}:{task.name}".encode())
        for first, second in combinations(systems, 2):
            found += _pair(task.metrics, first, second, permutations=permutations, seed=coins)
    corrected = holm(np.array([each.p for each in found]))
    return tuple(replace(each, p_corrected=float(p)) for each, p in zip(found, corrected, strict=True))


def _pair(
    metrics: Sequence[Metric], first: SystemTask, second: SystemTask, *, permutations: int, seed: int
) -> list[Comparison]:
    columns: dict[str, Floats] = {}
    for metric in metrics:
        if not isinstance(metric, MedianRank) and metric.name in first.values and metric.name in second.values:
            one, two = first.values[metric.name], second.values[metric.name]
            counted = ~(np.isnan(one) | np.isnan(two))
            if counted.any() and np.isfinite(one[counted]).all() and np.isfinite(two[counted]).all():
                columns[metric.name] = np.where(counted, two - one, np.nan)
    if not columns:
        return []
    table = np.stack(list(columns.values()), axis=1)
    p_values = randomisation_test(np.nan_to_num(table, nan=0.0), permutations=permutations, seed=seed)
    return [
        Comparison(
            task=first.task,
            metric=name,
            first=first.system,
            second=second.system,
            difference=float(np.nanmean(column)),
            p=float(p),
            p_corrected=float(p),
        )
        for (name, column), p in zip(columns.items(), p_values, strict=True)
    ]
