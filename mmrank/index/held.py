"""Contents that the tables hold already, with their vectors, whosever they are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmrank.embed.base import Embedded
from mmrank.index.filters import one_of
from mmrank.index.schema import TEXT_VECTOR, VECTOR
from mmrank.index.stamps import local_path
from mmrank.index.store import Store
from mmrank.index.work import Content

MOST_ORPHANS = 256
"""Rows of one content whose files are looked for, to tell a moved file from a copy."""


def held_contents(
    store: Store, wanted: Collection[str], new: Collection[str], rows: Mapping[str, dict[str, Any]]
) -> dict[str, Content]:
    """The wanted contents that are in the table, whosever they are, with what lies in the side tables.

    `new`: those that are wanted for ids that are not there; they may be of files that were moved.
    """
    table = store.items
    sources = {row["content"]: row["id"] for row in rows.values() if row["content"] in wanted}
    others = sorted((set(wanted) - set(sources)) | set(new))
    orphans: Counter[str] = Counter()
    if others:
        found = table.search().where(one_of("content", others)).select(["id", "uri", "content"]).to_arrow()
        sources.update(zip(found["content"].to_pylist(), found["id"].to_pylist(), strict=True))
        orphans = _orphans(zip(found["content"].to_pylist(), found["uri"].to_pylist(), strict=True))
    if not sources:
        return {}
    ids = list(sources.values())
    thumbnails, frames = _sides(store, ids)
    contents = {}
    for row in rows_by_id(table, ids, ["id", "text", "content"], vectors=True).values():
        if sources.get(row["content"]) != row["id"]:  # another process has just put other content there
            continue
        video = frames.get(row["id"])
        vectors = Embedded(
            vector=row[VECTOR],
            text_vector=row[TEXT_VECTOR],
            frame_vectors=np.asarray(video["vectors"], np.float32) if video else None,
        )
        contents[row["content"]] = Content(
            digest=row["content"],
            embedded=vectors,
            text=row["text"],
            thumbnail=thumbnails.get(row["id"], {}).get("jpeg"),
            times=tuple(video["times"]) if video else (),
            orphans=orphans[row["content"]],
        )
    return contents


def _sides(store: Store, ids: Iterable[str]) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    tables = (store.thumbnails, ["id", "jpeg"]), (store.frames, ["id", "times", "vectors"])
    for table, _ in tables:
        table.checkout_latest()
    thumbnails, frames = (rows_by_id(table, ids, columns) for table, columns in tables)
    return thumbnails, frames


def rows_by_id(
    table: Any, ids: Iterable[str], columns: Sequence[str], *, vectors: bool = False
) -> dict[str, dict[str, Any]]:
    """Rows by id; with `vectors` the two vector columns as float32 arrays beside the named columns."""
    names = [*columns, VECTOR, TEXT_VECTOR] if vectors else list(columns)
    found = table.search().where(one_of("id", ids)).select(names).to_arrow()
    rows: list[dict[str, Any]] = found.select(columns).to_pylist()
    for name in (VECTOR, TEXT_VECTOR) if vectors else ():
        column = found[name].combine_chunks()
        matrix = column.flatten().to_numpy(zero_copy_only=False)
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        places = np.cumsum(valid) - 1  # flatten leaves out the numbers of nulls
        matrix = matrix.reshape(-1, column.type.list_size)
        for row, there, place in zip(rows, valid, places, strict=True):
            row[name] = matrix[place].copy() if there else None
    return {row["id"]: row for row in rows}


def _orphans(found: Iterable[tuple[str, str | None]]) -> Counter[str]:
    """How many rows of each content name a local file that is not there; no more than `MOST_ORPHANS` are counted."""
    looked: Counter[str] = Counter()
    orphans: Counter[str] = Counter()
    for content, uri in found:
        looked[content] += 1
        path = local_path(uri) if looked[content] <= MOST_ORPHANS else None
        if path is not None and not os.path.lexists(path):
            orphans[content] += 1
    return orphans
