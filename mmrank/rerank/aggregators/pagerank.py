"""PageRank over comparisons: a win counts for more when it is over a slot that wins itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrank.rerank.aggregators.base import Aggregated, Table, by_score, number_in
from mmrank.rerank.aggregators.wins import Omitted, compared, win_table
from mmrank.rerank.parts import Answer, Block

DAMPING = 0.85
"""Brin & Page 1998; what JointRank uses."""


def pagerank(
    blocks: Sequence[Block],
    answers: Sequence[Answer],
    slots: int,
    *,
    damping: float = DAMPING,
    omitted: Omitted = "below",
) -> Aggregated:
    """The share of time a walk that goes from loser to winner spends at each slot; shares sum to 1 (JointRank).

    With probability 1 - `damping` the walk jumps anywhere, as it does from a slot that never lost. `damping` is 0 or
    more and below 1.
    """
    number_in("pagerank", "damping", damping, 0.0, 0.999)
    wins = win_table(blocks, answers, slots, omitted)
    met = compared(wins)
    shares = np.zeros(slots)
    if met.any():
        shares[met] = _stationary(wins[np.ix_(met, met)], damping)
    return by_score(shares.round(12), met)


def _stationary(wins: Table, damping: float) -> Table:
    n = len(wins)
    losses = wins.sum(axis=0)
    # Column j: where the walk goes from j. A slot that never lost sends it anywhere.
    steps = np.where(losses > 0, wins / np.maximum(losses, 0.5), 1.0 / n)
    shares: Table = np.linalg.solve(np.eye(n) - damping * steps, np.full(n, (1.0 - damping) / n))
    total: Table = shares / shares.sum()
    return total
