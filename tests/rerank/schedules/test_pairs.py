"""Sorting by duels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules.pairs import Pairs
from mmrank.rerank.schedules.play import Played, best_first, play

worths = st.integers(0, 25).flatmap(lambda n: st.permutations(range(n)))


def by(worth: list[int]) -> Callable[[Block], Answer]:
    return lambda block: best_first(block, worth)


def bubble_reference(worth: list[int], top: int) -> list[int]:
    """The textbook: `top` passes from the end, one after the other."""
    order = list(range(len(worth)))
    for done in range(top):
        for place in range(len(order) - 1, done, -1):
            if worth[order[place]] > worth[order[place - 1]]:
                order[place - 1], order[place] = order[place], order[place - 1]
    return order


@given(worths, st.integers(1, 30))
def test_bubble_is_the_textbook_in_fewer_rounds(worth: list[int], top_k: int) -> None:
    played = play(Pairs(method="bubble", top_k=top_k).plan(len(worth), 0), by(worth))
    top = min(top_k, len(worth))
    assert played.order == bubble_reference(worth, top)
    assert played.rounds <= max(0, len(worth) + top - 2)


@given(worths, st.integers(1, 30))
def test_heap_finds_the_best_and_keeps_the_rest_in_previous_order(worth: list[int], top_k: int) -> None:
    played = play(Pairs(method="heap", top_k=top_k).plan(len(worth), 0), by(worth))
    best = sorted(range(len(worth)), key=lambda s: -worth[s])[:top_k]
    assert list(played.order or []) == best + [s for s in range(len(worth)) if s not in best]


@given(st.sampled_from(["bubble", "heap", "all"]), worths, st.integers())
def test_no_duel_is_asked_twice_and_each_in_both_orders(method: Any, worth: list[int], seed: int) -> None:
    played = play(Pairs(method=method).plan(len(worth), seed), by(worth))
    counts = Counter(b.slots for b in played.blocks)
    assert set(counts.values()) <= {1}
    assert all(counts[b.slots[::-1]] == 1 for b in played.blocks)
    assert [b.variant for b in played.blocks] == [0, 1] * (len(played.blocks) // 2)
    assert len(played.blocks) <= Pairs(method=method).worst(len(worth))


@given(st.sampled_from(["bubble", "heap"]), st.integers(0, 20), st.integers(1, 20), st.integers())
def test_a_judge_that_contradicts_itself_still_gets_a_permutation(method: Any, slots: int, top: int, seed: int) -> None:
    random = Random(seed)
    schedule = Pairs(method=method, top_k=top)
    played = play(
        schedule.plan(slots, 0), lambda b: Answer(order=random.choice([(0, 1), (1, 0)]), named=random.choice([0, 1, 2]))
    )
    assert sorted(played.order or []) == list(range(slots))
    assert len(played.blocks) <= schedule.worst(slots)


@pytest.mark.parametrize("method", ["bubble", "heap"])
@pytest.mark.parametrize("says", [Answer(order=(0, 1), named=2), Answer(order=(1, 0), named=0, status="failed")])
def test_a_judge_that_looks_at_the_place_only_changes_nothing(method: Any, says: Answer) -> None:
    """It always takes the first shown (or nothing at all): every duel is a tie, ties keep the previous order."""
    played = play(Pairs(method=method, top_k=3).plan(12, 0), lambda b: says)
    assert list(played.order or []) == list(range(12))


def test_a_sorted_list_is_cheap_for_bubble() -> None:
    """Passes after the first meet duels that are known."""
    played = play(Pairs(method="bubble").plan(20, 0), by(list(range(20, 0, -1))))
    assert len(played.blocks) == 2 * 19


def test_heap_builds_side_by_side() -> None:
    played = _rounds(Pairs(method="heap", top_k=1), 31)
    assert played.rounds <= 2 * 4 + 2 * 3 + 2 * 2 + 2
    assert len(played.blocks) > played.rounds * 2


def _rounds(schedule: Pairs, slots: int) -> Played:
    return play(schedule.plan(slots, 0), by(Random(0).sample(range(slots), slots)))


def test_all_leaves_the_order_to_an_aggregator() -> None:
    schedule = Pairs(method="all")
    played = _rounds(schedule, 7)
    assert played.order is None
    assert schedule.needs_aggregator
    assert not Pairs(method="heap").needs_aggregator
    assert played.rounds == 1
    assert len(played.blocks) == schedule.calls(7) == 42


@pytest.mark.parametrize("schedule", [Pairs(method="heap", top_k=5), Pairs(method="bubble", top_k=5)])
def test_the_estimate_is_near_what_a_random_order_takes(schedule: Pairs) -> None:
    mean = sum(len(play(schedule.plan(30, g), by(Random(g + 99).sample(range(30), 30))).blocks) for g in range(20)) / 20
    assert abs(schedule.calls(30) - mean) < 0.1 * mean
    assert schedule.calls(30) <= schedule.worst(30)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "merge"}, "there are bubble, heap, all"),
        ({"top_k": 0}, "top_k is 0"),
        ({"method": "all", "top_k": 3}, "leave it out"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pairs(**settings)
