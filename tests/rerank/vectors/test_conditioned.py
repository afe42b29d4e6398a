"""The hook for text-conditioned rescoring."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from mmrank.errors import MllmError
from mmrank.rerank.vectors.conditioned import attention_pool, text_conditioned
from mmrank.rerank.vectors.source import GivenVectors, Matrix, Vector
from mmrank.types import Ranking

MakeRanking = Callable[..., Ranking]


def test_attention_pooling_is_that_of_the_loop(rows: Callable[..., Matrix]) -> None:
    query, tokens = rows(1, seed=1)[0], rows(5, seed=2)
    products = [sum(float(a) * float(b) for a, b in zip(query, t, strict=True)) for t in tokens]
    weights = [math.exp(p / 0.07) for p in products]
    pooled = [sum(w * float(t[d]) for w, t in zip(weights, tokens, strict=True)) for d in range(len(query))]
    length = math.sqrt(sum(v * v for v in pooled))
    expected = sum(float(q) * v for q, v in zip(query, pooled, strict=True)) / length
    assert attention_pool(query, tokens) == pytest.approx(expected, abs=1e-6)


def test_a_model_of_ones_own_scores_the_tokens(source: GivenVectors, ranking: MakeRanking) -> None:
    def most_tokens(query_vector: Vector, local_tokens: Matrix) -> float:
        assert query_vector.shape == (8,)
        return float(len(local_tokens))

    (after,) = text_conditioned(source, most_tokens).process([ranking(["i0", "i20", "i1", "i3", "i5"])])
    assert after.ids == ("i3", "i1", "i5", "i0", "i20")  # 5, 3, 3, 2 tokens, and one without
    assert "'i20'" in str(after.records[0].error)
    assert "local tokens" in str(after.records[0].error)


def test_nan_is_no_score_and_an_error_keeps_the_order(source: GivenVectors, ranking: MakeRanking) -> None:
    def picky(query_vector: Vector, local_tokens: Matrix) -> float:
        return math.nan if len(local_tokens) == 3 else float(len(local_tokens))

    (after,) = text_conditioned(source, picky).process([ranking(["i0", "i1", "i3"])])
    assert (after.ids, after.outcome) == (("i3", "i0", "i1"), "repaired")
    assert "1 of 3 hits got NaN" in str(after.records[0].error)

    def broken(query_vector: Vector, local_tokens: Matrix) -> float:
        raise MllmError("out of memory")

    (kept,) = text_conditioned(source, broken).process([ranking(["i0", "i1"])])
    assert (kept.ids, kept.outcome, kept.records[0].error) == (("i0", "i1"), "fell_back", "out of memory")


def test_the_default_needs_no_weights(source: GivenVectors, ranking: MakeRanking) -> None:
    ids = [f"i{n}" for n in range(10)]
    expected = [attention_pool(source.queries["q"], source.tokens[i]) for i in ids]
    (after,) = text_conditioned(source).process([ranking(ids)])
    assert after.ids == tuple(ids[n] for n in np.argsort([-e for e in expected], kind="stable"))
