"""Fewer token vectors per Item: tokens that point the same way become one.

After "Reducing the footprint of multi-vector retrieval with minimal performance impact via token pooling" (Clavié et
al., arXiv 2409.14683), with spherical k-means in place of its hierarchical clustering: no SciPy, and it is repeatable.
"""

from __future__ import annotations

import numpy as np

from mmrank.embed.vectors import unit_rows
from mmrank.errors import UsageError
from mmrank.rerank.vectors.source import Matrix

ROUNDS = 4
"""Rounds of k-means; a few are enough, because the tokens it begins with lie far apart already."""


def pooled_tokens(tokens: Matrix, count: int) -> Matrix:
    """At most `count` unit vectors for an Item's tokens, float32 (count, d).

    `tokens`: unit rows, float32 or float16 (n, d). Each vector is the direction of the mean of the tokens nearest to
    it, begun at the token nearest to the mean of all and then always at the one farthest from those begun with. An
    Item of no more than `count` tokens keeps them. The same tokens give the same vectors. Raises `UsageError` for a
    count below 1.

    >>> pooled_tokens(np.array([[1, 0], [0.8, 0.6], [-1, 0]], np.float32), 2).round(2).tolist()[1]
    [-1.0, 0.0]
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UsageError(f"The number of pooled vectors is {count!r}; give a whole number of 1 or more.")
    rows = tokens.astype(np.float32, copy=False)
    if len(rows) <= count:
        return rows
    centres = _spread(rows, count)
    for _ in range(ROUNDS):
        nearest = np.argmax(rows @ centres.T, axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, rows)
        moved = unit_rows(sums)
        # A centre that lost all its tokens, or whose tokens cancel out, stays where it was.
        centres = np.where(np.isfinite(moved), moved, centres)
    return centres


def _spread(rows: Matrix, count: int) -> Matrix:
    """Tokens far from each other, to begin with."""
    chosen = [int(np.argmax(rows @ rows.mean(axis=0)))]
    near = rows @ rows[chosen[0]]
    while len(chosen) < count:
        chosen.append(int(np.argmin(near)))
        np.maximum(near, rows @ rows[chosen[-1]], out=near)
    return rows[chosen]
