"""A pointwise scorer that stops."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.aggregators import aggregate_blocks
from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules.early_exit import EarlyExit
from mmrank.rerank.schedules.play import Played, play


def exit_reference(scores: list[float], k: int, patience: int) -> int:
    """How many slots the paper's rule scores, written with a plain sorted list."""
    best = sorted(scores[:k])
    misses = 0
    for number, score in enumerate(scores[k:], start=min(k, len(scores))):
        if misses == patience:
            return number
        if score > best[0]:
            best = sorted([*best[1:], score])
            misses = 0
        else:
            misses += 1
    return len(scores)


def scored(schedule: EarlyExit, scores: list[float | None], first: list[float] | None = None) -> Played:
    def answer(block: Block) -> Answer:
        score = scores[block.slots[0]]
        status: Any = "failed" if score is None else "ok"
        return Answer(order=(0,), named=int(score is not None), scores=(score,), status=status)

    return play(schedule.plan(len(scores), 0, scores=first), answer)


lists = st.lists(st.integers(0, 30).map(float), max_size=40)


@given(lists, st.integers(1, 8), st.integers(1, 5))
def test_one_at_a_time_is_the_papers_rule(scores: list[float], k: int, patience: int) -> None:
    played = scored(EarlyExit(k=k, patience=patience), list(scores))
    assert [b.slots[0] for b in played.blocks] == list(range(exit_reference(scores, k, patience)))


@given(lists, st.integers(1, 8), st.integers(1, 5), st.integers(1, 9))
def test_batches_score_at_most_batch_minus_one_more(scores: list[float], k: int, patience: int, batch: int) -> None:
    played = scored(EarlyExit(k=k, patience=patience, batch=batch), list(scores))
    exact = exit_reference(scores, k, patience)
    assert exact <= len(played.blocks) <= min(len(scores), exact + batch - 1)


def test_slots_not_scored_stay_behind_in_previous_order() -> None:
    scores: list[float | None] = [5, 4, 3, 1, 1, 1, 9, 9]
    played = scored(EarlyExit(k=2, patience=2), scores)
    assert len(played.blocks) == 4
    got = aggregate_blocks("mean", played.blocks, played.answers, 8)
    assert got.order == (0, 1, 2, 3, 4, 5, 6, 7)
    assert got.scores == (5, 4, 3, 1, None, None, None, None)


def test_an_unknown_score_counts_neither_way() -> None:
    played = scored(EarlyExit(k=1, patience=2), [5, 1, None, None, 1, 9])
    assert len(played.blocks) == 5


def test_unknown_among_the_first_k_leaves_room() -> None:
    """The best k are then found among those that have a score."""
    played = scored(EarlyExit(k=2, patience=1), [None, 5, 1, 0, 3])
    assert len(played.blocks) == 4


def test_pruning_keeps_what_is_near_the_kth_score() -> None:
    first = [1.0, 0.9, 0.8, 0.79, 0.7, 0.78]
    played = scored(EarlyExit(k=3, patience=9, alpha=0.03), [1.0] * 6, first)
    assert [b.slots[0] for b in played.blocks] == [0, 1, 2, 3, 5]


def test_pruning_with_negative_scores_still_looks_downwards() -> None:
    """(1 - alpha) * s_k would lie above a negative s_k and drop the first k themselves."""
    first = [-0.1, -0.2, -0.3, -0.31, -0.5]
    played = scored(EarlyExit(k=3, patience=9, alpha=0.05), [1.0] * 5, first)
    assert [b.slots[0] for b in played.blocks] == [0, 1, 2, 3]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.integers(1, 10), st.floats(0, 1))
def test_pruning_never_leaves_fewer_than_k(first: list[float], k: int, alpha: float) -> None:
    played = scored(EarlyExit(k=k, patience=100, alpha=alpha), [0.0] * len(first), first)
    assert len(played.blocks) >= min(k, len(first))


def test_pruning_needs_first_stage_scores() -> None:
    schedule = EarlyExit(k=1, alpha=0.1)
    for first in (None, [1.0, 0.5], [1.0, math.nan, 0.0]):
        with pytest.raises(UsageError, match="it needs 3 finite ones"):
            next(schedule.plan(3, 0, scores=first))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-3, 3)), max_size=30), st.integers(1, 6), st.integers(1, 4))
def test_within_the_margin_the_best_k_are_those_of_asking_all(both: list[tuple[int, int]], k: int, batch: int) -> None:
    """A dear judge that nowhere exceeds the cheap one by more than 3 keeps its own best k, whatever is left out."""
    cheap = [float(c) for c, _ in both]
    dear = [float(c + d) for c, d in both]
    played = scored(EarlyExit(k=k, batch=batch, margin=3.0), list(dear), cheap)
    got = sorted((dear[b.slots[0]] for b in played.blocks), reverse=True)[:k]
    assert got == sorted(dear, reverse=True)[:k]


def test_a_margin_leaves_out_what_could_not_enter() -> None:
    played = scored(EarlyExit(k=2, margin=1.0), [5, 5, 9, 9, 9, 9], [6, 6, 4, 4.5, 3, -math.inf])
    assert [b.slots[0] for b in played.blocks] == [0, 1, 3]
    assert len(scored(EarlyExit(k=1, margin=9.0, patience=2), [5, 1, 1, 9], [5, 4, 3, 2]).blocks) == 3


def test_what_the_cheap_judge_did_not_score_fills_the_best_k_only() -> None:
    played = scored(EarlyExit(k=3, margin=99.0), [1, 2, 3, 4], [1, 1, -math.inf, -math.inf])
    assert [b.slots[0] for b in played.blocks] == [0, 1, 2]


def test_a_margin_needs_scores_to_compare_with() -> None:
    for first in (None, [1.0, 0.5], [1.0, math.nan, 0.0]):
        with pytest.raises(UsageError, match="margin compares with"):
            next(EarlyExit(k=1, margin=1.0).plan(3, 0, scores=first))


def test_patience_is_three_where_nothing_is_said() -> None:
    scores: list[float | None] = [5, 1, 1, 1, 1, 1]
    assert len(scored(EarlyExit(k=1), scores).blocks) == len(scored(EarlyExit(k=1, patience=3), scores).blocks) == 4


def test_estimates() -> None:
    schedule = EarlyExit(k=10, patience=3)
    assert EarlyExit(margin=1.0).calls(50) == 50
    assert 13 <= schedule.calls(50) <= schedule.worst(50) == 50
    assert schedule.calls(5) == 5
    assert schedule.calls(0) == 0


@pytest.mark.parametrize(
    "settings",
    [{"k": 0}, {"patience": 0}, {"batch": 0}, {"alpha": -0.1}, {"alpha": math.nan}, {"alpha": "a"}, {"margin": -1}],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="'early_exit'.*give"):
        EarlyExit(**settings)
