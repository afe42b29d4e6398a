"""Asking in both orders."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.aggregators import aggregate_blocks
from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules.blocks import Blocks, Shuffles
from mmrank.rerank.schedules.both_orders import BothOrders, agreement, merged, turned
from mmrank.rerank.schedules.early_exit import EarlyExit
from mmrank.rerank.schedules.groups import Groups
from mmrank.rerank.schedules.pairs import Pairs
from mmrank.rerank.schedules.play import best_first, play
from mmrank.rerank.schedules.pointwise import Pointwise
from mmrank.rerank.schedules.window import Single, Sliding


def as_shown(block: Block) -> Answer:
    """A judge that looks at the place only."""
    return Answer(order=tuple(range(len(block.slots))), named=len(block.slots))


@pytest.mark.parametrize("inner", [Single(), Sliding(window=4, stride=2), Blocks(size=4), Shuffles(), Groups(size=4)])
def test_each_block_is_asked_reversed_in_the_same_round(inner: Any) -> None:
    plain = play(inner.plan(9, 5), as_shown)
    both = play(BothOrders(inner).plan(9, 5), as_shown)
    assert both.rounds == plain.rounds
    forward, backward = both.blocks[::2], both.blocks[1::2]
    assert [b.slots for b in forward] == [b.slots[::-1] for b in backward]
    assert all(b.variant == f.variant + 1 and f.variant % 2 == 0 for f, b in zip(forward, backward, strict=True))
    assert all(b.seed != f.seed for f, b in zip(forward, backward, strict=True))
    assert BothOrders(inner).calls(9) == 2 * inner.calls(9) == len(both.blocks)
    assert BothOrders(inner).needs_scores == inner.needs_scores
    assert BothOrders(inner).needs_aggregator == inner.needs_aggregator
    assert BothOrders(inner).largest(9) == inner.largest(9)


def test_the_truth_agrees_and_the_place_does_not() -> None:
    worth = [float(w) for w in Random(0).sample(range(12), 12)]
    for inner in (Single(), Blocks(size=4, repeats=2), Sliding(window=6, stride=3)):
        true = play(BothOrders(inner).plan(12, 0), lambda b: best_first(b, worth))
        biased = play(BothOrders(inner).plan(12, 0), as_shown)
        assert agreement(true.blocks, true.answers) == 1.0
        assert agreement(biased.blocks, biased.answers) == 0.0


def test_chance_agrees_half() -> None:
    random = Random(3)

    def chance(block: Block) -> Answer:
        return Answer(order=tuple(random.sample(range(20), 20)), named=20)

    played = play(BothOrders(Shuffles(times=40)).plan(20, 0), chance)
    share = agreement(played.blocks, played.answers)
    assert share is not None
    assert 0.45 < share < 0.55


def test_duels_have_an_agreement_too() -> None:
    true = play(Pairs(method="all").plan(5, 0), lambda b: best_first(b, [5, 4, 3, 2, 1]))
    biased = play(Pairs(method="all").plan(5, 0), as_shown)
    assert agreement(true.blocks, true.answers) == 1.0
    assert agreement(biased.blocks, biased.answers) == 0.0


def test_no_agreement_without_both_orders() -> None:
    played = play(Single().plan(5, 0), as_shown)
    assert agreement(played.blocks, played.answers) is None
    failed = play(BothOrders(Single()).plan(5, 0), lambda b: Answer(order=(0, 1, 2, 3, 4), named=0, status="failed"))
    assert agreement(failed.blocks, failed.answers) is None


def test_only_what_both_name_is_compared() -> None:
    blocks = [Block(slots=(0, 1, 2), variant=0), Block(slots=(2, 1, 0), variant=1)]
    answers = [Answer(order=(0, 1, 2), named=2), Answer(order=(2, 1, 0), named=3)]
    assert agreement(blocks, answers) == 1.0
    # Slots 0 and 2 tie in the first answer and not in the second.
    tied = [
        Answer(order=(0, 2, 1), named=3, scores=(5.0, 4.0, 5.0)),
        Answer(order=(2, 1, 0), named=3, scores=(1, 2, 3)),
    ]
    assert agreement(blocks, tied) == pytest.approx(1 / 3)


@given(st.permutations(range(6)), st.integers(0, 6))
def test_turning_twice_is_nothing(order: list[int], named: int) -> None:
    answer = Answer(order=tuple(order), named=named, scores=tuple(map(float, order)))
    assert turned(turned(answer)) == answer


@given(st.permutations(range(6)))
def test_merging_two_of_one_mind_keeps_it(order: list[int]) -> None:
    answer = Answer(order=tuple(order), named=6)
    assert merged(answer, turned(answer)).order == tuple(order)


@given(st.permutations(range(5)), st.permutations(range(5)), st.integers(0, 5), st.integers(0, 5))
def test_merging_is_a_permutation_that_names_what_either_named(
    one: list[int], two: list[int], named_one: int, named_two: int
) -> None:
    first, second = Answer(order=tuple(one), named=named_one), Answer(order=tuple(two), named=named_two)
    got = merged(first, second)
    assert sorted(got.order) == list(range(5))
    assert set(got.asserted) == set(first.asserted) | set(turned(second).asserted)


def test_merging_evens_out_the_place() -> None:
    """0.3 for the first place; position 1 is the better one by 0.2."""
    forward = Answer(order=(0, 1), named=2, scores=(0.3 + 0.4, 0.6))
    backward = Answer(order=(0, 1), named=2, scores=(0.3 + 0.6, 0.4))
    got = merged(forward, backward)
    assert got.order == (1, 0)
    assert got.scores == pytest.approx((0.55, 0.75))


def test_a_failed_order_leaves_it_to_the_other() -> None:
    failed = Answer(order=(0, 1, 2), named=0, status="failed", error="no route")
    good = Answer(order=(0, 2, 1), named=3)
    assert merged(good, failed).order == (0, 2, 1)
    assert merged(failed, good).order == (2, 0, 1)
    assert merged(failed, good).status == "repaired"
    assert merged(failed, failed).status == "failed"


def test_a_sliding_window_under_a_biased_judge() -> None:
    """The judge adds a bonus for early places: alone it errs, in both orders it does not."""
    worth = [float(w) for w in Random(2).sample(range(10), 10)]

    def leaning(block: Block) -> Answer:
        places = {slot: 3.0 * place for place, slot in enumerate(block.slots)}
        return best_first(block, [worth[s] - places.get(s, 0.0) for s in range(10)])

    best = sorted(range(10), key=lambda s: -worth[s])
    alone = play(Sliding(window=6, stride=3, passes=3).plan(10, 0), leaning)
    both = play(BothOrders(Sliding(window=6, stride=3, passes=3)).plan(10, 0), leaning)
    assert list(alone.order or [])[:3] != best[:3]
    assert list(both.order or [])[:3] == best[:3]
    spread = play(BothOrders(Single()).plan(10, 0), leaning)
    assert list(aggregate_blocks("mean", spread.blocks, spread.answers, 10).order) == best


@pytest.mark.parametrize("inner", [Pairs(), Pointwise(), EarlyExit(), BothOrders(Single())])
def test_schedules_without_another_order_are_refused(inner: Any) -> None:
    with pytest.raises(UsageError, match="both_orders means nothing"):
        BothOrders(inner)
