"""Ranks as columns, and the rule for ties against all orders there are."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.evaluation.ranks import TIES, Ranks, settle


@pytest.mark.parametrize("rule", TIES)
@settings(deadline=None, max_examples=50)
@given(higher=st.integers(0, 3), relevant=st.integers(1, 3), others=st.integers(0, 3))
def test_a_rank_is_the_best_the_worst_or_the_mean_over_all_orders_of_the_tied(
    rule: str, higher: int, relevant: int, others: int
) -> None:
    orders = list(permutations([True] * relevant + [False] * others))
    places = np.array([[higher + 1 + at for at, own in enumerate(order) if own] for order in orders], dtype=float)
    expected = {"averaging": places.mean(axis=0), "pessimistic": places.max(axis=0), "optimistic": places.min(axis=0)}
    each = np.full(relevant, 1)
    found = settle(
        higher * each,
        (relevant + others) * each,
        np.arange(1.0, relevant + 1),
        relevant * each,
        rule,  # type: ignore[arg-type]
    )
    assert found == pytest.approx(expected[rule])


def test_best_rank_target_and_sums_of_queries_with_many_one_and_no_relevant_item() -> None:
    ranks = Ranks.of(
        np.array([3, 0, 1, 2]),
        np.array([9.0, 2.0, np.inf, 4.0, 5.0, np.inf]),
        np.array([2.0, 1.0, 1.0, 1.0, 1.0, 2.0]),
    )
    assert ranks.values.tolist() == [2, 9, np.inf, 4, 5, np.inf]
    assert ranks.gains.tolist() == [1, 2, 1, 1, 1, 2]
    assert ranks.first.tolist() == [2, np.inf, 4, 5]
    assert ranks.target.tolist() == [9, np.inf, 4, np.inf]
    assert ranks.position.tolist() == [1, 2, 3, 1, 1, 2]
    assert ranks.total(ranks.gains).tolist() == [4, 0, 1, 3]
    assert ranks.highest(ranks.gains).tolist() == [2, 0, 1, 2]
    assert len(ranks) == 4


def test_of_several_items_with_the_highest_gain_the_target_is_the_best_placed() -> None:
    assert Ranks.of(np.array([2]), np.array([7.0, 3.0]), np.array([2.0, 2.0])).target.tolist() == [3]


def test_no_query_at_all() -> None:
    empty = Ranks.of(np.array([], dtype=int), np.array([]), np.array([]))
    assert len(empty) == 0
    assert empty.first.shape == (0,)
    assert empty.target.shape == (0,)
