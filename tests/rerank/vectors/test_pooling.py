"""Token pooling: few unit vectors that stand for many."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.rerank.vectors.late import max_sim
from mmrank.rerank.vectors.pooling import pooled_tokens
from mmrank.rerank.vectors.source import Matrix

Rows = Callable[..., Matrix]


def test_tight_bundles_become_one_vector_each(rows: Rows) -> None:
    centres = np.eye(8, dtype=np.float32)[:4]
    bundles = np.concatenate([c + 0.05 * rows(6, seed=n) for n, c in enumerate(centres)])
    bundles /= np.linalg.norm(bundles, axis=1, keepdims=True)
    found = pooled_tokens(bundles[np.random.default_rng(0).permutation(24)], 4)
    means = np.stack([bundles[6 * n : 6 * n + 6].mean(axis=0) for n in range(4)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    order = np.argmax(means @ found.T, axis=1)
    assert sorted(order) == [0, 1, 2, 3]
    assert found[order] == pytest.approx(means, abs=1e-5)


@pytest.mark.parametrize("count", [1, 3, 10])
def test_unit_rows_come_out_the_same_every_time(rows: Rows, count: int) -> None:
    tokens = rows(40).astype(np.float16)
    found = pooled_tokens(tokens, count)
    assert found.shape == (count, 8)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(count), abs=1e-3)
    assert np.array_equal(found, pooled_tokens(tokens, count))


def test_an_item_of_few_tokens_keeps_them(rows: Rows) -> None:
    assert np.array_equal(pooled_tokens(rows(3), 5), rows(3))


def test_copies_do_not_make_nan(rows: Rows) -> None:
    found = pooled_tokens(np.repeat(rows(2), 5, axis=0), 6)
    assert np.isfinite(found).all()


def test_more_vectors_come_nearer_to_the_true_score(rows: Rows) -> None:
    tokens, query = rows(60, 32), rows(10, 32, seed=1)
    (exact,) = max_sim(query, [tokens])
    errors = [abs(exact - max_sim(query, [pooled_tokens(tokens, n)])[0]) for n in (1, 8, 30, 60)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_a_count_that_is_none_is_refused(rows: Rows, count: int) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        pooled_tokens(rows(3), count)
