"""Unit vectors and their means, with the check that they are vectors at all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmrank.errors import EmbedderError

_SMALLEST_NORM = 1e-6
"""A mean of unit vectors shorter than this is rounding noise: they cancel out, and its direction means nothing."""


def unit_rows(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each row scaled to length 1, shape (n, d). A row that is zero or not finite becomes NaN, never a blank.

    >>> unit_rows(np.array([[3.0, 4.0]], np.float32))
    array([[0.6, 0.8]], dtype=float32)
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(np.isfinite(norms), norms, np.nan)).astype(np.float32, copy=False)


def mean_unit(units: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The renormalised mean of unit vectors: shape (n, d) to (d,), n at least 1.

    Raises `EmbedderError` when one of them is not finite, or when they cancel out.

    >>> mean_unit(np.eye(2, dtype=np.float32))
    array([0.70710677, 0.70710677], dtype=float32)
    """
    if not np.isfinite(units).all():
        raise EmbedderError(
            "the model gave a vector that is zero or not finite (NaN or infinity). If it ran in float16 "
            "or bfloat16, try precision='float32'; if it did not, its weights are broken"
        )
    if len(units) == 1:
        return np.ascontiguousarray(units[0])
    return unit(units.mean(axis=0), of=f"the {len(units)} vectors it is the mean of")


def unit(vector: npt.NDArray[np.float32], *, of: str) -> npt.NDArray[np.float32]:
    """A combination of unit vectors, shape (d,), scaled to length 1.

    Raises `EmbedderError`, naming what was combined (`of`), when nothing but rounding noise is left.
    """
    norm = float(np.linalg.norm(vector))
    if norm < _SMALLEST_NORM:
        raise EmbedderError(f"{of} cancel out")
    scaled: npt.NDArray[np.float32] = (vector / norm).astype(np.float32, copy=False)
    return scaled
