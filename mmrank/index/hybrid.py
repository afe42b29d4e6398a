"""BM25 over the texts of an index, and its fusion with a vector search by rank.

LanceDB's own hybrid query is not used: it has no batch form and leaves the ties of reciprocal rank fusion (one item
first in one list, another first in the other) undecided. Here both lists are made in full and joined by
`mmrank.fusion.fuse`: equal fused scores go to the item with the better best rank, then to the smaller id.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from mmrank.compose.sides import query_text
from mmrank.errors import UsageError
from mmrank.fusion import fuse
from mmrank.index.filters import both, item_columns, one_of
from mmrank.index.options import SearchOptions
from mmrank.index.rows import row_to_item
from mmrank.types import Cost, Hit, Item, Query, Ranking, Record

DEPTH = 200
"""How deep a hybrid search reads each list when k is smaller: an item at rank 200 of one list can still gain
1 / 260 in reciprocal rank fusion, less than the step between the first two ranks of a list times fifteen."""

TIE_MARGIN = 16
"""BM25 ties are common (equal captions); the list is read this much deeper, and deeper still while the tie goes on."""


def text_search(table: Any, queries: Sequence[Query], k: int, options: SearchOptions) -> list[Ranking]:
    """The best `k` Items of each query by BM25 over `text`; only Items that share a word with the query.

    Ties go by id. The query text is data: it is matched word by word, no character in it is an operator.
    """
    columns = item_columns(table)
    return [_one_text(table, query, k, options, columns) for query in queries]


def _one_text(table: Any, query: Query, k: int, options: SearchOptions, columns: Sequence[str]) -> Ranking:
    start = time.perf_counter()
    among = None if query.among is None else one_of("id", query.among)
    kinds = None if options.kinds is None else one_of("kind", options.kinds)
    condition = both(options.where, kinds, among)
    barred = set(query.exclude)
    matches = _matches(table, sought(query), k + len(barred), condition)
    kept = [match for match in matches if match["id"] not in barred][:k]
    items = _items(table, [match["_rowid"] for match in kept], columns)
    hits = [Hit(score=float(match["_score"]), item=items[match["id"]], stage="text") for match in kept]
    record = Record(stage="text", cost=Cost(seconds=time.perf_counter() - start))
    return Ranking(query=query, hits=hits, records=(record,))


def _matches(table: Any, text: str, k: int, condition: str | None) -> list[dict[str, Any]]:
    """`id`, `_score` and `_rowid` of at least the best k rows, best first, ties by id.

    Reads on while the k-th score may go on below the limit: of many equal captions all, so no other column is read.
    """
    from lancedb.query import MatchQuery

    match: Any = MatchQuery  # its type wants every default spelled out
    limit = k + TIE_MARGIN
    while True:
        builder = table.search(match(text, "text"), query_type="fts")
        builder = builder.select(["id", "_score"]).with_row_id(True).limit(limit)
        if condition is not None:
            builder = builder.where(condition, prefilter=True)
        rows: list[dict[str, Any]] = builder.to_list()
        rows.sort(key=lambda row: (-row["_score"], row["id"]))
        if len(rows) < limit or rows[-1]["_score"] < rows[k - 1]["_score"]:
            return rows
        limit *= 4


def _items(table: Any, row_ids: Sequence[int], columns: Sequence[str]) -> dict[str, Item]:
    """The Items of these rows, by id."""
    if not row_ids:
        return {}
    found = table.take_row_ids(list(row_ids)).select(list(columns)).to_arrow().to_pylist()
    return {row["id"]: row_to_item(row) for row in found}


def sought(query: Query) -> str:
    """What a text search looks for: the query's text and dialogue turns. Raises `UsageError` when there is none."""
    text = query_text(query)
    if not text:
        raise UsageError(
            f"Query {query.id!r} has no text, and a text or hybrid search needs one. Give the query a text, "
            "or search with mode='vector'."
        )
    return text


def fuse_lists(by_vector: Sequence[Ranking], by_text: Sequence[Ranking], k: int) -> list[Ranking]:
    """Each query's two Rankings into one of at most `k` hits by reciprocal rank fusion; sources keep both ranks."""
    fused: list[Ranking] = []
    for pair in zip(by_vector, by_text, strict=True):
        joined = fuse(pair, "rrf", names=("vector", "text"))
        fused.append(Ranking(query=joined.query, hits=joined.hits[:k], records=joined.records))
    return fused
