"""What holds for every aggregator."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.errors import RecipeError, UsageError
from mmrank.rerank.aggregators import AGGREGATORS, Aggregator, aggregate_blocks
from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules import Blocks, Pairs, Shuffles, play
from mmrank.rerank.schedules.play import best_first

METHODS = ["win_rate", "pagerank", "bradley_terry", "elo", "borda", "kemeny", "mean", "rrf"]

any_method = st.sampled_from(METHODS)


@st.composite
def asked(draw: st.DrawFn) -> tuple[list[Block], list[Answer], int]:
    """Blocks and answers of any kind: partial, tied, failed, with scores or without."""
    slots = draw(st.integers(0, 9))
    blocks, answers = [], []
    for _ in range(draw(st.integers(0, 5)) if slots else 0):
        shown = tuple(draw(st.permutations(range(slots)))[: draw(st.integers(1, slots))])
        order = tuple(draw(st.permutations(range(len(shown)))))
        named = draw(st.integers(0, len(shown)))
        scores: Any = draw(
            st.sampled_from(
                [
                    (),
                    tuple(
                        draw(
                            st.lists(
                                st.one_of(st.none(), st.integers(0, 3).map(float)),
                                min_size=len(shown),
                                max_size=len(shown),
                            )
                        )
                    ),
                ]
            )
        )
        status: Any = draw(st.sampled_from(["ok", "repaired", "fell_back", "failed"]))
        blocks.append(Block(slots=shown, variant=draw(st.integers(0, 1))))
        answers.append(Answer(order=order, named=named, scores=scores, status=status))
    return blocks, answers, slots


def test_every_method_is_there() -> None:
    assert list(AGGREGATORS) == METHODS


@settings(deadline=None)
@given(any_method, asked())
def test_a_permutation_comes_out_and_scores_fall(method: str, given_: tuple[list[Block], list[Answer], int]) -> None:
    blocks, answers, slots = given_
    got = aggregate_blocks(method, blocks, answers, slots)
    assert sorted(got.order) == list(range(slots))
    assert len(got.scores) == slots
    in_order = [got.scores[s] for s in got.order]
    known = [s for s in in_order if s is not None]
    assert in_order[: len(known)] == known
    assert known == sorted(known, reverse=True)
    behind = list(got.order[len(known) :])
    assert behind == sorted(behind)


@settings(deadline=None)
@given(any_method, asked())
def test_the_repair_rules_order_never_counts(method: str, given_: tuple[list[Block], list[Answer], int]) -> None:
    """Turning round what was appended changes nothing."""
    blocks, answers, slots = given_
    other = [
        Answer(order=(*a.asserted, *a.order[a.named :][::-1]), named=a.named, scores=a.scores, status=a.status)
        for a in answers
    ]
    assert aggregate_blocks(method, blocks, answers, slots) == aggregate_blocks(method, blocks, other, slots)


@settings(deadline=None)
@given(any_method, st.integers(2, 25).flatmap(lambda n: st.permutations(range(n))), st.integers(1, 5))
def test_unanimous_answers_give_their_order(method: str, worth: list[int], times: int) -> None:
    n = len(worth)
    played = play(Shuffles(times=times).plan(n, 0), lambda b: best_first(b, worth))
    got = aggregate_blocks(method, played.blocks, played.answers, n)
    assert [worth[s] for s in got.order] == list(range(n - 1, -1, -1))


@pytest.mark.parametrize("method", [m for m in METHODS if m != "mean"])
def test_unanimous_duels_give_their_order(method: str) -> None:
    worth = [float(w) for w in Random(5).sample(range(9), 9)]
    played = play(Pairs(method="all").plan(9, 0), lambda b: best_first(b, worth))
    got = aggregate_blocks(method, played.blocks, played.answers, 9)
    assert [worth[s] for s in got.order] == list(range(8, -1, -1))


@pytest.mark.parametrize("method", METHODS)
def test_nothing_usable_keeps_the_previous_order(method: str) -> None:
    blocks = [Block(slots=(3, 1, 2)), Block(slots=(0, 4, 1))]
    answers = [Answer(order=(2, 1, 0), named=0, status="fell_back"), Answer(order=(2, 1, 0), named=3, status="failed")]
    got = aggregate_blocks(method, blocks, answers, 5)
    assert got.order == (0, 1, 2, 3, 4)
    assert got.scores == (None,) * 5


@pytest.mark.parametrize("method", METHODS)
def test_a_perfect_judge_over_blocks_finds_the_best(method: str) -> None:
    worth = [float(w) for w in Random(0).sample(range(50), 50)]
    played = play(Blocks(size=10, repeats=4).plan(50, 0), lambda b: best_first(b, worth))
    got = aggregate_blocks(method, played.blocks, played.answers, 50)
    best = sorted(range(50), key=lambda s: -worth[s])
    # The best wins all its blocks; so may one or two others that it never met.
    assert got.order.index(best[0]) < 3
    assert len(set(got.order[:10]) & set(best[:10])) >= 6


def test_settings_reach_the_method_and_are_checked_when_it_is_made() -> None:
    assert Aggregator("mean", {"divide_by": 10}).needs_scores
    with pytest.raises(RecipeError, match="'median'; there are win_rate, pagerank"):
        Aggregator("median")
    with pytest.raises(RecipeError, match="no setting 'damping'; it takes per_opponent, omitted"):
        Aggregator("win_rate", {"damping": 0.5})
    with pytest.raises(UsageError, match="damping is 2"):
        Aggregator("pagerank", {"damping": 2})
    with pytest.raises(UsageError, match="omitted is 'x'"):
        Aggregator("borda", {"omitted": "x"})
