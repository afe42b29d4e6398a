"""A plan that is told that its time is up answers with the order it has, or leaves it to an aggregator."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.rerank.schedules import BothOrders, Pairs, Sliding, make_schedule
from mmrank.rerank.schedules.play import best_first

WORTH = [float(w) for w in (3, 11, 0, 7, 9, 1, 10, 4, 8, 2, 6, 5)]


def stopped(schedule: Any, rounds: int, slots: int = 12) -> Any:
    """The order of a plan that is stopped when `rounds` rounds have been answered, or its end if that comes sooner."""
    plan = schedule.plan(slots, 0, scores=[0.0] * slots)
    try:
        blocks = next(plan)
        for _ in range(rounds):
            blocks = plan.send([best_first(block, WORTH) for block in blocks])
        plan.throw(TimeoutError())
    except StopIteration as end:
        return end.value
    raise AssertionError("it went on after its time was up")


def best(slots: Any) -> list[int]:
    return sorted(slots, key=lambda slot: -WORTH[slot])


def test_windows_that_were_answered_count() -> None:
    schedule = Sliding(window=4, stride=2)
    assert stopped(schedule, 0) == list(range(12))
    last = best(range(8, 12))
    assert stopped(schedule, 1) == [*range(8), *last]
    assert stopped(schedule, 2) == [*range(6), *best([6, 7, *last[:2]]), *last[2:]]
    assert stopped(BothOrders(schedule), 1) == [*range(8), *last]


def test_bubbles_that_rose_stay_risen() -> None:
    assert stopped(Pairs(method="bubble"), 0) == list(range(12))
    assert stopped(Pairs(method="bubble"), 2) == [*range(9), 10, 9, 11]


def test_a_heap_puts_what_it_has_drawn_first() -> None:
    schedule = Pairs(method="heap")
    orders = [stopped(schedule, rounds) for rounds in range(90)]
    assert orders[0] == list(range(12))
    for order in orders:
        drawn = next((i for i in range(12, -1, -1) if order[:i] == best(range(12))[:i]), 0)
        assert order[drawn:] == sorted(order[drawn:])
    assert orders[-1] == best(range(12))


@pytest.mark.parametrize("kind", ["blocks", "shuffles", "groups", "pointwise", "early_exit"])
def test_a_plan_without_an_order_leaves_it_to_the_aggregator(kind: str) -> None:
    with pytest.raises(TimeoutError):
        stopped(make_schedule(kind), 0)


def test_both_orders_of_a_plan_without_an_order() -> None:
    with pytest.raises(TimeoutError):
        stopped(make_schedule("shuffles", both_orders=True), 0)


@given(
    st.sampled_from([Sliding(window=5, stride=2), Pairs(method="heap", top_k=4), Pairs(method="bubble", top_k=3)]),
    st.integers(0, 40),
    st.integers(2, 12),
)
def test_always_a_permutation(schedule: Any, rounds: int, slots: int) -> None:
    assert sorted(stopped(schedule, rounds, slots)) == list(range(slots))
