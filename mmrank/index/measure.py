"""How much of the truth an approximate index finds, and how hard it must look to find enough of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrank.index.exact import Matrix
from mmrank.index.nearest import AnnSettings
from mmrank.index.snapshot import dimension_of

NEIGHBOURS = 10
"""Recall@10: the share of a probe's true ten nearest that the index gives."""

TARGET = 0.99
"""The recall a search is tuned to reach on its probes, so that 0.98 holds on queries that are farther still."""

SAMPLE = 100
"""Probes: at recall 0.98 the standard error over 1,000 neighbours is 0.005."""

NOISE = 2.0
"""A probe is a stored vector plus Gaussian noise of this length, back to unit length: cosine about 0.45 with its
origin, as a text query lies to a picture. Probes nearer to the data flatter an index: on 30,000 x 64 clustered
vectors HNSW at ef 64 finds 1.000 at noise 0.3, 0.930 at 2.0, and 0.872 for queries from clusters of their own."""

SAME = 1e-5
"""Distances this close are one distance: a copy of a true neighbour is as good as the neighbour."""

HNSW_LADDER = tuple(
    AnnSettings(ef=ef, refine=refine) for ef, refine in ((64, 4), (128, 4), (256, 5), (512, 10), (1_024, 10))
)
RQ_LADDER = tuple(
    AnnSettings(nprobes=n, refine=refine)
    for n, refine in ((20, 10), (50, 10), (100, 20), (200, 40), (800, 100), (800, 400))
)
"""Settings from cheap to thorough. One bit a dimension orders candidates coarsely, so RQ needs much refining."""


def probes(table: Any, column: str, sample: int = SAMPLE, seed: int = 0) -> Matrix:
    """`sample` stored vectors of a column, moved by noise, float32 (n, d) of unit length; the same for one seed."""
    rng = np.random.default_rng(seed)
    filled = table.search().where(f"{column} IS NOT NULL").select(["kind"]).with_row_id(True).to_arrow()
    if not filled.num_rows:
        return np.empty((0, dimension_of(table)), np.float32)
    row_ids = np.sort(filled["_rowid"].to_numpy())
    chosen = rng.choice(row_ids, size=min(sample, len(row_ids)), replace=False)
    taken = table.take_row_ids([int(r) for r in chosen]).select([column]).to_arrow()
    dimension = dimension_of(table)
    stored = taken[column].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension)
    noise = rng.standard_normal(stored.shape) * (NOISE / np.sqrt(dimension))
    moved: Matrix = (stored + noise).astype(np.float32)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return moved


def true_reach(table: Any, column: str, queries: Matrix) -> npt.NDArray[np.float64]:
    """Distance of each query's tenth nearest vector, by a scan of the whole column; shape (q,)."""
    return np.array([found[-1] if found else np.inf for found in _distances(table, column, queries, None)])


def recall_at(table: Any, column: str, queries: Matrix, reach: npt.NDArray[np.float64], ann: AnnSettings) -> float:
    """Share of the true neighbours (those within `reach`) that the index gives with these settings, 0 to 1."""
    wanted = min(NEIGHBOURS, int(table.count_rows(f"{column} IS NOT NULL"))) * len(queries)
    found = _distances(table, column, queries, ann)
    got = sum(sum(d <= limit + SAME for d in given) for given, limit in zip(found, reach, strict=True))
    return got / wanted if wanted else 1.0


def tuned(
    table: Any, column: str, ladder: Sequence[AnnSettings], queries: Matrix, target: float = TARGET
) -> AnnSettings:
    """The cheapest settings of the ladder that reach the target, with the recall they had; else the best there were."""
    reach = true_reach(table, column, queries)
    best = ladder[0]
    for step in ladder:
        measured = replace(step, recall=recall_at(table, column, queries, reach, step))
        if best.recall is None or (measured.recall or 0.0) > best.recall:
            best = measured
        if (best.recall or 0.0) >= target:
            break
    return best


def _distances(table: Any, column: str, queries: Matrix, ann: AnnSettings | None) -> list[list[float]]:
    """Sorted cosine distances of each query's ten nearest; one Lance query."""
    if not len(queries):
        return []
    builder = table.search(queries, vector_column_name=column).distance_type("cosine").limit(NEIGHBOURS)
    builder = builder.select(["_distance"])
    if ann is None:
        # Nulls of a sparse column are no rows to a scan.
        builder = builder.bypass_vector_index()
    else:
        builder = builder.ef(max(ann.ef, NEIGHBOURS * ann.refine)).nprobes(ann.nprobes).refine_factor(ann.refine)
    found = builder.to_arrow()
    lists: list[list[float]] = [[] for _ in queries]
    # A batch of one has no column that says which query a row belongs to.
    owners = found["query_index"].to_pylist() if len(queries) > 1 else [0] * found.num_rows
    for query, distance in zip(owners, found["_distance"].to_pylist(), strict=True):
        lists[query].append(distance)
    return [sorted(given) for given in lists]
