"""Groups that are scored."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.parts import Block
from mmrank.rerank.schedules.groups import Groups
from mmrank.rerank.schedules.play import best_first, play


def dealt(schedule: Groups, slots: int) -> list[Block]:
    played = play(schedule.plan(slots, 0), lambda b: best_first(b, [0.0] * slots))
    assert played.order is None
    assert played.rounds == (slots > 0)
    return played.blocks


@given(st.integers(0, 70), st.integers(1, 20), st.integers(1, 3))
def test_every_epoch_shows_every_slot_once_in_even_groups(slots: int, size: int, epochs: int) -> None:
    schedule = Groups(size=size, epochs=epochs)
    blocks = dealt(schedule, slots)
    assert len(blocks) == schedule.calls(slots) == schedule.worst(slots)
    for epoch in range(epochs):
        groups = [b.slots for b in blocks if b.variant == epoch]
        assert sorted(s for g in groups for s in g) == list(range(slots))
        sizes = Counter(map(len, groups))
        assert not sizes or (
            max(sizes) <= size and max(sizes) - min(sizes) <= 1 and max(sizes) == schedule.largest(slots)
        )


def test_epochs_are_shuffled_anew() -> None:
    blocks = dealt(Groups(size=20, epochs=2), 40)
    assert [len(b.slots) for b in blocks] == [20] * 4
    assert {frozenset(b.slots) for b in blocks[:2]} != {frozenset(b.slots) for b in blocks[2:]}
    assert blocks[0].slots != tuple(range(20))


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="size is 0"):
        Groups(size=0)
    with pytest.raises(UsageError, match="epochs is 0"):
        Groups(epochs=0)
