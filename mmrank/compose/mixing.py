"""Mixing unit vectors: along the straight line between them, or along the arc."""

from __future__ import annotations

import math

import numpy as np

from mmrank.compose.sides import Vector
from mmrank.embed.vectors import unit

_ALIKE = 1e-4
"""Below this angle (radians) arc and line are the same to float32, and the sine is too small to divide by."""


def mixed(first: Vector, second: Vector, share: float, *, arc: bool = False, of: str) -> Vector:
    """A unit vector between two vectors, float32 (d,); `share`, 0 to 1, is the second's.

    Both are brought to unit length first, so that their lengths do not matter. Straight: the renormalised
    ``(1 - share) * first + share * second``. `arc`: spherical interpolation, a turn of `share` of the angle between
    them (Shoemake, SIGGRAPH 1985; for composed queries Jang et al., "Spherical Linear Interpolation and Text-Anchoring
    for Zero-shot Composed Image Retrieval", ECCV 2024).

    Raises `EmbedderError`, naming what was mixed (`of`), when they cancel out; on the arc opposite vectors always do,
    for no arc between them is the shortest.

    >>> mixed(np.array([2, 0], np.float32), np.array([0, 5], np.float32), 0.5, of="two vectors").tolist()
    [0.7071067690849304, 0.7071067690849304]
    """
    a, b = unit(first, of=of).astype(np.float64), unit(second, of=of).astype(np.float64)
    if not arc:
        return unit(((1 - share) * a + share * b).astype(np.float32), of=of)
    unit((a + b).astype(np.float32), of=of)
    angle = math.acos(float(np.clip(a @ b, -1.0, 1.0)))
    if angle < _ALIKE:
        return mixed(first, second, share, of=of)
    turned = math.sin((1 - share) * angle) * a + math.sin(share * angle) * b
    return unit((turned / math.sin(angle)).astype(np.float32), of=of)


def weighed(vectors: Vector, weights: tuple[float, ...], *, of: str) -> Vector:
    """The renormalised sum of vectors, float32 (n, d) to (d,), each brought to unit length and given its weight.

    Raises `EmbedderError` when they cancel out.

    >>> weighed(np.eye(2, dtype=np.float32), (3.0, -4.0), of="terms").tolist()
    [0.6000000238418579, -0.800000011920929]
    """
    total = np.zeros(vectors.shape[1], np.float64)
    for vector, weight in zip(vectors, weights, strict=True):
        total += weight * unit(vector, of=of).astype(np.float64)
    return unit(total.astype(np.float32), of=of)
