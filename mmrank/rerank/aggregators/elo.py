"""Elo ratings: every block is a small tournament."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from mmrank.rerank.aggregators.base import Aggregated, Table, by_score, number_in
from mmrank.rerank.aggregators.wins import Omitted, compared, win_table
from mmrank.rerank.parts import Answer, Block

START = 1500.0
SCALE = 400.0
"""A slot this much higher wins ten games of eleven."""
K_FACTOR = 32.0
PASSES = 16

_STEEPEST = float(np.log(10)) / SCALE / 4
"""The largest slope of the expected score over the difference of two ratings."""


def elo(
    blocks: Sequence[Block],
    answers: Sequence[Answer],
    slots: int,
    *,
    k_factor: float = K_FACTOR,
    passes: int = PASSES,
    omitted: Omitted = "below",
) -> Aggregated:
    """Ratings that start at 1500; each block is one rating period: all its games count against the ratings before it.

    The blocks are gone through `passes` times, each time in another order drawn from a fixed seed, and the rating is
    the mean over the passes' ends, so that no block decides by coming last. `k_factor` (above 0) is lowered for large
    blocks to what keeps one period from moving two slots past each other further than they stood apart.
    """
    number_in("elo", "k_factor", k_factor, 1e-6, float("inf"))
    number_in("elo", "passes", passes, 1, 10_000)
    wins = win_table(blocks, answers, slots, omitted)
    ratings, total = np.full(slots, START), np.zeros(slots)
    periods = _periods(blocks, answers, slots, omitted)
    random = Random(0)
    for _ in range(int(passes)):
        for met, table in random.sample(periods, len(periods)):
            now = ratings[met]
            expected = 1.0 / (1.0 + 10.0 ** ((now[None, :] - now[:, None]) / SCALE))
            gain = min(k_factor, 1.0 / (_STEEPEST * max(1.0, table.max()) * 2 * len(met)))
            ratings[met] += gain * (table - (table + table.T) * expected).sum(axis=1)
        total += ratings
    return by_score((total / passes).round(8), compared(wins))


def _periods(
    blocks: Sequence[Block], answers: Sequence[Answer], slots: int, omitted: Omitted
) -> list[tuple[Table, Table]]:
    """(slots met, their win table) of each tournament: all blocks over the same slots together, so that a duel in
    both orders is one."""
    together: dict[tuple[int, ...], list[int]] = {}
    for place, block in enumerate(blocks):
        together.setdefault(tuple(sorted(block.slots)), []).append(place)
    periods = []
    for members, places in together.items():
        met = np.array(members)
        table = win_table([blocks[p] for p in places], [answers[p] for p in places], slots, omitted)
        periods.append((met, table[np.ix_(met, met)]))
    return periods
