"""Kemeny: the order that contradicts the fewest comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmrank.rerank.aggregators.base import Aggregated, number_in, place_scores
from mmrank.rerank.aggregators.wins import Omitted, compared, win_table
from mmrank.rerank.parts import Answer, Block

EXACT_UP_TO = 20
"""Slots that contradict each other in a circle and are still ordered exactly: 2**18 subsets take 0.3 s, 2**20 two."""

Costs = npt.NDArray[np.int64]


def kemeny(
    blocks: Sequence[Block],
    answers: Sequence[Answer],
    slots: int,
    *,
    exact_up_to: int = EXACT_UP_TO,
    omitted: Omitted = "below",
) -> Aggregated:
    """The order with the least total Kendall distance to the answers; scores are places, n for the best.

    Slots that beat all others of a group by majority stand before it in every optimum (the extended Condorcet
    criterion), so the list falls into groups that are solved alone. A group of up to `exact_up_to` (1..20) slots is
    solved exactly, by dynamic programming over its subsets; a larger one by moving single slots, from the order of
    most wins, until no move helps, and `note` says so. Of equally good orders the nearest to the previous one is taken.
    """
    number_in("kemeny", "exact_up_to", exact_up_to, 1, 20)
    wins = win_table(blocks, answers, slots, omitted)
    met = np.flatnonzero(compared(wins))
    costs = _costs(wins[np.ix_(met, met)])
    order: list[int] = []
    searched = 0
    for group in majority_groups(costs):
        part = costs[np.ix_(group, group)]
        exact = len(group) <= exact_up_to
        best = exact_order(part) if exact else local_order(part)
        searched = max(searched, 0 if exact else len(group))
        order += [int(met[group[i]]) for i in best]
    never = sorted(set(range(slots)) - set(order))
    note = f"Kemeny order by local search: {searched} candidates contradict each other in a circle" if searched else ""
    return Aggregated(order=(*order, *never), scores=place_scores((*order, *never), len(order)), note=note)


def _costs(wins: npt.NDArray[np.float64]) -> Costs:
    """costs[i, j]: what it costs to put i before j. Whole numbers: twice the wins of j, times a number so large that
    all ties together, one each for turning the previous order, never outweigh half a win."""
    n = len(wins)
    turned = np.tril(np.ones((n, n), dtype=np.int64), -1)
    costs: Costs = np.rint(2 * wins.T).astype(np.int64) * (n * n) + turned
    return costs


def majority_groups(costs: Costs) -> list[list[int]]:
    """The strongly connected parts of the majority tournament, best first.

    In a tournament the k slots with the most majorities are a union of leading parts exactly when together they have
    all k(k-1)/2 majorities among themselves and all over the n - k others.
    """
    n = len(costs)
    majorities = (costs < costs.T).sum(axis=1)
    by_most = sorted(range(n), key=lambda i: -majorities[i])
    groups: list[list[int]] = []
    start, total = 0, 0
    for k, slot in enumerate(by_most, start=1):
        total += int(majorities[slot])
        if total == k * (k - 1) // 2 + k * (n - k):
            groups.append(sorted(by_most[start:k]))
            start = k
    return groups


def exact_order(costs: Costs) -> list[int]:
    """The cheapest order of n slots, by dynamic programming: the best way to put a subset first, for all subsets."""
    n = len(costs)
    if n <= 1:
        return list(range(n))
    half = n // 2
    low, high = _subset_sums(costs[:half]), _subset_sums(costs[half:])
    mask = (1 << half) - 1
    sizes = _subset_sums(np.ones((n, 1), dtype=np.int64))[0]
    best = np.full(1 << n, np.iinfo(np.int64).max)
    last = np.zeros(1 << n, dtype=np.int8)
    best[0] = 0
    by_size = np.argsort(sizes, kind="stable")
    bounds = np.searchsorted(sizes[by_size], np.arange(n + 2))
    for size in range(1, n + 1):
        layer = by_size[bounds[size] : bounds[size + 1]]
        for slot in range(n):
            here = layer[(layer >> slot) & 1 == 1]
            before = here ^ (1 << slot)
            total = best[before] + low[slot][before & mask] + high[slot][before >> half]
            better = total < best[here]
            best[here[better]] = total[better]
            last[here[better]] = slot
    order, left = [], (1 << n) - 1
    while left:
        slot = int(last[left])
        order.append(slot)
        left ^= 1 << slot
    return order[::-1]


def _subset_sums(costs: Costs) -> list[Costs]:
    """For each column: the sum of the rows of every subset of rows, indexed by the subset's bits."""
    sums = np.zeros((1, costs.shape[1]), dtype=np.int64)
    for row in costs:
        sums = np.concatenate([sums, sums + row])
    return list(sums.T)


def local_order(costs: Costs) -> list[int]:
    """An order that moving any one slot does not improve, started at the order of most wins (Borda)."""
    n = len(costs)
    order = np.argsort(costs.sum(axis=1), kind="stable")
    improved = True
    while improved:
        improved = False
        for slot in range(n):
            place = int(np.flatnonzero(order == slot)[0])
            rest = np.delete(order, place)
            # What `slot` costs at each of n places: before rest[p:] and behind rest[:p].
            behind = np.concatenate([[0], np.cumsum(costs[rest, slot])])
            before = np.concatenate([[0], np.cumsum(costs[slot, rest][::-1])])[::-1]
            total = behind + before
            target = int(total.argmin())
            if total[target] < total[place]:
                order = np.insert(rest, target, slot)
                improved = True
    return [int(i) for i in order]
