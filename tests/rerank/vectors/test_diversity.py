"""Maximal marginal relevance against its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.vectors.diversity import marginal_order, mmr
from mmrank.rerank.vectors.source import GivenVectors, Matrix
from mmrank.types import Ranking

MakeRanking = Callable[..., Ranking]


def by_loops(relevance: Any, rows: Any, trade: float) -> list[int]:
    left, chosen = list(range(len(relevance))), []
    while left:

        def worth(i: int) -> float:
            alike = [sum(float(a) * float(b) for a, b in zip(rows[i], rows[j], strict=True)) for j in chosen]
            return trade * float(relevance[i]) - (1 - trade) * max(alike, default=0.0)

        best = max(left, key=lambda i: round(worth(i), 6))
        chosen.append(best)
        left.remove(best)
    return chosen


@pytest.mark.parametrize("trade", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_that_of_the_loops(rows: Callable[..., Matrix], trade: float, seed: int) -> None:
    x = rows(20, 4, seed=seed)
    relevance = np.random.default_rng(seed).random(20)
    assert marginal_order(relevance, x, trade=trade)[0] == by_loops(relevance, x, trade)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12), st.floats(0, 1))
def test_it_is_a_permutation_and_starts_with_the_most_relevant(relevance: list[float], trade: float) -> None:
    x = np.random.default_rng(len(relevance)).standard_normal((len(relevance), 3)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    order, values = marginal_order(np.array(relevance), x, trade=trade)
    assert sorted(order) == list(range(len(relevance)))
    assert values[order[0]] == pytest.approx(round(trade * max(relevance), 6), abs=2e-6)


def test_a_copy_of_the_first_goes_behind_what_is_new(ranking: MakeRanking) -> None:
    source = GivenVectors(
        items={"a": np.array([1, 0], np.float32), "b": np.array([1, 0], np.float32), "c": np.array([0, 1], np.float32)}
    )
    before = ranking(["a", "b", "c"])
    assert mmr(source, trade=0.4).process([before])[0].ids == ("a", "c", "b")
    assert mmr(source, trade=1).process([before])[0].ids == ("a", "b", "c")


def test_relevance_by_cosine_asks_for_the_query(source: GivenVectors, ranking: MakeRanking) -> None:
    before = ranking([f"i{n}" for n in range(12)])
    x = np.stack([source.items[f"i{n}"] for n in range(12)])
    order, _ = marginal_order((x @ source.queries["q"]).astype(np.float64), x, trade=0.6)
    (after,) = mmr(source, trade=0.6, relevance="cosine").process([before])
    assert after.ids == tuple(f"i{n}" for n in order)
    nobody = GivenVectors(items=source.items)
    assert mmr(nobody).process([before])[0].outcome == "ok"
    assert mmr(nobody, relevance="cosine").process([before])[0].outcome == "fell_back"


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        mmr(GivenVectors(), trade=1.1)
    with pytest.raises(UsageError, match="score, cosine"):
        mmr(GivenVectors(), relevance="rank")  # type: ignore[arg-type]
