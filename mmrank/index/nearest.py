"""Vector search by LanceDB itself: through an approximate index, or as a flat scan where the matrix does not fit.

What the library does and this module relies on: the distance must be said on every query (the default is l2, and
another one than the index's scans silently); `ef` below limit x refine_factor is refused; rows written after the
index was built are scanned besides, so that a plain search misses none; a 2-D query is a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmrank.index.exact import Matrix
from mmrank.index.filters import both
from mmrank.index.schema import TEXT_VECTOR
from mmrank.index.snapshot import Channel

ANN_SETTING = "ann"
"""Key in the settings table: column name -> `AnnSettings` as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnSettings:
    """How hard an approximate search of one column looks; found by measuring recall (`upkeep.recall`).

    `ef`: candidates an HNSW search keeps. `nprobes`: partitions looked at. `refine`: this many times the limit is
    scored again with the full vectors. `recall`: recall@10 measured with these numbers, None before.
    """

    ef: int = 64
    nprobes: int = 20
    refine: int = 4
    recall: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which rows and columns a search may touch.

    `columns`: what an Item is made of. `where`: the caller's filter. `crowded`: the column holds other kinds
    besides the channel's, so the kind must be part of the filter.
    """

    columns: tuple[str, ...]
    where: str | None = None
    crowded: bool = True


def nearest(
    table: Any, channel: Channel, queries: Matrix, k: int, *, reach: Reach, ann: AnnSettings | None
) -> list[list[dict[str, Any]]]:
    """The rows of each query's nearest `k` in a channel with `_distance` (1 - cosine); `ann` None scans.

    One Lance query for the whole batch. Rows come best first as Lance orders them; equal distances in any order.
    """
    single = len(queries) == 1
    builder = table.search(queries[0] if single else queries, vector_column_name=channel.column)
    builder = builder.distance_type("cosine").limit(k).select([*reach.columns, "_distance"])
    needed = channel.predicate if reach.crowded or channel.column == TEXT_VECTOR else None
    condition = both(reach.where, needed)
    if condition is not None:
        builder = builder.where(condition, prefilter=True)
    if ann is None:
        builder = builder.bypass_vector_index()
    else:
        builder = builder.ef(max(ann.ef, k * ann.refine)).nprobes(ann.nprobes).refine_factor(ann.refine)
    rows: list[dict[str, Any]] = builder.to_list()
    if single:
        return [rows]
    lists: list[list[dict[str, Any]]] = [[] for _ in queries]
    for row in rows:
        lists[row.pop("query_index")].append(row)
    return lists


def vector_indexes(table: Any, columns: Sequence[str]) -> dict[str, str]:
    """Index name by vector column, for those columns that have one."""
    return {c: i.name for i in table.list_indices() for c in i.columns if c in columns}
