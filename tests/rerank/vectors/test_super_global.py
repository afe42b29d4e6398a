"""SuperGlobal against the paper's steps written as loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.vectors.source import GivenVectors, Matrix
from mmrank.rerank.vectors.super_global import refined, super_global, super_global_scores
from mmrank.types import Ranking

Rows = Callable[..., Matrix]


def by_loops(query: Any, rows: Any, neighbours: int, beta: float) -> list[float]:
    """Both steps, one number at a time, in float64."""
    x = [[float(v) for v in row] for row in rows]
    q = [float(v) for v in query]

    def dot(a: list[float], b: list[float]) -> float:
        return sum(p * r for p, r in zip(a, b, strict=True))

    mixed = []
    for i, row in enumerate(x):
        others = sorted((j for j in range(len(x)) if j != i), key=lambda j: -dot(row, x[j]))[:neighbours]
        total, weight = list(row), 1.0
        for j in others:
            w = beta * dot(row, x[j])
            weight += w
            total = [t + w * v for t, v in zip(total, x[j], strict=True)]
        mixed.append([t / weight for t in total])
    first = [dot(q, row) for row in mixed]
    top = sorted(range(len(x)), key=lambda i: -first[i])[: neighbours + 1]
    expanded = [max(mixed[i][d] for i in top) for d in range(len(q))]
    return [(s + dot(expanded, row)) / 2 for s, row in zip(first, mixed, strict=True)]


@pytest.mark.parametrize("count", [1, 2, 5, 10, 11, 40])
@pytest.mark.parametrize(("neighbours", "beta"), [(9, 0.15), (1, 1.0), (3, 0.0)])
def test_both_steps_are_those_of_the_loops(rows: Rows, count: int, neighbours: int, beta: float) -> None:
    # Vectors around one direction, as a shortlist is: sums of weights stay away from zero.
    x = rows(count, 12, seed=count) + 0.5
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    query = rows(1, 12, seed=99)[0]
    scores = super_global_scores(query, x, neighbours=neighbours, beta=beta)
    assert scores == pytest.approx(by_loops(query, x, neighbours, beta), abs=1e-5)


def test_refined_vectors_are_not_renormalised(rows: Rows) -> None:
    lengths = np.linalg.norm(refined(rows(30, 12) * 0.3 + 0.2), axis=1)
    assert (np.abs(lengths - 1) > 1e-3).any()


def test_a_row_is_its_own_first_neighbour_even_when_it_is_short() -> None:
    x = np.array([[0.1, 0.0], [1.0, 0.0]], np.float32)
    # Row 0: its neighbour's product 0.1 is larger than its own 0.01; it still weighs 1 itself.
    expected = (0.1 * 1 + 0.5 * 0.1 * 1.0) / (1 + 0.5 * 0.1)
    assert refined(x, neighbours=1, beta=0.5)[0, 0] == pytest.approx(expected)


def test_of_equal_neighbours_no_more_than_asked_count() -> None:
    x = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
    mixed = refined(x, neighbours=2, beta=1.0)
    assert mixed[1].tolist() == pytest.approx([0, 1])
    assert mixed[0].tolist() == pytest.approx([1, 0])


def test_opposite_neighbours_do_not_divide_by_nothing() -> None:
    x = np.array([[1, 0]] + [[-1, 0]] * 9, np.float32)
    mixed = refined(x, neighbours=9, beta=0.15)  # 1 - 9 * 0.15 = -0.35 for the first row
    assert mixed[0].tolist() == [1.0, 0.0]
    assert np.isfinite(mixed).all()


def test_without_expansion_the_score_is_the_first_step_alone(rows: Rows) -> None:
    x, query = rows(20), rows(1, seed=3)[0]
    assert super_global_scores(query, x, expand=False) == pytest.approx(refined(x) @ query, abs=1e-6)


@given(st.permutations(range(25)))
def test_the_order_of_the_list_does_not_change_the_scores(order: list[int]) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((25, 6)).astype(np.float32) + 0.4
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    query = x[0]
    straight = super_global_scores(query, x)
    shuffled = super_global_scores(query, x[order])
    assert shuffled == pytest.approx(straight[order], abs=1e-5)


def test_the_stage_orders_the_head_and_leaves_the_rest(source: GivenVectors, ranking: Callable[..., Ranking]) -> None:
    given_ = ranking([f"i{n}" for n in range(30)])
    (after,) = super_global(source, depth=20).process([given_])
    scores = super_global_scores(source.queries["q"], np.stack([source.items[f"i{n}"] for n in range(20)]))
    assert after.ids[:20] == tuple(f"i{n}" for n in np.argsort(-scores, kind="stable"))
    assert after.ids[20:] == tuple(f"i{n}" for n in range(20, 30))
    assert [h.score for h in after.hits[:20]] == pytest.approx(sorted(scores, reverse=True), abs=1e-6)
    assert {h.stage for h in after.hits[:20]} == {"super_global"}
    assert after.outcome == "ok"


@pytest.mark.parametrize("options", [{"neighbours": 0}, {"beta": -1}, {"depth": 0}, {"beta": float("nan")}])
def test_settings_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        super_global(GivenVectors(), **options)
