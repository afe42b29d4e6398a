"""The table of comparisons, and the win rate."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.aggregators.wins import win_rate, win_table
from mmrank.rerank.parts import Answer, Block


def table_reference(block: Block, answer: Answer, slots: int) -> np.ndarray:
    """One full or partial order, pair by pair."""
    wins = np.zeros((slots, slots))
    asserted, rest = answer.asserted, answer.order[answer.named :]
    for high, low in combinations(asserted, 2):
        wins[block.slots[high], block.slots[low]] += 1
    for high in asserted:
        for low in rest:
            wins[block.slots[high], block.slots[low]] += 1
    return wins


@given(st.permutations(range(7)), st.permutations(range(4)), st.integers(0, 4))
def test_one_answer_pair_by_pair(slots: list[int], order: list[int], named: int) -> None:
    block = Block(slots=tuple(slots[:4]))
    answer = Answer(order=tuple(order), named=named)
    assert (win_table([block], [answer], 7) == table_reference(block, answer, 7)).all()


def test_what_repair_appended_is_not_judged_among_itself() -> None:
    block, answer = Block(slots=(0, 1, 2, 3)), Answer(order=(2, 0, 1, 3), named=1, status="repaired", appended=3)
    wins = win_table([block], [answer], 4)
    assert wins[2].tolist() == [1, 1, 0, 1]
    assert wins[[0, 1, 3]].sum() == 0
    assert win_table([block], [answer], 4, omitted="unknown").sum() == 0


def test_omitted_unknown_counts_only_pairs_that_are_named() -> None:
    block, answer = Block(slots=(0, 1, 2)), Answer(order=(2, 0, 1), named=2)
    assert win_table([block], [answer], 3, omitted="unknown").tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("status", ["fell_back", "failed"])
def test_answers_that_fell_back_count_for_nothing(status: str) -> None:
    answer = Answer(order=(1, 0), named=2, status=status)  # type: ignore[arg-type]
    assert win_table([Block(slots=(0, 1))], [answer], 2).sum() == 0


def test_equal_scores_are_a_tie_and_unknown_ones_are_not() -> None:
    block = Block(slots=(0, 1, 2, 3))
    answer = Answer(order=(1, 0, 2, 3), named=2, scores=(3.0, 3.0, None, None))
    wins = win_table([block], [answer], 4)
    assert wins[0, 1] == wins[1, 0] == 0.5
    assert wins[2, 3] == wins[3, 2] == 0
    assert wins[0, 2] == wins[0, 3] == wins[1, 2] == 1


def test_a_duel_in_both_orders_is_one_calibrated_comparison() -> None:
    """Both answers prefer the first place, the first of them more so."""
    blocks = [Block(slots=(0, 1), variant=0), Block(slots=(1, 0), variant=1)]
    answers = [Answer(order=(0, 1), named=2, scores=(0.9, 0.1)), Answer(order=(0, 1), named=2, scores=(0.6, 0.4))]
    assert win_table(blocks, answers, 2).tolist() == [[0, 1], [0, 0]]
    plain = [Answer(order=(0, 1), named=2)] * 2
    assert win_table(blocks, plain, 2).tolist() == [[0, 0.5], [0.5, 0]]
    failed = [Answer(order=(0, 1), named=0, status="failed")] * 2
    assert win_table(blocks, failed, 2).sum() == 0


def test_win_rate_by_hand() -> None:
    blocks = [Block(slots=(0, 1, 2)), Block(slots=(2, 3))]
    answers = [Answer(order=(0, 1, 2), named=3), Answer(order=(0, 1), named=2)]
    got = win_rate(blocks, answers, 5)
    assert got.scores == (1.0, 0.5, pytest.approx(1 / 3), 0.0, None)
    assert got.order == (0, 1, 2, 3, 4)


def test_win_rate_per_opponent_counts_one_met_twice_once() -> None:
    """0 loses to 1 twice of three times and beats 2 once."""
    blocks = [Block(slots=(0, 1)), Block(slots=(0, 1)), Block(slots=(0, 1, 2))]
    answers = [Answer(order=(1, 0), named=2), Answer(order=(0, 1), named=2), Answer(order=(1, 0, 2), named=3)]
    assert win_rate(blocks, answers, 4).scores == pytest.approx((0.5, 0.75, 0.0, None))
    per_opponent = win_rate(blocks, answers, 4, per_opponent=True).scores
    assert per_opponent == pytest.approx(((1 / 3 + 1) / 2, (2 / 3 + 1) / 2, 0.0, None))
    with pytest.raises(UsageError, match="per_opponent is 1"):
        win_rate([], [], 0, per_opponent=1)  # type: ignore[arg-type]


def test_a_slot_never_compared_stays_behind_one_that_lost_everything() -> None:
    blocks, answers = [Block(slots=(1, 3))], [Answer(order=(1, 0), named=2)]
    got = win_rate(blocks, answers, 4)
    assert got.order == (3, 1, 0, 2)
    assert got.scores == (None, 0.0, None, 1.0)


def test_equal_rates_keep_the_previous_order() -> None:
    blocks = [Block(slots=(0, 1, 2)), Block(slots=(2, 1, 0))]
    answers = [Answer(order=(2, 1, 0), named=3), Answer(order=(2, 1, 0), named=3)]
    assert win_rate(blocks, answers, 3).order == (0, 1, 2)


def test_blocks_and_answers_that_do_not_fit_are_refused() -> None:
    block, answer = Block(slots=(0, 1)), Answer(order=(0, 1), named=2)
    with pytest.raises(UsageError, match="1 blocks and 0 answers"):
        win_table([block], [], 2)
    with pytest.raises(UsageError, match="name each position once"):
        win_table([block], [Answer(order=(0, 0), named=2)], 2)
    with pytest.raises(UsageError, match="there are 1"):
        win_table([block], [answer], 1)
    with pytest.raises(UsageError, match="omitted is 'above'"):
        win_table([block], [answer], 2, omitted="above")  # type: ignore[arg-type]
