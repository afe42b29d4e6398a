"""What each item of a build needs: nothing, its row written again, vectors that exist already, or the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa

from mmrank.embed.base import Embedded
from mmrank.errors import UsageError
from mmrank.index.filters import one_of
from mmrank.index.metadata import column_name, columns_of
from mmrank.index.report import Tally, name_of
from mmrank.index.schema import OWN_COLUMNS, TEXT_VECTOR, VECTOR
from mmrank.index.store import Store
from mmrank.index.tokens import lacking
from mmrank.index.work import Content, Digested, Work

RECENT_CONTENTS = 64
"""Contents shared last that are kept at hand: a blank page that comes a thousand times is looked up once."""


class Outlet(Protocol):
    """Where items go that need no more work."""

    def fail(self, uri: str, why: str) -> None: ...

    def recover(self, uri: str) -> None: ...


class Planner:
    """Looks items up, a chunk at a time, and says what is to be done. Used from one thread.

    Contents and items that are on their way are known by weak reference: they are forgotten when the last row that
    holds them is on disk, from where on the table answers for them. So nothing here grows with the collection.
    """

    def __init__(self, store: Store, tally: Tally, outlet: Outlet) -> None:
        self._store = store
        self._tally = tally
        self._outlet = outlet
        self._contents: WeakValueDictionary[str, Content] = WeakValueDictionary()
        self._works: WeakValueDictionary[str, Work] = WeakValueDictionary()
        self._renamed: set[str] = set()
        self._recent: deque[Content] = deque(maxlen=RECENT_CONTENTS)

    def plan(self, chunk: Sequence[Digested]) -> list[Work]:
        """The work a chunk makes, in order. Items that fail or are unchanged are accounted for and left out."""
        table = self._store.items
        table.checkout_latest()
        schema = table.schema
        fit = [one for one in chunk if self._fits(one, schema)]
        # Contents on their way are looked for first, and held: should one reach the disk meanwhile, it is not missed.
        coming = {one.digest: found for one in fit if (found := self._contents.get(one.digest)) is not None}
        filled = table.count_rows() > 0
        columns = [name for name in schema.names if name not in (VECTOR, TEXT_VECTOR)]
        rows = _by_id(table, [one.item.id for one in fit], columns) if filled and fit else {}
        bare = self._without_tokens({one.digest for one in fit})
        changed = self._changed(fit, rows, schema, bare)
        wanted = {one.digest for one in changed} - set(coming) - bare
        stored = self._stored(wanted, rows) if filled and wanted else {}
        return [self._work(one, stored) for one in changed]

    def _fits(self, one: Digested, schema: pa.Schema) -> bool:
        """False, and reported, when the item has no digest or metadata that the columns there are do not take."""
        why = one.error
        if why is None:
            try:
                columns_of(schema, one.item.meta)
            except UsageError as error:
                why = str(error)
        if why is not None:
            self._outlet.fail(name_of(one.item), why)
            self._tally.finish()
            return False
        for key in one.item.meta:
            if column_name(key) != key and key not in self._renamed:
                self._renamed.add(key)
                self._tally.warn(name_of(one.item), f"metadata {key!r} is kept in column {column_name(key)!r}")
        return True

    def _without_tokens(self, contents: set[str]) -> set[str]:
        """Those contents whose token vectors are not there, in an index that keeps them."""
        if self._store.tokens is None or not contents:
            return set()
        return lacking(self._store.find_tokens(), contents)

    def _changed(
        self, chunk: Sequence[Digested], rows: Mapping[str, dict[str, Any]], schema: pa.Schema, bare: Collection[str]
    ) -> list[Digested]:
        """Those to be written; the others are in the table as they are, and their contents are not `bare` of tokens."""
        changed: list[Digested] = []
        coming: set[str] = set()
        for one in chunk:
            item, row = one.item, rows.get(one.item.id)
            if item.id in coming or item.id in self._works:
                self._tally.warn(name_of(item), f"id {item.id!r} came more than once; the last one is kept")
            elif row is not None and one.digest not in bare and _unchanged(row, one, schema):
                self._outlet.recover(name_of(item))
                self._tally.keep(1)
                continue
            coming.add(item.id)
            changed.append(one)
        return changed

    def _work(self, one: Digested, stored: Mapping[str, Content]) -> Work:
        content = self._contents.get(one.digest) or stored.get(one.digest)
        leads = content is None
        if content is None:
            content = Content(digest=one.digest)
        else:
            self._recent.append(content)
        self._contents[one.digest] = content
        work = self._works[one.item.id] = Work(item=one.item, content=content, leads=leads)
        return work

    def _stored(self, wanted: Collection[str], rows: Mapping[str, dict[str, Any]]) -> dict[str, Content]:
        """The wanted contents that are in the table, whosever they are, with what lies in the side tables."""
        table = self._store.items
        sources = {row["content"]: row["id"] for row in rows.values() if row["content"] in wanted}
        others = sorted(set(wanted) - set(sources))
        if others:
            found = table.search().where(one_of("content", others)).select(["id", "content"]).to_arrow()
            sources.update(zip(found["content"].to_pylist(), found["id"].to_pylist(), strict=True))
        if not sources:
            return {}
        ids = list(sources.values())
        thumbnails, frames = self._sides(ids)
        contents = {}
        for row in _by_id(table, ids, ["id", "text", "content"], vectors=True).values():
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
            )
        return contents

    def _sides(self, ids: Iterable[str]) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        tables = (self._store.thumbnails, ["id", "jpeg"]), (self._store.frames, ["id", "times", "vectors"])
        for table, _ in tables:
            table.checkout_latest()
        thumbnails, frames = (_by_id(table, ids, columns) for table, columns in tables)
        return thumbnails, frames


def _by_id(
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


def _unchanged(row: Mapping[str, Any], one: Digested, schema: pa.Schema) -> bool:
    """True when writing the item would change nothing. Equal content includes kind and the text it was given."""
    item = one.item
    if row["content"] != one.digest or row["uri"] != item.uri or row["parent"] != item.parent:
        return False
    kept = {name: value for name, value in row.items() if name not in OWN_COLUMNS and value is not None}
    return kept == columns_of(schema, item.meta)
