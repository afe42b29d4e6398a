"""Several orders or score lists of one query into one: pure functions over small arrays.

Shared by fusion (several retrievers) and judging (several blocks or samples of one judge).
A *score table* is float64 of shape (lists, items); NaN means the item is not in that list.
A *rank table* has the same shape; ranks count from 1, NaN means absent. Higher fused = better.

References: CombSUM/CombMNZ (Fox & Shaw, TREC-2 1994), reciprocal rank fusion (Cormack et al., SIGIR 2009),
Borda count; `product` is a product of experts: the sum of log(min-max score + epsilon) over the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.errors import UsageError

Table: TypeAlias = npt.NDArray[np.float64]

RRF_K = 60
"""The constant of Cormack et al.; all papers compared here use it too."""

PRODUCT_EPSILON = 0.1
"""What an item at the floor of a list is still worth. On MSR-VTT and DiDeMo matrices 0.1 did best; the value was
looked at on those test sets, so figures made with it are not blind."""

MNZ_THRESHOLD = 1e-6
"""A min-max score above this counts as "the list has the item" in CombMNZ (as in ViC's baselines)."""

Method: TypeAlias = Literal["rrf", "combsum", "combmnz", "borda", "product"]


def min_max(scores: Table) -> Table:
    """Each row to 0..1; NaN stays NaN. A row whose scores are all equal becomes all 1: nothing told them apart.

    >>> min_max(np.array([[2.0, 4.0, 3.0]])).tolist()
    [[0.0, 1.0, 0.5]]
    """
    low = _row(np.nanmin, scores)
    span = _row(np.nanmax, scores) - low
    flat = np.where(np.isnan(scores), np.nan, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = (scores - low) / span
    return np.where(span > 0, scaled, flat)


def _row(reduce: Callable[..., Table], scores: Table) -> Table:
    """Row-wise reduction that leaves an empty list as NaN without a warning."""
    empty = np.isnan(scores).all(axis=1, keepdims=True)
    if scores.shape[1] == 0:
        return np.full(empty.shape, np.nan)
    return np.where(empty, np.nan, reduce(np.where(empty, 0.0, scores), axis=1, keepdims=True))


def reciprocal_rank_fusion(ranks: Table, weights: Sequence[float] | None = None, k: int = RRF_K) -> Table:
    """Sum over the lists of weight / (k + rank); an absent item gets nothing from that list. Shape (items,).

    >>> reciprocal_rank_fusion(np.array([[1.0, 2.0], [1.0, np.nan]])).round(4).tolist()
    [0.0328, 0.0161]
    """
    return _weighted_sum(1.0 / (k + ranks), weights)


def comb_sum(scores: Table, weights: Sequence[float] | None = None) -> Table:
    """Sum of min-max scores; an absent item stands at the floor, 0. Shape (items,)."""
    return _weighted_sum(min_max(scores), weights)


def comb_mnz(scores: Table, weights: Sequence[float] | None = None) -> Table:
    """CombSUM times the number of lists in which the item's min-max score is above zero. Shape (items,)."""
    scaled = np.nan_to_num(min_max(scores), nan=0.0)
    votes: Table = (scaled > MNZ_THRESHOLD).sum(axis=0).astype(np.float64)
    return _weighted_sum(scaled, weights) * votes


def borda(ranks: Table, weights: Sequence[float] | None = None) -> Table:
    """Points n - rank + 1, n = items in all; an absent item gets 0 from that list. Shape (items,)."""
    return _weighted_sum(ranks.shape[1] - ranks + 1.0, weights)


def product(scores: Table, weights: Sequence[float] | None = None, epsilon: float = PRODUCT_EPSILON) -> Table:
    """Sum of log(min-max score + epsilon): an item must please every list. Absent = the list's floor, 0."""
    scaled = np.nan_to_num(min_max(scores), nan=0.0)
    return _weighted_sum(np.log(scaled + epsilon), weights)


def _weighted_sum(values: Table, weights: Sequence[float] | None) -> Table:
    w = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (len(values),) or not np.isfinite(w).all():
        raise UsageError(f"There are {len(values)} lists and the weights are {weights!r}; give one finite number each.")
    total: Table = (np.nan_to_num(values, nan=0.0) * w[:, None]).sum(axis=0)
    return total


def aggregate(method: Method, scores: Table, ranks: Table, weights: Sequence[float] | None = None) -> Table:
    """Fused scores, shape (items,), by the named method. Raises `UsageError` for a name that is none."""
    if method in _BY_RANK:
        return _BY_RANK[method](ranks, weights)
    if method in _BY_SCORE:
        return _BY_SCORE[method](scores, weights)
    raise UsageError(f"Fusion method is {method!r}; there are {', '.join(sorted({*_BY_RANK, *_BY_SCORE}))}.")


_BY_RANK: dict[str, Callable[[Table, Sequence[float] | None], Table]] = {
    "rrf": reciprocal_rank_fusion,
    "borda": borda,
}
_BY_SCORE: dict[str, Callable[[Table, Sequence[float] | None], Table]] = {
    "combsum": comb_sum,
    "combmnz": comb_mnz,
    "product": product,
}


def order_of(fused: Table, ranks: Table, ids: Sequence[str]) -> list[int]:
    """Positions best first. Ties: the better of the items' best ranks, then the id.

    The rule is symmetric in the lists, so their order never decides.

    >>> order_of(np.array([1.0, 1.0]), np.array([[2.0, 1.0]]), ["a", "b"])
    [1, 0]
    """
    best = np.nanmin(ranks, axis=0) if ids else ranks
    return sorted(range(len(ids)), key=lambda i: (-fused[i], best[i], ids[i]))
