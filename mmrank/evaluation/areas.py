"""What is relevant when an answer is a place in a picture or page: boxes that overlap enough, or cover an area.

Overlap becomes relevance and gains, so that every metric works on it: `matching` makes R@K at a threshold of
intersection over union (REIR), `coverage` the gains of MMDocIR's layout recall.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import Floats
from mmrank.errors import UsageError
from mmrank.rerank.boxes import Box, item_box
from mmrank.types import Item

Region: TypeAlias = tuple[str, Box]
"""The id of a picture or page, and a box on it: left, top, right, bottom."""

THRESHOLD = 0.5
"""Intersection over union from which a box counts as found (REIR assumes it, as detection does)."""


def intersections(boxes: npt.ArrayLike, others: npt.ArrayLike) -> Floats:
    """Area that each of n boxes shares with each of m others; shape (n, m).

    >>> intersections([[0, 0, 2, 2]], [[1, 1, 3, 3], [5, 5, 6, 6]]).tolist()
    [[1.0, 0.0]]
    """
    one, two = _boxes(boxes)[:, None], _boxes(others)[None]
    low, high = np.maximum(one[..., :2], two[..., :2]), np.minimum(one[..., 2:], two[..., 2:])
    shared: Floats = np.clip(high - low, 0, None).prod(axis=-1)
    return shared


def overlap(boxes: npt.ArrayLike, others: npt.ArrayLike) -> Floats:
    """Intersection over union of each of n boxes with each of m others, 0 to 1; shape (n, m).

    >>> overlap([[0, 0, 2, 2]], [[0, 0, 2, 2], [0, 0, 2, 1]]).tolist()
    [[1.0, 0.5]]
    """
    shared = intersections(boxes, others)
    union = _areas(boxes)[:, None] + _areas(others)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def matching(items: Iterable[Item], regions: Sequence[Region], threshold: float = THRESHOLD) -> dict[str, float]:
    """Gains of the items that are found regions: item id to 1, for a task's `relevant`.

    An item matches a region when its parent (or, without one, its id) is the region's picture and the intersection over
    union of its ``meta["bbox"]`` with the region's box is at least `threshold`, above 0 and at most 1.

    >>> box = Item(id="street#1", kind="image", parent="street", meta={"bbox": "0,0,10,10"})
    >>> matching([box], [("street", (0, 0, 10, 8))])
    {'street#1': 1.0}
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"The threshold is {threshold}; intersection over union lies above 0 and is at most 1.")
    found = {}
    for item in items:
        wanted = [box for picture, box in regions if picture == (item.parent or item.id)]
        box = item_box(item) if wanted else None
        if box is not None and bool((overlap([box], wanted) >= threshold).any()):
            found[item.id] = 1.0
    return found


def coverage(items: Iterable[Item], regions: Sequence[Region]) -> dict[str, float]:
    """Gains of the items that cover regions: item id to the share of the regions' total area, above 0.

    As MMDocIR's metric_eval.py counts it: areas are summed over the items, so that two items over the same place count
    twice and the sum can exceed 1.

    >>> half = Item(id="doc:0#1", kind="page", parent="doc:0", meta={"bbox": "0,0,10,5"})
    >>> coverage([half], [("doc:0", (0, 0, 10, 10))])
    {'doc:0#1': 0.5}
    """
    whole = float(_areas([box for _, box in regions]).sum()) if regions else 0.0
    gains = {}
    for item in items:
        wanted = [box for picture, box in regions if picture == (item.parent or item.id)]
        box = item_box(item) if wanted and whole > 0 else None
        shared = 0.0 if box is None else float(intersections([box], wanted).sum())
        if shared > 0:
            gains[item.id] = shared / whole
    return gains


def _boxes(boxes: npt.ArrayLike) -> Floats:
    made = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if not np.isfinite(made).all() or (made[:, 2:] < made[:, :2]).any():
        raise UsageError("A box is not finite, or ends before it begins; boxes are left, top, right, bottom.")
    return made


def _areas(boxes: npt.ArrayLike) -> Floats:
    made = _boxes(boxes)
    areas: Floats = (made[:, 2:] - made[:, :2]).prod(axis=-1)
    return areas
