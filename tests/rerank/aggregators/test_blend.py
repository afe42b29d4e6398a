"""Judge and first stage together."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.aggregators import blend, place_scores

# Whole numbers: the property is about orders, and float spacing near 1e300 is not what it is about.
numbers = st.integers(-100, 100).map(float)


def by_falling(scores: list[float]) -> tuple[int, ...]:
    return tuple(sorted(range(len(scores)), key=lambda s: -scores[s]))


def test_by_hand() -> None:
    """Judge min-max 1, 0, 0.5; first stage 0.25, 1, 0; 0.6 and 0.4."""
    got = blend((0, 2, 1), (9.0, 5.0, 7.0), (0.5, 2.0, 0.0), alpha=0.6)
    assert got.scores == pytest.approx((0.7, 0.4, 0.3))
    assert got.order == (0, 1, 2)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12))
def test_the_ends_are_the_judge_and_the_first_stage(pairs: list[tuple[float, float]]) -> None:
    judge, first = [p[0] for p in pairs], [p[1] for p in pairs]
    order = by_falling(judge)
    assert blend(order, judge, first, alpha=1.0).order == order
    only_first = blend(order, judge, first, alpha=0.0)
    assert sorted(only_first.order, key=lambda s: -first[s]) == list(only_first.order)


def test_slots_the_judge_did_not_score_stay_behind_whatever_the_first_stage_says() -> None:
    got = blend((2, 0, 3, 1), (0.2, None, 0.9, None), (0.1, 99.0, 0.2, 98.0), alpha=0.1)
    assert got.order == (2, 0, 3, 1)
    assert got.scores == (pytest.approx(0.0), None, pytest.approx(1.0), None)


def test_ties_keep_the_judges_order() -> None:
    assert blend((2, 1, 0), (1.0, 1.0, 1.0), (3.0, 3.0, 3.0), alpha=0.5).order == (2, 1, 0)


def test_a_first_stage_that_says_nothing_leaves_the_judge() -> None:
    assert blend((1, 0), (0.1, 0.9), (0.0, 0.0), alpha=0.3).order == (1, 0)


def test_an_order_without_scores_is_given_places() -> None:
    order = (3, 1, 0, 2)
    assert place_scores(order) == (2.0, 3.0, 1.0, 4.0)
    assert place_scores(order, named=2) == (None, 3.0, None, 4.0)
    assert blend(order, place_scores(order), (1.0, 0.9, 0.1, 0.0), alpha=0.5).order == (1, 0, 3, 2)


def test_nothing_judged_changes_nothing() -> None:
    got = blend((0, 1, 2), (None, None, None), (1.0, 2.0, 3.0), alpha=0.5)
    assert got.order == (0, 1, 2)
    assert got.scores == (None, None, None)
    assert blend((), (), (), alpha=0.5).order == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 1), (1.0, 2.0), (1.0, 2.0), 1.5), "alpha is 1.5; give a number from 0.0 to 1.0"),
        (((0, 1), (1.0, 2.0), (1.0, math.nan), 0.5), "slot 1 is nan"),
        (((0, 1), (1.0,), (1.0, 2.0), 0.5), "an order of 2, 1 judge's and 2 first-stage"),
        (((0, 0), (1.0, 2.0), (1.0, 2.0), 0.5), "needs a permutation"),
    ],
)
def test_what_cannot_be_blended_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        blend(*arguments)
