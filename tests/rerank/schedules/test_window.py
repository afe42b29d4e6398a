"""The whole list at once, and the sliding window."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules.play import best_first, play
from mmrank.rerank.schedules.window import Single, Sliding


def silent(block: Block) -> Answer:
    """The answer of a judge whose text could not be used; the order in it must not be taken for one."""
    size = len(block.slots)
    return Answer(order=tuple(range(size))[::-1], named=0, status="fell_back", appended=size)


def test_single_shows_the_list_as_it_is_once() -> None:
    played = play(Single().plan(5, seed=3), lambda b: best_first(b, [1, 2, 3, 4, 5]))
    assert [b.slots for b in played.blocks] == [(0, 1, 2, 3, 4)]
    assert played.order == (4, 3, 2, 1, 0)


def test_single_keeps_the_order_when_the_answer_fell_back() -> None:
    assert play(Single().plan(4, seed=0), silent).order == (0, 1, 2, 3)


@pytest.mark.parametrize("slots", [0, 1])
@pytest.mark.parametrize("schedule", [Single(), Sliding()])
def test_nothing_to_order_asks_nothing(schedule: Single | Sliding, slots: int) -> None:
    played = play(schedule.plan(slots, seed=0), silent)
    assert played.blocks == []
    assert list(played.order or []) == list(range(slots))
    assert schedule.calls(slots) == 0


def test_windows_run_from_the_end_to_the_start() -> None:
    played = play(Sliding(window=20, stride=10).plan(100, seed=0), silent)
    assert [(b.slots[0], b.slots[-1] + 1) for b in played.blocks] == [(s, s + 20) for s in range(80, -1, -10)]
    assert played.rounds == 9


@pytest.mark.parametrize(
    ("slots", "windows"),
    [
        (20, [(0, 20)]),
        (21, [(1, 21), (0, 11)]),
        (25, [(5, 25), (0, 15)]),
        (30, [(10, 30), (0, 20)]),
        (31, [(11, 31), (1, 21), (0, 11)]),
    ],
)
def test_it_stops_after_the_window_that_begins_at_0(slots: int, windows: list[tuple[int, int]]) -> None:
    """As in rank_llm: the last window is what is left of the list."""
    played = play(Sliding(window=20, stride=10).plan(slots, seed=0), silent)
    assert [(b.slots[0], b.slots[-1] + 1) for b in played.blocks] == windows


def test_the_best_are_carried_up() -> None:
    """One pass with a perfect judge brings the best `window - stride` to the top, wherever they were."""
    worth = [float(w) for w in Random(1).sample(range(100), 100)]
    played = play(Sliding(window=20, stride=10).plan(100, seed=0), lambda b: best_first(b, worth))
    assert played.order is not None
    assert [worth[s] for s in played.order[:10]] == list(range(99, 89, -1))


def test_a_window_that_fell_back_is_left_as_it_is() -> None:
    worth = [float(w) for w in range(6)]
    fails = (2, 3, 4, 5)
    played = play(
        Sliding(window=4, stride=2).plan(6, seed=0), lambda b: silent(b) if b.slots == fails else best_first(b, worth)
    )
    assert played.order == [3, 2, 1, 0, 4, 5]


def test_passes_go_over_the_new_order() -> None:
    worth = [float(w) for w in range(12)]
    schedule = Sliding(window=4, stride=2, passes=3)
    played = play(schedule.plan(12, seed=0), lambda b: best_first(b, worth))
    assert played.order is not None
    assert list(played.order[:6]) == [11, 10, 9, 8, 7, 6]
    assert len(played.blocks) == schedule.calls(12) == 15


@given(st.integers(0, 60), st.integers(2, 12), st.data())
def test_always_a_permutation_and_as_many_calls_as_said(slots: int, window: int, data: st.DataObject) -> None:
    schedule = Sliding(window=window, stride=data.draw(st.integers(1, window - 1)))
    random = Random(slots)

    def answer(block: Block) -> Answer:
        size = len(block.slots)
        return Answer(order=tuple(random.sample(range(size), size)), named=random.randint(0, size))

    played = play(schedule.plan(slots, seed=0), answer)
    assert sorted(played.order or []) == list(range(slots))
    assert len(played.blocks) == schedule.calls(slots) == schedule.worst(slots)
    assert max((len(b.slots) for b in played.blocks), default=0) == (schedule.largest(slots) if slots > 1 else 0)


@pytest.mark.parametrize("settings", [{"window": 1}, {"stride": 0}, {"window": 10, "stride": 10}, {"passes": 0}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"'sliding'.*give"):
        Sliding(**settings)


def test_a_setting_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(UsageError, match="window is 2.5"):
        Sliding(window=2.5)  # type: ignore[arg-type]
