from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mmrank.embed.late_pooling import check_pool_tokens, ward_pooled
from mmrank.errors import UsageError

Rows = npt.NDArray[np.float32]


def _rows(n: int, dimension: int = 8, *, seed: int = 0) -> Rows:
    rows = np.random.default_rng(seed).standard_normal((n, dimension)).astype(np.float32)
    unit: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _by_hand(rows: Rows, count: int) -> Rows:
    """Ward literally: all pairs looked at before each merge."""
    wide = rows.astype(np.float64)
    clusters = [[i] for i in range(len(rows))]
    while len(clusters) > count:
        costs = []
        for i in range(len(clusters)):
            for j in range(i + 1, len(clusters)):
                a, b = clusters[i], clusters[j]
                way = wide[a].mean(axis=0) - wide[b].mean(axis=0)
                costs.append((len(a) * len(b) / (len(a) + len(b)) * (way @ way), i, j))
        _, i, j = min(costs)
        clusters[i] = sorted(clusters[i] + clusters.pop(j))
    means = np.stack([wide[own].mean(axis=0) for own in sorted(clusters)])
    return np.float32(means / np.linalg.norm(means, axis=1, keepdims=True))


@pytest.mark.parametrize(("n", "count", "seed"), [(25, 7, 0), (25, 24, 1), (30, 2, 2), (12, 1, 3)])
def test_it_is_ward(n: int, count: int, seed: int) -> None:
    rows = _rows(n, seed=seed)
    np.testing.assert_allclose(ward_pooled(rows, count), _by_hand(rows, count), atol=1e-5)


def test_few_tokens_stay_as_they_are() -> None:
    rows = _rows(5)
    assert ward_pooled(rows, 5) is rows


def test_copies_become_one_and_opposites_keep_a_direction() -> None:
    rows = _rows(3)
    copies = ward_pooled(np.repeat(rows, 4, axis=0), 3)
    np.testing.assert_allclose(copies, rows, atol=1e-6)
    opposite = ward_pooled(np.array([[1, 0], [-1, 0]], np.float32), 1)
    assert opposite.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("count", [0, -1, "", "four", 2.5, True, "٣"])
def test_counts_that_mean_nothing(count: Any) -> None:
    with pytest.raises(UsageError, match="pool_tokens is"):
        check_pool_tokens(count)
