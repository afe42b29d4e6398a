"""Duels asked in both orders."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules.duels import BothWays, both_ways, calibrated

probability = st.floats(0.01, 0.99)
A_WINS = Answer(order=(0, 1), named=2)
B_WINS = Answer(order=(1, 0), named=2)
SILENT = Answer(order=(0, 1), named=0, status="fell_back")


def told(a: float, b: float) -> Answer:
    return Answer(order=(0, 1) if a >= b else (1, 0), named=2, scores=(a, b))


@given(probability, probability)
def test_the_rule_of_llm_rankfusion(forward: float, backward: float) -> None:
    """i wins when softmax([P_A(i, j), P_A(j, i)])[0] > 0.5."""
    share = math.exp(forward) / (math.exp(forward) + math.exp(backward))
    won = calibrated(told(forward, 1 - forward), told(backward, 1 - backward))
    if abs(share - 0.5) > 1e-9:
        assert won == (1.0 if share > 0.5 else 0.0)


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_probabilities_and_log_probabilities_decide_alike(forward: float, backward: float) -> None:
    if abs(forward - backward) < 1e-6:
        return
    plain = calibrated(told(forward, 1 - forward), told(backward, 1 - backward))
    logs = calibrated(told(math.log(forward), math.log(1 - forward)), told(math.log(backward), math.log(1 - backward)))
    assert plain == logs


@given(st.floats(-3, 3), st.floats(-5, 5))
def test_a_constant_liking_for_a_place_changes_nothing(truth: float, bias: float) -> None:
    if abs(truth) < 1e-6:
        return
    won = calibrated(told(truth + bias, 0.0), told(-truth + bias, 0.0))
    assert won == float(truth > 0)


def test_without_scores_both_orders_must_agree() -> None:
    assert calibrated(A_WINS, B_WINS) == 1.0
    assert calibrated(B_WINS, A_WINS) == 0.0
    assert calibrated(A_WINS, A_WINS) == 0.5
    assert calibrated(B_WINS, B_WINS) == 0.5


def test_one_answer_alone_decides() -> None:
    assert calibrated(A_WINS, SILENT) == 1.0
    assert calibrated(SILENT, A_WINS) == 0.0
    assert calibrated(SILENT, told(0.5, 0.5)) == 0.5
    assert calibrated(SILENT, SILENT) is None


def test_a_choice_of_one_is_a_duel_too() -> None:
    """`choose_one` names the winner only."""
    assert calibrated(Answer(order=(1, 0), named=1), Answer(order=(0, 1), named=1)) == 0.0


def test_scores_of_one_answer_only_leave_it_to_the_orders() -> None:
    assert calibrated(told(0.9, 0.1), B_WINS) == 1.0
    assert calibrated(told(0.9, 0.1), A_WINS) == 0.5
    assert calibrated(told(0.9, 0.1), Answer(order=(1, 0), named=2, scores=(None, 0.3))) == 1.0


def test_pairs_are_found_by_variant_and_reversal() -> None:
    blocks = [
        Block(slots=(0, 1), variant=0),
        Block(slots=(2, 3), variant=0),
        Block(slots=(3, 2), variant=1),
        Block(slots=(1, 0), variant=1),
        Block(slots=(0, 1), variant=2),
        Block(slots=(1, 0), variant=1),
        Block(slots=(5,), variant=0),
        Block(slots=(5,), variant=1),
    ]
    assert list(both_ways(blocks)) == [BothWays(1, 2), BothWays(0, 3)]
