"""Means of scores, places and reciprocal ranks."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.aggregators.means import borda, mean, rrf
from mmrank.rerank.parts import Answer, Block


def scored(*scores: float | None) -> Answer:
    """As an ask gives it: known scores first, best first."""
    order = sorted(range(len(scores)), key=lambda p: (scores[p] is None, -(scores[p] or 0.0)))
    return Answer(order=tuple(order), named=sum(s is not None for s in scores), scores=scores)


def test_mean_over_samples_skips_unknown_ones() -> None:
    blocks = [Block(slots=(s,), variant=v) for s in range(3) for v in range(3)]
    answers = [scored(x) for x in (10, 20, 60, 50, None, 70, None, None, None)]
    got = mean(blocks, answers, 3, divide_by=100)
    assert got.scores == (0.3, 0.6, None)
    assert got.order == (1, 0, 2)


def test_mean_of_groups_skips_a_failed_group() -> None:
    """GroupRank's own code counts a failed group as zeros."""
    blocks = [Block(slots=(0, 1)), Block(slots=(2, 3)), Block(slots=(1, 2), variant=1), Block(slots=(3, 0), variant=1)]
    failed = Answer(order=(0, 1), named=0, status="failed", scores=(None, None))
    got = mean(blocks, [scored(4, 8), failed, scored(6, 2), scored(10, 4)], 4, divide_by=10)
    assert got.scores == (0.4, 0.7, 0.2, 1.0)
    assert got.order == (3, 1, 0, 2)


def test_mean_counts_asserted_scores_only() -> None:
    answer = Answer(order=(1, 0), named=1, scores=(9.0, 5.0))
    assert mean([Block(slots=(0, 1))], [answer], 2).scores == (None, 5.0)


def test_mean_of_answers_without_scores_is_unknown() -> None:
    got = mean([Block(slots=(0, 1))], [Answer(order=(1, 0), named=2)], 2)
    assert got.scores == (None, None)
    assert got.order == (0, 1)


def test_mean_of_zero_is_known() -> None:
    assert mean([Block(slots=(1,))], [scored(0.0)], 2).scores == (None, 0.0)


def test_normalise_makes_blocks_comparable() -> None:
    blocks = [Block(slots=(0, 1, 2)), Block(slots=(1, 2, 3))]
    got = mean(blocks, [scored(-1.0, -2.0, -3.0), scored(-50.0, -90.0, -70.0)], 4, normalise=True)
    assert got.scores == (1.0, 0.75, 0.0, 0.5)


@given(st.lists(st.permutations(range(6)), min_size=1, max_size=6))
def test_borda_of_whole_lists_is_the_order_of_mean_ranks(orders: list[list[int]]) -> None:
    blocks = [Block(slots=tuple(range(6)), variant=v) for v in range(len(orders))]
    answers = [Answer(order=tuple(o), named=6) for o in orders]
    ranks = [sum(o.index(s) for o in orders) for s in range(6)]
    assert list(borda(blocks, answers, 6).order) == sorted(range(6), key=lambda s: ranks[s])


def test_borda_shares_the_places_of_ties_and_of_the_unnamed() -> None:
    block = Block(slots=(0, 1, 2, 3, 4))
    assert borda([block], [Answer(order=(4, 0, 1, 2, 3), named=1)], 5).scores == (0.375, 0.375, 0.375, 0.375, 1.0)
    assert borda([block], [Answer(order=(4, 0, 1, 2, 3), named=1)], 5, omitted="unknown").scores == (
        None,
        None,
        None,
        None,
        1.0,
    )
    assert borda([block], [scored(7, 3, 7, None, None)], 5).scores == (0.875, 0.5, 0.875, 0.125, 0.125)


def test_borda_is_a_share_of_the_block() -> None:
    """The last of 20 is no better placed than the last of 3."""
    blocks = [Block(slots=tuple(range(20))), Block(slots=(20, 21, 22))]
    answers = [Answer(order=tuple(range(20)), named=20), Answer(order=(0, 1, 2), named=3)]
    scores = borda(blocks, answers, 23).scores
    assert scores[0] == scores[20] == 1.0
    assert scores[19] == scores[22] == 0.0


@given(st.lists(st.permutations(range(5)), min_size=1, max_size=5))
def test_rrf_of_whole_lists_is_the_formula(orders: list[list[int]]) -> None:
    blocks = [Block(slots=tuple(range(5)), variant=v) for v in range(len(orders))]
    got = rrf(blocks, [Answer(order=tuple(o), named=5) for o in orders], 5)
    want = [sum(1 / (60 + o.index(s) + 1) for o in orders) / len(orders) for s in range(5)]
    assert [s or 0 for s in got.scores] == pytest.approx(want)


def test_rrf_does_not_reward_being_shown_more_often() -> None:
    blocks = [Block(slots=(0, 1)), Block(slots=(1, 2)), Block(slots=(1, 3))]
    answers = [Answer(order=(0, 1), named=2), Answer(order=(1, 0), named=2), Answer(order=(1, 0), named=2)]
    got = rrf(blocks, answers, 5)
    assert got.order == (0, 2, 3, 1, 4)
    assert got.scores[4] is None
    assert rrf(blocks, answers, 5, k=0).scores[0] == 1.0


@pytest.mark.parametrize("method", [mean, borda, rrf])
def test_blocks_of_nothing(method: Any) -> None:
    assert method([], [], 3).order == (0, 1, 2)
    assert method([], [], 3).scores == (None, None, None)
    assert method([], [], 0).order == ()


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="divide_by is 0"):
        mean([], [], 0, divide_by=0)
    with pytest.raises(UsageError, match="normalise is 1"):
        mean([], [], 0, normalise=1)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="k is -1"):
        rrf([], [], 0, k=-1)
    with pytest.raises(UsageError, match="divide_by is nan"):
        mean([], [], 0, divide_by=math.nan)


def test_float_dust_makes_no_order() -> None:
    """0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in their last bit; the means are a tie all the same."""
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    blocks = [Block(slots=(s,), variant=v) for s in range(2) for v in range(3)]
    answers = [scored(x) for x in (0.3, 0.2, 0.1, 0.1, 0.2, 0.3)]
    assert mean(blocks, answers, 2).order == (0, 1)
    assert mean(blocks, answers[::-1], 2).order == (0, 1)
