"""Blocks and shuffles as schedules."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.aggregators import aggregate_blocks
from mmrank.rerank.parts import Block
from mmrank.rerank.schedules.blocks import Blocks, Shuffles
from mmrank.rerank.schedules.play import best_first, play


def dealt(schedule: Blocks | Shuffles, slots: int, seed: int = 0) -> list[Block]:
    played = play(schedule.plan(slots, seed), lambda b: best_first(b, [0.0] * slots))
    assert played.order is None
    assert played.rounds == (1 if played.blocks else 0)
    return played.blocks


def test_all_blocks_in_one_round() -> None:
    blocks = dealt(Blocks(size=20, repeats=4), 100)
    assert len(blocks) == 20
    assert set(Counter(s for b in blocks for s in b.slots).values()) == {4}


def test_a_list_that_fits_one_block_is_asked_shuffled() -> None:
    blocks = dealt(Blocks(size=10, repeats=5, design="latin"), 9)
    assert len(blocks) == 5
    assert all(sorted(b.slots) == list(range(9)) for b in blocks)
    assert len({b.slots for b in blocks}) == 5
    assert [b.variant for b in blocks] == [0, 1, 2, 3, 4]


def test_the_seed_decides_everything() -> None:
    assert dealt(Blocks(), 30, seed=1) == dealt(Blocks(), 30, seed=1)
    assert dealt(Blocks(), 30, seed=1) != dealt(Blocks(), 30, seed=2)


def test_shown_in_previous_order() -> None:
    assert all(list(b.slots) == sorted(b.slots) for b in dealt(Blocks(size=5, shown="previous"), 20))


def test_random_blocks_may_leave_slots_out() -> None:
    blocks = dealt(Blocks(size=5, repeats=1, design="random"), 25)
    assert len(blocks) == 5
    assert len({s for b in blocks for s in b.slots}) < 25


@given(
    st.integers(0, 36), st.sampled_from(["equi", "latin", "random", "triangular"]), st.integers(1, 4), st.integers(0, 9)
)
def test_calls_and_worst(slots: int, design: Any, repeats: int, seed: int) -> None:
    schedule = Blocks(size=9, repeats=2 * repeats, design=design)
    asked = len(dealt(schedule, slots, seed))
    assert asked <= schedule.worst(slots)
    if design in ("equi", "random") or slots in (36, 0, 1):
        assert asked == schedule.calls(slots)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 1}, "size is 1; give a whole number of 2 or more"),
        ({"repeats": 0}, "repeats is 0"),
        ({"repeats": True}, "repeats is True"),
        ({"design": "spiral"}, "there are equi, latin, triangular, random"),
        ({"design": "triangular", "repeats": 3}, "give 2, 4"),
        ({"shown": "best"}, "'shuffled' or 'previous'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Blocks(**settings)


def test_shuffles_shuffle_every_copy() -> None:
    blocks = dealt(Shuffles(times=6), 12)
    assert len({b.slots for b in blocks}) == 6
    assert all(sorted(b.slots) == list(range(12)) for b in blocks)
    assert tuple(range(12)) not in {b.slots for b in blocks}
    assert [b.variant for b in blocks] == list(range(6))
    assert len({b.seed for b in blocks}) == 6


def test_shuffling_is_even() -> None:
    """Over many queries every slot is shown at every place about as often."""
    first = Counter(dealt(Shuffles(times=1), 4, seed)[0].slots[0] for seed in range(2000))
    assert all(420 < first[slot] < 580 for slot in range(4))


def test_one_slot_is_not_shuffled() -> None:
    assert dealt(Shuffles(), 1) == []
    assert Shuffles().calls(1) == 0
    with pytest.raises(UsageError, match="times is 0"):
        Shuffles(times=0)


def _best_comes_first(final: bool, seed: int) -> bool:
    worth = Random(seed).sample(range(50), 50)
    schedule = Blocks(size=10, repeats=2, final=final)
    played = play(schedule.plan(50, seed), lambda block: best_first(block, worth))
    assert len(played.blocks) == schedule.calls(50) == 10 + final
    order = played.order or aggregate_blocks("win_rate", played.blocks, played.answers, 50).order
    assert sorted(order) == list(range(50))
    return worth[order[0]] == 49


def test_a_last_block_of_the_best_settles_what_one_round_leaves_tied() -> None:
    assert all(_best_comes_first(True, seed) for seed in range(40))
    assert not all(_best_comes_first(False, seed) for seed in range(40))


def test_a_list_that_fits_one_block_has_no_last_block() -> None:
    schedule = Blocks(size=10, repeats=2, final=True)
    played = play(schedule.plan(8, 0), lambda block: best_first(block, range(8)))
    assert (len(played.blocks), played.order) == (2, None)


def test_out_of_time_before_the_last_block_the_order_so_far_stands() -> None:
    plan = Blocks(size=4, repeats=3, final=True).plan(12, 0)
    blocks = next(plan)
    plan.send([best_first(block, range(12)) for block in blocks])
    with pytest.raises(StopIteration) as end:
        plan.throw(TimeoutError())
    assert sorted(end.value.value) == list(range(12))
