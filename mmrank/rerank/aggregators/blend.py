"""The judge's scores and the first stage's together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmrank.aggregate import Table, min_max
from mmrank.errors import UsageError
from mmrank.rerank.aggregators.base import Aggregated, by_score, number_in


def blend(
    order: Sequence[int], scores: Sequence[float | None], first_stage_scores: Sequence[float], alpha: float
) -> Aggregated:
    """alpha * judge + (1 - alpha) * first stage, each min-max over the slots the judge scored; 0..1 by slot.

    `order`: the judge's order, which decides ties. Slots without a judge's score stay behind, in that order, without
    a score. 0.6 is GroupRank's alpha. An order without scores can be given `place_scores`. A judge (or first stage)
    that scored all of them the same adds the same to each.

    >>> blend((1, 0), (0.1, 0.9), (0.5, 0.2), alpha=0.6).order
    (1, 0)
    """
    number_in("blend", "alpha", alpha, 0.0, 1.0)
    slots = len(order)
    if sorted(order) != list(range(slots)) or len(scores) != slots or len(first_stage_scores) != slots:
        raise UsageError(
            f"blend was given an order of {slots}, {len(scores)} judge's and {len(first_stage_scores)} first-stage "
            "scores; it needs a permutation of the slots and one score of each for every slot."
        )
    judged = [slot for slot in order if scores[slot] is not None]
    wrong = [slot for slot in judged if not math.isfinite(first_stage_scores[slot])]
    if wrong:
        raise UsageError(
            f"The first-stage score of slot {wrong[0]} is {first_stage_scores[wrong[0]]!r}; blend needs finite ones. "
            "Leave alpha out, or rerank a list whose hits carry scores."
        )
    both: Table = np.array([[scores[s] for s in judged], [first_stage_scores[s] for s in judged]], dtype=np.float64)
    mixed: list[float | None] = [None] * slots
    for slot, judge, first in zip(judged, *min_max(both), strict=True):
        mixed[slot] = float(alpha * judge + (1.0 - alpha) * first)
    # by_score breaks ties by number, so the slots are numbered in the judge's order for it.
    renamed = by_score([mixed[slot] for slot in order])
    return Aggregated(order=tuple(order[i] for i in renamed.order), scores=tuple(mixed))
