"""Which queries the page shows: the biggest gains and losses, those that went wrong, and a sample of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from mmrank.evaluation.dataset import Task
from mmrank.evaluation.report.sides import FloatArray, Side, pairs
from mmrank.evaluation.report.words import count


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """Positions of the queries shown, ascending, and how they were chosen, in words."""

    positions: tuple[int, ...]
    said: str


def pick(task: Task, found: Sequence[Side], budget: int) -> Picked:
    """At most `budget` queries of the task: a quarter gains, a quarter losses, a quarter troubles, the rest a sample.

    What one quarter does not need goes to the sample, which is spread evenly over the queries that are left.
    """
    total = len(task.queries)
    if budget >= total:
        return Picked(positions=tuple(range(total)), said=f"All {count(total, 'query', 'queries')} are shown.")
    changes = [change(found[before].ranks, found[after].ranks) for before, after in pairs(found)]
    quarter = budget // 4
    chosen: dict[int, None] = {}
    gains = _extremes(changes, quarter, chosen, best=True)
    losses = _extremes(changes, quarter, chosen, best=False)
    troubled = _troubled(task, found, quarter, chosen)
    rest = [position for position in range(total) if position not in chosen]
    room = budget - len(chosen)
    spread = [rest[int(place)] for place in np.linspace(0, len(rest) - 1, room).round()] if room else []
    kinds = [
        (gains, "with the biggest gains"),
        (losses, "with the biggest losses"),
        (troubled, "that did not end ok"),
        (len(spread), "spread evenly over the rest"),
    ]
    told = ", ".join(f"{number:,} {what}" for number, what in kinds if number)
    said = f"Of {count(total, 'query', 'queries')} {budget:,} are shown: {told}."
    return Picked(positions=tuple(sorted([*chosen, *spread])), said=said)


def change(before: FloatArray, after: FloatArray) -> FloatArray:
    """How far each query's answer came up, in halvings of its rank: 8 to 1 counts as much as 80 to 10.

    Both of shape (queries,). Positive: gained. An answer that is in no list stands behind the last rank of either;
    nan where a rank is not known.
    """
    finite = np.concatenate([before[np.isfinite(before)], after[np.isfinite(after)], [1.0]])
    behind = finite.max() + 1
    one, other = (np.where(np.isinf(ranks), behind, ranks) for ranks in (before, after))
    result: FloatArray = np.log2(one / other)
    return result


def _extremes(changes: Sequence[FloatArray], wanted: int, chosen: dict[int, None], *, best: bool) -> int:
    """Adds the largest (or smallest) changes of all pairs in turn to `chosen`; returns how many were added."""
    added = 0
    sign = 1.0 if best else -1.0
    orders = []
    for values in changes:
        signed = np.nan_to_num(values * sign, nan=0.0)
        orders.append([int(position) for position in np.argsort(-signed, kind="stable") if signed[position] > 0])
    for turn in zip_longest(*orders):
        for position in turn:
            if added < wanted and position is not None and position not in chosen:
                chosen[position] = None
                added += 1
    return added


def _troubled(task: Task, found: Sequence[Side], wanted: int, chosen: dict[int, None]) -> int:
    added = 0
    for position, query in enumerate(task.queries):
        if added == wanted:
            break
        if position not in chosen and any(side.outcome(query) not in ("", "ok") for side in found):
            chosen[position] = None
            added += 1
    return added
