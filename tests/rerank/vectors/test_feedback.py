"""Rocchio and query expansion: the moved vectors, and the stages made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmrank.errors import EmbedderError, UsageError
from mmrank.rerank.vectors.feedback import expanded_vector, query_expansion, rocchio, rocchio_vector
from mmrank.rerank.vectors.source import GivenVectors, Matrix
from mmrank.types import Ranking

MakeRanking = Callable[..., Ranking]


def test_rocchio_is_the_weighted_sum_of_the_means(rows: Callable[..., Matrix]) -> None:
    query, good, bad = rows(1, seed=1)[0], rows(5, seed=2), rows(3, seed=3)
    expected = []
    for d in range(len(query)):
        value = 1.0 * query[d] + 0.75 * sum(r[d] for r in good) / 5 - 0.15 * sum(r[d] for r in bad) / 3
        expected.append(float(value))
    length = sum(v * v for v in expected) ** 0.5
    assert rocchio_vector(query, good, bad).tolist() == pytest.approx([v / length for v in expected], abs=1e-6)


def test_without_feedback_the_query_stays(rows: Callable[..., Matrix]) -> None:
    query, none = rows(1)[0], np.empty((0, 8), np.float32)
    assert rocchio_vector(query, none, none) == pytest.approx(query, abs=1e-6)
    assert expanded_vector(query, none) == pytest.approx(query, abs=1e-6)


def test_expansion_weighs_by_similarity_and_leaves_out_opposites(rows: Callable[..., Matrix]) -> None:
    query, near = rows(1, seed=1)[0], rows(6, seed=2)
    expected = [float(v) for v in query]
    for row in near:
        similar = max(sum(float(a) * float(b) for a, b in zip(query, row, strict=True)), 0.0)
        expected = [e + similar**3 * float(v) for e, v in zip(expected, row, strict=True)]
    length = sum(v * v for v in expected) ** 0.5
    assert expanded_vector(query, near).tolist() == pytest.approx([v / length for v in expected], abs=1e-6)


def test_terms_that_cancel_out_cost_one_query_its_new_order(ranking: MakeRanking) -> None:
    x = np.array([1, 0], np.float32)
    with pytest.raises(EmbedderError, match="cancel out"):
        rocchio_vector(x, -x[None], weights=(1, 1, 0))
    source = GivenVectors(items={"a": -x, "b": x}, queries={"q": x})
    (after,) = rocchio(source, feedback=1, weights=(1, 1, 0)).process([ranking(["a", "b"])])
    assert (after.ids, after.outcome) == (("a", "b"), "fell_back")
    assert "cancel out" in str(after.records[0].error)


def test_rocchio_takes_the_first_and_last_hits_as_they_stand(source: GivenVectors, ranking: MakeRanking) -> None:
    ids = [f"i{n}" for n in (7, 3, 9, 1, 8, 2)]
    x = np.stack([source.items[i] for i in ids])
    (after,) = rocchio(source, feedback=2, negatives=3).process([ranking(ids)])
    moved = rocchio_vector(source.queries["q"], x[:2], x[3:])
    assert after.ids == tuple(ids[n] for n in np.argsort(-(x @ moved), kind="stable"))


def test_a_short_list_has_no_hit_on_both_sides(source: GivenVectors, ranking: MakeRanking) -> None:
    ids = ["i1", "i2", "i3"]
    few = rocchio(source, feedback=2, negatives=5).process([ranking(ids)])[0]
    x = np.stack([source.items[i] for i in ids])
    moved = rocchio_vector(source.queries["q"], x[:2], x[2:])
    assert [h.score for h in few] == pytest.approx(sorted((x @ moved).tolist(), reverse=True), abs=1e-6)


def test_expansion_of_a_stage(source: GivenVectors, ranking: MakeRanking) -> None:
    ids = [f"i{n}" for n in range(9)]
    x = np.stack([source.items[i] for i in ids])
    moved = expanded_vector(source.queries["q"], x[:4], power=0)
    (after,) = query_expansion(source, feedback=4, power=0).process([ranking(ids)])
    assert after.ids == tuple(ids[n] for n in np.argsort(-(x @ moved), kind="stable"))


@pytest.mark.parametrize("options", [{"feedback": -1}, {"negatives": 1.5}, {"weights": (1.0, -1.0, 0.0)}])
def test_settings_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"feedback|negatives|positive weight"):
        rocchio(GivenVectors(), **options)
