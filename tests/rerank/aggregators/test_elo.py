"""Elo."""

from __future__ import annotations

import pytest

from mmrank.errors import UsageError
from mmrank.rerank.aggregators.elo import elo
from mmrank.rerank.parts import Answer, Block


def test_one_duel_by_hand() -> None:
    """From 1500 each, expected 0.5: the winner gains half of K = 32, once."""
    got = elo([Block(slots=(0, 1))], [Answer(order=(1, 0), named=2)], 2, passes=1)
    assert got.scores == (1484.0, 1516.0)
    assert got.order == (1, 0)


def test_a_second_win_over_the_same_gains_less() -> None:
    once = elo([Block(slots=(0, 1))], [Answer(order=(0, 1), named=2)], 2, passes=1).scores[0]
    answers = [Answer(order=(0, 1), named=2)]
    # The second pass starts from the first's ratings; the mean of the passes' ends is reported.
    twice = elo([Block(slots=(0, 1))], answers, 2, passes=2).scores[0]
    assert once is not None
    assert twice is not None
    assert 0 < (twice * 2 - once) - once < once - 1500


def test_points_are_won_from_somebody() -> None:
    blocks = [Block(slots=(0, 1, 2)), Block(slots=(2, 3, 4, 5))]
    answers = [Answer(order=(2, 1, 0), named=2), Answer(order=(3, 1, 2, 0), named=4)]
    scores = elo(blocks, answers, 6).scores
    assert sum(s or 0 for s in scores) == pytest.approx(6 * 1500)


def test_the_order_of_blocks_hardly_matters() -> None:
    blocks = [Block(slots=(a, b)) for a in range(6) for b in range(a + 1, 6)]
    answers = [Answer(order=(0, 1) if (block.slots[0] + block.slots[1]) % 3 else (1, 0), named=2) for block in blocks]
    forward = elo(blocks, answers, 6, passes=64).scores
    backward = elo(blocks[::-1], answers[::-1], 6, passes=64).scores
    assert [f or 0 for f in forward] == pytest.approx([b or 0 for b in backward], abs=3)


@pytest.mark.parametrize("size", [2, 20, 100])
def test_large_blocks_do_not_swing(size: int) -> None:
    """Without a bound on the gain, ratings of a block of 100 would jump past each other from pass to pass."""
    block, answer = Block(slots=tuple(range(size))), Answer(order=tuple(range(size))[::-1], named=size)
    for passes in (1, 2, 3, 10):
        assert elo([block] * 3, [answer] * 3, size, passes=passes).order == tuple(range(size))[::-1]


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="k_factor is 0"):
        elo([], [], 0, k_factor=0)
    with pytest.raises(UsageError, match="passes is 0"):
        elo([], [], 0, passes=0)
