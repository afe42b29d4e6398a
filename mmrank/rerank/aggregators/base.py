"""What an aggregator gives back, and the one rule by which scores become an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmrank.errors import UsageError

Table = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregated:
    """All slots, best first, and a score for each slot by number (higher = better; None: the judge never said
    anything about it, and it stands behind the others in previous order).

    `note`: what a reader of the record should know about how the order was made; empty when there is nothing to say.
    """

    order: tuple[int, ...]
    scores: tuple[float | None, ...]
    note: str = ""


def by_score(scores: Sequence[float | None] | Table, judged: npt.NDArray[np.bool_] | None = None) -> Aggregated:
    """Slots by falling score, ties in previous order, slots without a score behind in previous order.

    `judged`: bool (slots,), False where the score means nothing; else None says so.

    >>> by_score([0.5, None, 0.9, 0.5]).order
    (2, 0, 3, 1)
    """
    known = [
        None if score is None or (judged is not None and not judged[slot]) else float(score)
        for slot, score in enumerate(scores)
    ]
    order = sorted(range(len(known)), key=lambda slot: _behind(known[slot]))
    return Aggregated(order=tuple(order), scores=tuple(known))


def _behind(score: float | None) -> tuple[bool, float]:
    return (score is None, 0.0 if score is None else -score)


def place_scores(order: Sequence[int], named: int | None = None) -> tuple[float | None, ...]:
    """Scores for an order that has none: n for the best down to 1, by slot; None for those after the first `named`.

    >>> place_scores((2, 0, 1))
    (2.0, 1.0, 3.0)
    """
    scores: list[float | None] = [None] * len(order)
    for place, slot in enumerate(order[:named]):
        scores[slot] = float(len(order) - place)
    return tuple(scores)


def number_in(method: str, name: str, value: float, low: float, high: float) -> None:
    """Raise `UsageError` for a setting that is not a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        allowed = f"a number of {low} or more" if high == float("inf") else f"a number from {low} to {high}"
        raise UsageError(f"Aggregator {method!r}: {name} is {value!r}; give {allowed}.")
