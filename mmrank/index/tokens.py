"""The side table of token vectors: one row per content, shared by all Items that have it.

Written before the rows of `items` that need it, and removed after the last of them is gone: an Item that is there has
its token vectors. A kill in between leaves token vectors without an Item, which `sweep` removes once they are an hour
old (younger ones may belong to rows that another process is about to write). Should two processes race, one removing
a content's last Item while the other adds a new one, the next build finds what is lacking and embeds it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmrank.embed.late_base import Tokens
from mmrank.index.commit import delete, until_committed, upsert
from mmrank.index.exact import Matrix
from mmrank.index.filters import one_of
from mmrank.index.store import Store

LOOK_UP = 1_000
"""Contents in one SQL list."""

READ_ROWS = 128
"""Rows of one read: at 750 tokens of 128 numbers 25 MB, and as much again as float32 in twice the bytes."""

YOUNG = timedelta(hours=1)
"""Token vectors without an Item are left alone until they are this old."""

UNINDEXED_ROWS = 1_000
"""Rows outside the content index before it is made again. Reading by content costs four times as much outside."""


def put_tokens(table: Any, held: Mapping[str, Tokens | None]) -> set[str]:
    """Write the token vectors of those contents that the table lacks; None: they are thought to be there.

    Returns the contents that have none, neither there nor here: their rows must not be written.
    """
    missing = lacking(table, held)
    new = {content: tokens for content in missing if (tokens := held[content]) is not None}
    upsert(table, _rows(new, table.schema), "content")
    return missing - set(new)


def lacking(table: Any, contents: Collection[str]) -> set[str]:
    """Those of the contents that the table has no row for."""
    return set(contents) - set(_having(table, contents))


def contents_of(items: Any, ids: Collection[str]) -> dict[str, str]:
    """The contents of rows of `items`, by id; ids that are not there are left out."""
    found: dict[str, str] = {}
    for some in _parts(ids, LOOK_UP):
        rows = items.search().where(one_of("id", some)).select(["id", "content"]).to_arrow()
        found.update(zip(rows["id"].to_pylist(), rows["content"].to_pylist(), strict=True))
    return found


def read_tokens(table: Any, contents: Collection[str]) -> Iterator[tuple[str, Matrix]]:
    """Contents with their token vectors, float32 (tokens, dimension), `READ_ROWS` at a time; unknown ones left out."""
    for some in _parts(contents, READ_ROWS):
        found = table.search().where(one_of("content", some)).select(["content", "vectors"]).to_arrow()
        if not found.num_rows:
            continue
        column = found["vectors"].combine_chunks()
        vectors = column.flatten()
        flat = vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, vectors.type.list_size)
        ends = np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False))
        starts = [0, *ends[:-1].tolist()]
        for content, start, end in zip(found["content"].to_pylist(), starts, ends.tolist(), strict=True):
            # A copy of its own, so that whoever keeps one page does not keep them all.
            yield content, flat[start:end].astype(np.float32)


def drop_unused(store: Store, contents: Collection[str]) -> None:
    """Remove the token vectors of those contents that no Item has."""
    table = store.find_tokens()
    if table is None or not contents:
        return
    store.items.checkout_latest()
    for some in _parts(contents, LOOK_UP):
        unused = sorted(set(some) - set(_having(store.items, some)))
        if unused and (there := list(_having(table, unused))):
            delete(table, one_of("content", there))


def sweep(store: Store, older: timedelta = YOUNG) -> None:
    """Remove token vectors older than `older` that no Item has: what a killed build left behind."""
    table = store.find_tokens()
    if table is None or not table.count_rows():
        return
    store.items.checkout_latest()
    held = {hash(content) for content in _column(store.items, "content")}
    limit = pa.scalar(datetime.now(UTC) - older, table.schema.field("at").type)
    unused: list[str] = []
    for batch in table.search().select(["content", "at"]).to_batches():
        old = batch.filter(pc.less(batch["at"], limit))
        unused += [content for content in old["content"].to_pylist() if hash(content) not in held]
    drop_unused(store, unused)


def index_tokens(table: Any) -> None:
    """Make the index on contents when there is none, or anew when many rows are outside it. It reads no vectors."""
    from lancedb.index import BTree

    if not table.count_rows():
        return
    there = table.list_indices()
    if not there or max(index.num_unindexed_rows or 0 for index in there) > UNINDEXED_ROWS:
        until_committed(table, lambda: table.create_index("content", config=BTree()))


def token_stats(store: Store) -> dict[str, int] | None:
    """How many contents and token vectors the table holds, and its bytes; None in an index without."""
    table = store.find_tokens()
    if table is None:
        return None
    counts = [int(pc.sum(batch["count"]).as_py() or 0) for batch in table.search().select(["count"]).to_batches()]
    return {"contents": table.count_rows(), "vectors": sum(counts), "bytes": table.stats()["total_bytes"]}


def _rows(tokens: Mapping[str, Tokens], schema: pa.Schema) -> pa.Table:
    dimension = schema.field("vectors").type.value_type.list_size
    each = [own.astype(np.float16, copy=False) for own in tokens.values()]
    flat = np.concatenate(each).reshape(-1) if each else np.empty(0, np.float16)
    offsets = np.cumsum([0, *(len(own) for own in each)], dtype=np.int32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat), dimension)
    arrays = [
        pa.array(list(tokens), pa.string()),
        pa.array([len(own) for own in each], pa.int32()),
        pa.ListArray.from_arrays(offsets, vectors, type=schema.field("vectors").type),
        pa.array([datetime.now(UTC)] * len(each), schema.field("at").type),
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _having(table: Any, contents: Collection[str]) -> Iterator[str]:
    """Those of the contents that a table has rows of; one that several rows have may come more than once."""
    for some in _parts(contents, LOOK_UP):
        found = table.search().where(one_of("content", some)).select(["content"]).to_arrow()
        yield from found["content"].to_pylist()


def _column(table: Any, name: str) -> Iterator[str]:
    for batch in table.search().select([name]).to_batches():
        yield from batch[name].to_pylist()


def _parts(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of at most `size`, each value once."""
    unique = list(dict.fromkeys(values))
    for start in range(0, len(unique), size):
        yield unique[start : start + size]
