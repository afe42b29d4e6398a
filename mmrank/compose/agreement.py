"""How far an Item pleases both sides of a query at once: the rules of an intersection. Pure functions."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.compose.forms import Rule

Floats: TypeAlias = npt.NDArray[np.float64]

_FLAT = 1e-12
"""Scores that differ by less say nothing."""


def agreement(image: npt.ArrayLike, text: npt.ArrayLike, rule: Rule) -> Floats:
    """One score per Item from its scores on both sides, each shape (n,), of the same n Items.

    "min": the lesser of the two z-scores; "product": the product of the two min-max scores, 0 to 1. Neither changes
    when a side's scores are scaled or shifted. A side that scores all Items alike has no say.

    >>> agreement([0.9, 0.8, 0.1], [0.1, 0.8, 0.9], "product").round(3).tolist()
    [0.0, 0.766, 0.0]
    """
    first, second = np.asarray(image, np.float64), np.asarray(text, np.float64)
    if rule == "product":
        joint: Floats = _min_max(first) * _min_max(second)
        return joint
    sides = [_z(side) for side in (first, second) if _spread(side) > _FLAT]
    lesser: Floats = np.min(sides, axis=0) if sides else np.zeros(len(first))
    return lesser


def _spread(scores: Floats) -> float:
    return float(np.ptp(scores)) if len(scores) else 0.0


def _z(scores: Floats) -> Floats:
    scaled: Floats = (scores - scores.mean()) / scores.std()
    return scaled


def _min_max(scores: Floats) -> Floats:
    if _spread(scores) <= _FLAT:
        return np.ones(len(scores))
    scaled: Floats = (scores - scores.min()) / np.ptp(scores)
    return scaled
