"""Each slot alone."""

from __future__ import annotations

import pytest

from mmrank.errors import UsageError
from mmrank.rerank.schedules.play import best_first, play
from mmrank.rerank.schedules.pointwise import Pointwise


def test_every_slot_alone_in_one_round() -> None:
    played = play(Pointwise(samples=3).plan(4, seed=0), lambda b: best_first(b, [1, 2, 3, 4]))
    assert played.rounds == 1
    assert [(b.slots, b.variant) for b in played.blocks] == [((s,), v) for s in range(4) for v in range(3)]
    assert played.order is None
    assert Pointwise(samples=3).needs_aggregator


def test_samples_have_seeds_of_their_own_that_follow_from_the_query_seed() -> None:
    first = play(Pointwise(samples=3).plan(4, seed=5), lambda b: best_first(b, [0] * 4)).blocks
    again = play(Pointwise(samples=3).plan(4, seed=5), lambda b: best_first(b, [0] * 4)).blocks
    other = play(Pointwise(samples=3).plan(4, seed=6), lambda b: best_first(b, [0] * 4)).blocks
    assert first == again
    assert len({b.seed for b in first}) == 12
    assert {b.seed for b in first}.isdisjoint(b.seed for b in other)


def test_no_slots_no_round() -> None:
    assert play(Pointwise().plan(0, seed=0), lambda b: best_first(b, [])).rounds == 0


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="samples is 0"):
        Pointwise(samples=0)
    with pytest.raises(UsageError, match="-1 slots"):
        next(Pointwise().plan(-1, seed=0))
