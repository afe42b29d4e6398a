"""Exact nearest neighbours in one matrix of unit vectors: the best k rows of each query, ties decided.

Two steps. First float32 products find a short list: one matrix-vector product for a single query, blocked
matrix products (or FAISS) for a batch. The float32 sums differ in their last bits with the batch size and the
row's place in a block, so equal vectors need not get equal products. The short list is therefore scored once
more, one row at a time in float64, rounded to float32; that makes a batch equal a single query bit for bit, and
equal content tie exactly. Ties are decided by the id.

Measured on 200,000 x 512 float32, one thread of a 2-core AVX2 box, k = 10 (numpy 2.4 with OpenBLAS, faiss-cpu 1.15):

====================  ==========  =====================
what                  one query   1,000 queries, each
====================  ==========  =====================
numpy                 26 ms       3.7 ms (blocked)
faiss knn             20-73 ms    2.7 ms
====================  ==========  =====================

FAISS's single query varied between boxes and runs (20 to 73 ms, numpy 26 to 34), so numpy does single queries;
FAISS does batches where it is installed, on the GPU when its build sees one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

ROUNDING = 1e-5
"""How far a float32 product of two unit vectors may lie from the true one: 512 terms in blocks stay within 1e-6,
4,096 terms in any order within 1e-5. Rows this close to the k-th are scored again."""

BATCH_FROM = 4
"""From this many queries on, a matrix product over blocks is cheaper than as many matrix-vector products."""

BLOCK_ROWS = 16_384
BLOCK_QUERIES = 1_024
"""A block of products is at most 16,384 x 1,024 float32 = 64 MiB, whatever the collection and the batch."""

SHORT_LIST = 8_388_608
"""Entries of the short lists of one block of queries: with a large k fewer queries are done at once."""

FEW_ROWS = 512
"""Up to this many allowed rows are all scored in float64 at once (0.3 ms); a float32 product first is four times as
fast a row (2,000 rows: 0.3 ms, not 1.2)."""

SETTLE_ROWS = 8_192
"""Rows scored again at a time: at 512 dimensions 32 MiB of float64."""

MARGIN = 16
"""A batch's short list is this much longer than k. A query with more rows than that within `ROUNDING` of its
k-th (many copies of one picture) is done on its own, where the short list has no limit."""

FAISS_MOST = 1_024
"""FAISS-GPU refuses more than 2,048 neighbours; up to 1,000 FAISS was faster (3.9 ms a query, blocks 7.6 ms)."""

DENSE_SHARE = 0.25
"""When at least this share of the rows is allowed, multiplying all and masking beats gathering the allowed ones."""


GATHERED = 1 << 24
"""Numbers of the rows that a filter leaves for a batch, copied together: 64 MiB, 32,768 rows of 512 dimensions."""


class Found(NamedTuple):
    """The best rows of one query, best first: their positions in the matrix and their cosines."""

    positions: Positions
    scores: npt.NDArray[np.float32]


class Names(Protocol):
    """What decides ties: gives the ids of rows by position."""

    def __call__(self, positions: Positions) -> Sequence[str]: ...


def best(
    matrix: Matrix,
    names: Names,
    queries: Matrix,
    k: int,
    *,
    allowed: Mask | None = None,
    exclude: Sequence[Positions] | None = None,
) -> list[Found]:
    """The best `k` rows of `matrix` (n, d) for each of `queries` (q, d), by cosine, ties by name.

    Rows and queries are float32 of unit length. `allowed` (n,) leaves out rows for every query; `exclude` holds
    positions that one query must not get. Fewer than `k` come back only when fewer are left.

    >>> eye = np.eye(3, dtype=np.float32)
    >>> best(eye, lambda p: [f"r{i}" for i in p], eye[:1], k=2)[0].positions.tolist()
    [0, 1]
    """
    k = min(k, len(matrix))
    if k == 0:
        return [Found(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    barred = exclude if exclude is not None else [np.empty(0, np.int64)] * len(queries)
    if len(queries) >= BATCH_FROM and allowed is not None:
        rows = np.flatnonzero(allowed)
        if len(rows) < DENSE_SHARE * len(matrix) and len(rows) * matrix.shape[1] <= GATHERED:
            return _gathered(matrix, names, queries, k, rows=rows, barred=barred)
    if len(queries) < BATCH_FROM:
        return [_one(matrix, names, q, k, allowed=allowed, barred=b) for q, b in zip(queries, barred, strict=True)]
    found: list[Found] = []
    step = max(1, min(BLOCK_QUERIES, SHORT_LIST // k))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        found += _batch(matrix, names, queries[block], k, allowed=allowed, barred=barred[block])
    return found


def _gathered(
    matrix: Matrix, names: Names, queries: Matrix, k: int, *, rows: Positions, barred: Sequence[Positions]
) -> list[Found]:
    """Many queries over few rows: they are copied together once, and searched as a matrix of their own."""
    within = [np.flatnonzero(np.isin(rows, bar)) if len(bar) else np.empty(0, np.int64) for bar in barred]
    found = best(matrix[rows], lambda positions: names(rows[positions]), queries, k, exclude=within)
    return [Found(rows[one.positions], one.scores) for one in found]


def ranked(matrix: Matrix, names: Names, query: Matrix, k: int, positions: Positions) -> Found:
    """The best `k` of the given rows: every one is scored in float64, none is missed. Ties by name."""
    scores = np.empty(len(positions), np.float32)
    wide = query.astype(np.float64)
    for start in range(0, len(positions), SETTLE_ROWS):
        part = slice(start, start + SETTLE_ROWS)
        # einsum sums each row on its own, in one order; a BLAS product would not promise that.
        scores[part] = np.einsum("ij,j->i", matrix[positions[part]].astype(np.float64), wide)
    if len(positions) > k:
        kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        positions, scores = positions[kept], scores[kept]
    order = np.lexsort((np.asarray(names(positions), dtype=np.str_), -scores))[:k]
    return Found(positions[order], scores[order])


def _one(matrix: Matrix, names: Names, query: Matrix, k: int, *, allowed: Mask | None, barred: Positions) -> Found:
    """One query: a matrix-vector product, a partial sort, the short list scored again."""
    rows: Positions | None = None
    if allowed is not None and np.count_nonzero(allowed) < DENSE_SHARE * len(matrix):
        rows = np.flatnonzero(allowed & ~_mask(barred, len(matrix)))
        if len(rows) <= max(k, FEW_ROWS):
            return ranked(matrix, names, query, k, rows)
        scores = matrix[rows] @ query
    else:
        scores = matrix @ query
        if allowed is not None:
            scores[~allowed] = -np.inf
        scores[barred] = -np.inf
    at = max(len(scores) - k, 0)
    floor = max(float(np.partition(scores, at)[at]) - ROUNDING, float(np.finfo(np.float32).min))
    short = np.flatnonzero(scores >= floor)
    return ranked(matrix, names, query, k, short if rows is None else rows[short])


def _mask(positions: Positions, n: int) -> Mask:
    mask = np.zeros(n, np.bool_)
    mask[positions] = True
    return mask


def _batch(
    matrix: Matrix, names: Names, queries: Matrix, k: int, *, allowed: Mask | None, barred: Sequence[Positions]
) -> list[Found]:
    """Many queries: short lists from FAISS or from blocks, each settled on its own."""
    most = min(len(matrix), k + MARGIN + max(len(b) for b in barred))
    faiss = _faiss() if allowed is None and most <= FAISS_MOST else None
    short = _faiss_top(faiss, matrix, queries, most) if faiss else _blocked_top(matrix, queries, most, allowed)
    out: list[Found] = []
    for query, bar, scores, positions in zip(queries, barred, *short, strict=True):
        real = np.isfinite(scores)
        complete = not real.all() or most == len(matrix)
        kept = real & ~np.isin(positions, bar) if len(bar) else real
        near, rows = scores[kept], positions[kept]
        if not complete and near[k - 1] - ROUNDING <= scores[-1]:
            out.append(_one(matrix, names, query, k, allowed=allowed, barred=bar))
            continue
        close = near >= near[k - 1] - ROUNDING if len(near) > k else np.ones(len(near), np.bool_)
        out.append(ranked(matrix, names, query, k, rows[close]))
    return out


def _blocked_top(matrix: Matrix, queries: Matrix, k: int, allowed: Mask | None) -> tuple[Matrix, Positions]:
    """Scores and positions, both (q, k), best first; -inf where fewer rows are left. Memory: one block of products.

    After the first block only products above a query's k-th best so far are looked at: a comparison per product
    instead of a partial sort of every block (0.5 s against 2.6 s for 1,000 queries over 200,000 rows). Where that
    leaves more than k a query (a filter closed the rows before, or the rows lie in rising order), the block's best k.
    """
    q = len(queries)
    begun = False
    scores = np.full((q, k), -np.inf, np.float32)
    positions = np.zeros((q, k), np.int64)
    for start in range(0, len(matrix), BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, len(matrix)))
        block = matrix[start : start + BLOCK_ROWS]
        if allowed is not None:
            rows = rows[allowed[rows]]
            block = matrix[rows]
        products = queries @ block.T
        above = products > scores.min(axis=1, keepdims=True)
        if np.count_nonzero(above) <= q * k:
            who, where = np.nonzero(above)
        else:
            top = np.argpartition(products, products.shape[1] - k, axis=1)[:, -k:]
            if not begun:
                scores, positions, begun = np.take_along_axis(products, top, axis=1), rows[top], True
                continue
            who, where = np.repeat(np.arange(q), k), top.ravel()
        if len(who):
            begun = True
            scores, positions = _merged(scores, positions, who, products[who, where], rows[where])
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)


def _merged(
    scores: Matrix, positions: Positions, who: Positions, more: npt.NDArray[np.float32], rows: Positions
) -> tuple[Matrix, Positions]:
    """The best k per query of what it has and what came; sorted runs, no loop over queries."""
    q, k = scores.shape
    all_who = np.concatenate([np.repeat(np.arange(q), k), who])
    all_scores = np.concatenate([scores.ravel(), more])
    all_rows = np.concatenate([positions.ravel(), rows])
    order = np.lexsort((-all_scores, all_who))
    first = np.searchsorted(all_who[order], np.arange(q))
    taken = order[first[:, None] + np.arange(k)]
    return all_scores[taken], all_rows[taken]


def _faiss() -> Any | None:
    """The module when it is installed; it is optional."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def _faiss_top(faiss: Any, matrix: Matrix, queries: Matrix, k: int) -> tuple[Matrix, Positions]:
    """Brute force on the arrays as they lie: no copy into a FAISS index, so the memory budget holds."""
    wide = np.ascontiguousarray(queries)
    if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0:
        resources = faiss.StandardGpuResources()
        scores, positions = faiss.knn_gpu(resources, wide, matrix, k, metric=faiss.METRIC_INNER_PRODUCT)
    else:
        scores, positions = faiss.knn(wide, matrix, k, metric=faiss.METRIC_INNER_PRODUCT)
    return np.where(positions < 0, -np.inf, scores).astype(np.float32), np.asarray(positions, np.int64)
