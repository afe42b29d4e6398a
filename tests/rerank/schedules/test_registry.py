"""Schedules by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mmrank.errors import RecipeError, UsageError
from mmrank.rerank.schedules import SCHEDULES, BothOrders, Schedule, Sliding, make_schedule
from mmrank.rerank.schedules.play import best_first, play

KINDS = ["single", "sliding", "blocks", "shuffles", "groups", "pairs", "early_exit", "pointwise"]


def test_every_kind_is_there() -> None:
    assert list(SCHEDULES) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_holds_the_protocol(kind: str) -> None:
    schedule = make_schedule(kind)
    assert isinstance(schedule, Schedule)
    assert schedule.kind == kind
    assert hash(schedule) == hash(make_schedule(kind))
    assert type(schedule).__dataclass_params__.frozen  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slots", [0, 1, 2, 7, 33])
def test_every_kind_stays_within_what_it_promises(kind: str, slots: int) -> None:
    schedule = make_schedule(kind)
    worth = [float((s * 7) % 33) for s in range(slots)]
    played = play(schedule.plan(slots, 4), lambda b: best_first(b, worth))
    assert len(played.blocks) <= schedule.worst(slots)
    assert schedule.calls(slots) <= schedule.worst(slots)
    assert max((len(b.slots) for b in played.blocks), default=0) <= schedule.largest(slots)
    assert (played.order is None) == schedule.needs_aggregator
    assert all(len(set(b.slots)) == len(b.slots) and set(b.slots) <= set(range(slots)) for b in played.blocks)
    keys = [(b.slots, b.variant) for b in played.blocks]
    assert len(set(keys)) == len(keys)
    assert played.order is None or sorted(played.order) == list(range(slots))


def test_settings_are_passed_on() -> None:
    assert make_schedule("sliding", window=8, stride=4) == Sliding(window=8, stride=4)
    assert make_schedule("sliding", both_orders=True) == BothOrders(Sliding())


def test_unknown_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(RecipeError, match="'windows'; there are single, sliding"):
        make_schedule("windows")
    with pytest.raises(RecipeError, match="no setting 'size'; it takes window, stride, passes"):
        make_schedule("sliding", size=3)
    with pytest.raises(RecipeError, match="it takes no settings"):
        make_schedule("single", window=3)
    with pytest.raises(UsageError, match="window is 0"):
        make_schedule("sliding", window=0)


def test_no_heavy_library_is_imported() -> None:
    code = "import sys, mmrank.rerank.schedules, mmrank.rerank.aggregators; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
