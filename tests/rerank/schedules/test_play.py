"""Playing plans, and estimates made by it."""

from __future__ import annotations

from mmrank.rerank.schedules.groups import Groups
from mmrank.rerank.schedules.pairs import Pairs
from mmrank.rerank.schedules.play import best_first, expected_calls, play
from mmrank.rerank.schedules.window import Sliding


def test_play_keeps_blocks_answers_rounds_and_order() -> None:
    played = play(Sliding(window=3, stride=1).plan(5, 0), lambda b: best_first(b, [1, 2, 3, 4, 5]))
    assert len(played.blocks) == len(played.answers) == played.rounds == 3
    assert played.order == [4, 3, 0, 1, 2]


def test_expected_calls_of_a_fixed_schedule_is_its_number() -> None:
    for slots in (0, 1, 20, 41, 100):
        assert expected_calls(Groups(), slots) == Groups().calls(slots)
        assert expected_calls(Sliding(), slots) == Sliding().calls(slots)


def test_estimates_are_repeatable() -> None:
    first = Pairs(method="heap").calls(20)
    expected_calls.cache_clear()
    assert Pairs(method="heap").calls(20) == first
