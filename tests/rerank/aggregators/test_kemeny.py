"""Kemeny against all permutations."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.aggregators.kemeny import exact_order, kemeny, local_order, majority_groups
from mmrank.rerank.parts import Answer, Block

votes = st.integers(2, 6).flatmap(lambda n: st.lists(st.permutations(range(n)), min_size=1, max_size=5))


def as_blocks(orders: list[list[int]]) -> tuple[list[Block], list[Answer]]:
    n = len(orders[0])
    blocks = [Block(slots=tuple(range(n)), variant=v) for v in range(len(orders))]
    return blocks, [Answer(order=tuple(o), named=n) for o in orders]


def distance(one: tuple[int, ...], other: list[int]) -> int:
    """Kendall: the pairs two orders put different ways round."""
    return sum((one.index(a) < one.index(b)) != (other.index(a) < other.index(b)) for a, b in combinations(one, 2))


@settings(deadline=None)
@given(votes)
def test_it_is_the_best_of_all_permutations_and_of_those_the_nearest_to_the_previous_order(
    orders: list[list[int]],
) -> None:
    n = len(orders[0])
    got = kemeny(*as_blocks(orders), n)
    previous = list(range(n))
    want = min(permutations(range(n)), key=lambda p: (sum(distance(p, o) for o in orders), distance(p, previous)))
    total = sum(distance(got.order, o) for o in orders)
    assert (total, distance(got.order, previous)) == (sum(distance(want, o) for o in orders), distance(want, previous))
    assert got.note == ""
    assert [got.scores[s] for s in got.order] == list(range(n, 0, -1))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_exact_order_on_any_costs(seed: int, n: int) -> None:
    costs = np.random.default_rng(seed).integers(0, 50, (n, n))
    price = lambda order: sum(int(costs[a, b]) for a, b in combinations(order, 2))  # noqa: E731
    assert price(exact_order(costs)) == min(map(price, permutations(range(n))))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_groups_are_solved_alone_without_loss(seed: int, n: int) -> None:
    """The whole solved at once costs the same as its groups one after the other."""
    costs = np.random.default_rng(seed).permutation(n * n).reshape(n, n)
    groups = majority_groups(costs)
    assert sorted(s for g in groups for s in g) == list(range(n))
    parts = [g[i] for g in groups for i in exact_order(costs[np.ix_(g, g)])]
    price = lambda order: sum(int(costs[a, b]) for a, b in combinations(order, 2))  # noqa: E731
    assert price(parts) == price(exact_order(costs))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 25))
def test_no_single_move_improves_the_local_order(seed: int, n: int) -> None:
    costs = np.random.default_rng(seed).integers(0, 9, (n, n))
    price = lambda order: sum(int(costs[a, b]) for a, b in combinations(order, 2))  # noqa: E731
    order = local_order(costs)
    assert sorted(order) == list(range(n))
    for slot in range(n):
        rest = [s for s in order if s != slot]
        assert all(price([*rest[:p], slot, *rest[p:]]) >= price(order) for p in range(n))


def test_a_large_circle_is_searched_and_said() -> None:
    """0 beats 1 beats 2 ... beats 24 beats 0."""
    blocks = [Block(slots=(i, (i + 1) % 25)) for i in range(25)]
    answers = [Answer(order=(0, 1), named=2)] * 25
    got = kemeny(blocks, answers, 26)
    assert "local search: 25 candidates" in got.note
    assert got.order == tuple(range(26))
    assert got.scores[25] is None


def test_twenty_in_a_circle_are_exact() -> None:
    """Three orders, each begun at another third of a circle: every candidate is beaten by one that it beats around."""
    orders = [[(start + i) % 20 for i in range(20)] for start in (0, 7, 13)]
    got = kemeny(*as_blocks(orders), 20)
    assert got.note == ""
    local = kemeny(*as_blocks(orders), 20, exact_up_to=1)
    assert "local search: 20 candidates" in local.note
    totals = [sum(distance(g.order, o) for o in orders) for g in (got, local)]
    assert totals[0] <= totals[1]


def test_a_hundred_nearly_agreeing_orders_fall_into_small_groups() -> None:
    """Contradictions stay near each other in a noisy order, so even long lists are mostly exact."""
    rng = np.random.default_rng(1)
    orders = [np.argsort(np.arange(100) + rng.normal(0, 1.0, 100)).tolist() for _ in range(5)]
    assert kemeny(*as_blocks(orders), 100).note == ""


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="exact_up_to is 30; give a number from 1 to 20"):
        kemeny([], [], 0, exact_up_to=30)
