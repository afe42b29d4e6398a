"""Several score lists of one query into one: pure functions over small arrays, shared by fusion and judging.

Two shapes are used. A *table* is float64 of shape (lists, items); NaN means the item is not in that list. *Flat lists*
are the lists of many queries one behind the other: `scores` float64 of shape (hits,) and `lengths` int64 of shape
(queries,), so that a thousand queries are scaled by one call. Higher = better everywhere; ranks count from 1.

References: CombSUM/CombMNZ (Fox & Shaw, TREC-2 1994), reciprocal rank fusion (Cormack et al., SIGIR 2009),
Borda count; `product` is a product of experts: the sum of log(min-max score + epsilon) over the lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.errors import UsageError

Table: TypeAlias = npt.NDArray[np.float64]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

RRF_K = 60
"""The constant of Cormack et al.; all papers compared here use it too."""

PRODUCT_EPSILON = 0.1
"""What an item at the floor of a list is still worth. On MSR-VTT and DiDeMo matrices R@1 stays within two points
from 0.03 to 0.2; the value was looked at on those test sets, so figures made with it are not blind."""

MNZ_THRESHOLD = 1e-6
"""A min-max score above this counts as "the list has the item" in CombMNZ (as in ViC's baselines)."""

Method: TypeAlias = Literal["rrf", "combsum", "combmnz", "borda", "product", "weighted_sum"]
Normalise: TypeAlias = Literal["min_max", "z_score", "rank"]
Groups: TypeAlias = tuple[tuple[int, ...], ...]
"""List positions from 0, each list in exactly one group."""


def min_max(scores: Table) -> Table:
    """Each row of a table to 0..1; NaN stays NaN. A row of equal scores becomes all 1: nothing told them apart.

    >>> min_max(np.array([[2.0, 4.0, 3.0]])).tolist()
    [[0.0, 1.0, 0.5]]
    """
    present = ~np.isnan(scores)
    scaled = np.full(scores.shape, np.nan)
    scaled[present] = scale_min_max(scores[present], present.sum(axis=1, dtype=np.int64))
    return scaled


def reciprocal_rank_fusion(ranks: Table, weights: Sequence[float] | None = None, k: int = RRF_K) -> Table:
    """Sum over the rows of a rank table of weight / (k + rank); an absent item gets nothing from that list.

    Shape (items,). Raises `UsageError` for weights that do not fit the lists.

    >>> reciprocal_rank_fusion(np.array([[1.0, 2.0], [1.0, np.nan]])).round(4).tolist()
    [0.0328, 0.0161]
    """
    weighed = weights_of(weights, len(ranks))
    return sum_over_lists(np.nan_to_num(1.0 / (k + ranks), nan=0.0) * weighed[:, None])


def weights_of(weights: Sequence[float] | None, lists: int) -> Floats:
    """The weights as an array, 1 each when None. Raises `UsageError` when they are not one finite number a list."""
    if weights is None:
        return np.ones(lists)
    weighed = np.asarray(weights, dtype=np.float64)
    if weighed.shape != (lists,) or not np.isfinite(weighed).all():
        raise UsageError(f"There are {lists} lists and the weights are {weights!r}; give one finite number each.")
    return weighed


def scale_min_max(scores: Floats, lengths: Ints) -> Floats:
    """Each flat list to 0..1 by its own lowest and highest score; a list of equal scores becomes all 1.

    >>> scale_min_max(np.array([4.0, 2.0, 7.0]), np.array([2, 1])).tolist()
    [1.0, 0.0, 1.0]
    """
    low, high = reduce_lists(np.minimum, scores, lengths), reduce_lists(np.maximum, scores, lengths)
    span = high - low
    flat = span == 0
    return np.where(np.repeat(flat, lengths), 1.0, (scores - np.repeat(low, lengths)) / np.repeat(span + flat, lengths))


def scale_z(scores: Floats, lengths: Ints) -> tuple[Floats, Floats]:
    """Each flat list less its mean, over its standard deviation (of all its hits); and each list's floor.

    The floor, shape (queries,), is where an absent item stands: the list's lowest value. A list of equal scores
    becomes all 0 and its floor is -1, so that an item it has stands above one it does not have.

    >>> values, floors = scale_z(np.array([3.0, 1.0, 5.0]), np.array([2, 1]))
    >>> values.tolist(), floors.tolist()
    ([1.0, -1.0, 0.0], [-1.0, -1.0])
    """
    scaled = scale_min_max(scores, lengths)  # changes no z-score, and makes the deviation of equal scores exactly 0
    counted = np.maximum(lengths, 1)
    centred = scaled - np.repeat(reduce_lists(np.add, scaled, lengths) / counted, lengths)
    deviation = np.sqrt(reduce_lists(np.add, centred * centred, lengths) / counted)
    flat = deviation == 0
    values = centred / np.repeat(np.where(flat, 1.0, deviation), lengths)
    return values, np.where(flat, -1.0, reduce_lists(np.minimum, values, lengths))


def scale_rank(lengths: Ints) -> Floats:
    """Each flat list by its ranks alone: 1 for the first, 0 for the last, evenly between; a single hit is 1.

    >>> scale_rank(np.array([3, 1])).tolist()
    [1.0, 0.5, 0.0, 1.0]
    """
    last = np.repeat(np.maximum(lengths - 1, 1).astype(np.float64), lengths)
    values: Floats = 1.0 - (ranks_of(lengths) - 1.0) / last
    return values


def ranks_of(lengths: Ints) -> Floats:
    """1, 2, 3, ... within each flat list.

    >>> ranks_of(np.array([2, 0, 1])).tolist()
    [1.0, 2.0, 1.0]
    """
    starts = np.cumsum(lengths) - lengths
    return np.arange(1.0, lengths.sum() + 1) - np.repeat(starts, lengths)


def reduce_lists(reduce: np.ufunc, values: Floats, lengths: Ints) -> Floats:
    """`reduce` (np.add, np.minimum, ...) over each flat list, shape (queries,); 0 for an empty list."""
    filled = lengths > 0
    reduced = np.zeros(len(lengths))
    if filled.any():
        reduced[filled] = reduce.reduceat(values, (np.cumsum(lengths) - lengths)[filled])
    return reduced


def sum_over_lists(values: Table) -> Floats:
    """Sum over axis 0 that does not depend on the order of the lists, to the last bit. Shape (items,).

    Floating-point addition does: (a + b) + c and a + (b + c) differ in their last bit, enough to break an exact tie
    between two items. So each item's values are added from the smallest up.

    >>> x = np.array([[0.1], [0.2], [0.3]])
    >>> bool(sum_over_lists(x) == sum_over_lists(x[::-1])), bool(sum(x) == sum(x[::-1]))
    (True, False)
    """
    ordered = list(values)
    count = len(ordered)
    # Odd-even transposition on whole rows: for a handful of lists far faster than np.sort along the short axis.
    for step in range(count if count > 2 else 0):
        for upper in range(step % 2, count - 1, 2):
            one, two = ordered[upper], ordered[upper + 1]
            ordered[upper], ordered[upper + 1] = np.minimum(one, two), np.maximum(one, two)
    total = np.zeros(values.shape[1])
    for row in ordered:
        total += row
    return total


def mean_in_groups(
    values: Table, present: npt.NDArray[np.bool_] | None, weights: Floats, groups: Sequence[Sequence[int]]
) -> tuple[Table, npt.NDArray[np.bool_] | None, Floats]:
    """Each group of lists as one list: the weighted mean of its values, shape (groups, items).

    With `present` (same shape as `values`) the mean is over the lists that have the item, and a group has it when one
    of them does; without, every value counts. A group weighs as much as its lists do on average, so that groups of
    unweighted lists stand side by side as equals.
    """
    means, there, weighs = [], [], []
    for group in groups:
        rows = list(group)
        inside = weights[rows]
        weighs.append(sum_over_lists(inside[:, None])[0] / len(rows))
        shares = (inside if inside.any() else np.ones(len(rows)))[:, None]
        if present is None:
            means.append(sum_over_lists(values[rows] * shares) / sum_over_lists(shares))
        else:
            means.append(_mean_of_present(values[rows], present[rows], shares))
            there.append(present[rows].any(axis=0))
    return np.array(means), np.array(there) if present is not None else None, np.array(weighs)


def _mean_of_present(values: Table, present: npt.NDArray[np.bool_], shares: Table) -> Floats:
    """Weighted mean over the lists that have the item; where all of those weigh nothing, their smallest value."""
    counted = sum_over_lists(shares * present)
    lowest = np.where(present, values, np.inf).min(axis=0)
    unknown = counted == 0
    total = sum_over_lists(np.where(present, values, 0.0) * shares)
    return np.where(unknown, np.where(np.isinf(lowest), 0.0, lowest), total / np.where(unknown, 1.0, counted))


def total(values: Table, present: npt.NDArray[np.bool_] | None, weights: Floats) -> Floats:
    """Weighted sum over the lists; with `present` the weighted mean over the lists that have the item."""
    if present is None:
        return sum_over_lists(values * weights[:, None])
    return _mean_of_present(values, present, weights[:, None])
