"""What an index holds as a build begins, so small that all of it is in memory: 32 bytes a row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrank.errors import UsageError
from mmrank.index.filters import one_of
from mmrank.index.metadata import columns_of
from mmrank.index.schema import OWN_COLUMNS, SOURCE, STAMP
from mmrank.index.stamps import content_part
from mmrank.index.store import Store
from mmrank.media.file_meta import FileMeta
from mmrank.types import Item, Kind

Hashes = npt.NDArray[np.uint64]

CAPTIONED: tuple[Kind, ...] = ("image", "video")
"""The kinds whose text is a caption: in the row, for text search, and not in the vectors or the content hash."""

_HASH_BYTES = 8
"""Two of ten million rows share a 64-bit hash of the id with a chance of 3 in a million, and would then have to share
one of everything else as well before one of them was taken for the other."""


class Known:
    """Hashes of the rows there were: by id, what each says, and the stamp that says it shorter.

    Made with one pass over the narrow columns of `items`. It answers for 50,000 unchanged items in the time that 20
    look-ups in the table take. Rows that others write meanwhile are not in it, nor are those that lack their token
    vectors: such items go the long way. Looked at from several threads, changed from one (`forget`).

    >>> known = Known(pa.schema([]))
    >>> known.has("a"), known.stamped("a", "10:1:f")
    (False, False)
    """

    def __init__(self, schema: pa.Schema, *, verify: bool = False) -> None:
        self.schema = schema
        self._verify = verify
        self._ids: Hashes = np.empty(0, np.uint64)
        self._rows: Hashes = np.empty(0, np.uint64)  # of all an item says, metadata by metadata
        self._short: Hashes = np.empty(0, np.uint64)  # of the same with the stamp in place of metadata
        self._stamps: Hashes = np.empty(0, np.uint64)

    @classmethod
    def of(cls, store: Store, *, verify: bool = False) -> Known:
        """What the newest version of an index holds; with `verify`, stamps are not believed."""
        table = store.items
        known = cls(table.schema, verify=verify)
        if table.count_rows():
            known._read(table, store)
        return known

    def has(self, item_id: str) -> bool:
        """Whether there was a row of this id when the build began."""
        return self._at(item_id) is not None

    def stamped(self, item_id: str, stamp: str) -> bool:
        """Whether the row of this id was read from a file that this very stamp tells: then its content is known."""
        at = self._at(item_id)
        return not self._verify and at is not None and bool(self._stamps[at] == _hash(content_part(stamp)))

    def same(self, item: Item, stamp: str | None, content: str | None, source: str | None) -> bool:
        """Whether writing an item would change nothing of its row. `content` is asked for where there is no stamp."""
        at = self._at(item.id)
        if at is None:
            return False
        stamp = None if self._verify else stamp
        whole = stamp is not None and isinstance(item.meta, FileMeta)  # a stamp that stands for the metadata too
        if whole and self._short[at] == _row_hash(item.uri, item.parent, source, stamp, {}):
            return True
        try:
            columns = columns_of(self.schema, item.meta)
        except UsageError:  # the careful way says what is wrong
            return False
        told = stamp or _told(item.kind, content, item.text)
        return bool(self._rows[at] == _row_hash(item.uri, item.parent, source, told, columns))

    def forget(self, item_id: str) -> None:
        """This row is about to be another; from now on nothing is the same as it."""
        at = self._at(item_id)
        if at is not None:
            self._rows[at] = self._short[at] = self._stamps[at] = 0

    def holds(self, item_id: str) -> bool:
        """Whether the row of this id is still as it was when the build began."""
        at = self._at(item_id)
        return at is not None and bool(self._rows[at])

    def _at(self, item_id: str) -> int | None:
        wanted = np.uint64(_hash(item_id))
        at = int(np.searchsorted(self._ids, wanted))
        return at if at < len(self._ids) and self._ids[at] == wanted else None

    def _read(self, table: Any, store: Store) -> None:
        names = ("id", "kind", "uri", "parent", "content", STAMP, SOURCE)
        own = [name for name in names if name in table.schema.names]
        metadata = [name for name in table.schema.names if name not in OWN_COLUMNS]
        tokens = store.find_tokens()
        with_tokens = None if tokens is None else _contents(tokens)
        # Captions are read only where nothing else tells them: a stamp stands for the text that was given, too.
        captioned = one_of("kind", CAPTIONED)
        if not self._verify and STAMP in own:
            captioned = f"({captioned} AND {STAMP} IS NULL)"
        parts: list[list[list[int]]] = []
        for where, own_here in ((f"NOT {captioned}", own), (captioned, [*own, "text"])):
            parts += self._read_part(table.search().where(where), own_here, metadata, with_tokens)
        every = [np.concatenate([np.array(part[i], np.uint64) for part in parts]) for i in range(4)]
        order = np.argsort(every[0])
        self._ids, self._rows, self._short, self._stamps = (column[order] for column in every)

    def _read_part(
        self, query: Any, own: list[str], metadata: list[str], with_tokens: set[int] | None
    ) -> Iterator[list[list[int]]]:
        for batch in query.select([*own, *metadata]).to_batches():
            hashes: list[list[int]] = [[], [], [], []]
            kept = _columns(batch, metadata)
            for row, columns in zip(batch.select(own).to_pylist(), kept, strict=True):
                bare = with_tokens is not None and hash(row["content"]) not in with_tokens
                for column, value in zip(
                    hashes, (_hash(row["id"]), *self._hashes(row, columns, bare=bare)), strict=True
                ):
                    column.append(value)
            yield hashes

    def _hashes(self, row: Mapping[str, Any], columns: Mapping[str, Any], *, bare: bool) -> tuple[int, int, int]:
        """Of a row: all it says, the same in short, and what tells its content; 0 where nobody may rely on it."""
        if bare:
            return 0, 0, 0
        uri, parent, source, stamp = row["uri"], row["parent"], row.get(SOURCE), row.get(STAMP)
        if stamp is None or self._verify:
            told = _told(row["kind"], row["content"], row.get("text"))
            return _row_hash(uri, parent, source, told, columns), 0, 0
        short = _row_hash(uri, parent, source, stamp, {})
        return _row_hash(uri, parent, source, stamp, columns), short, _hash(content_part(stamp))


def _told(kind: Kind, content: str | None, text: str | None) -> object:
    """What tells content and text of a row: the hash of the one, and of pictures and videos the other beside it."""
    return (content, text) if kind in CAPTIONED and text is not None else content


def _columns(batch: pa.RecordBatch, names: list[str]) -> list[dict[str, Any]]:
    """The metadata of every row as `columns_of` gives it: what is unknown is left out."""
    return [
        {name: value for name, value in row.items() if value is not None} for row in batch.select(names).to_pylist()
    ]


def _contents(tokens: Any) -> set[int]:
    """Hashes of the contents that have token vectors."""
    batches = tokens.search().select(["content"]).to_batches()
    return {hash(content) for batch in batches for content in batch["content"].to_pylist()}


def _row_hash(uri: str | None, parent: str | None, source: str | None, told: object, meta: Mapping[str, Any]) -> int:
    columns = sorted((name, _plain(value)) for name, value in meta.items())
    return _hash(repr((uri, parent, source, told, columns)))


def _plain(value: object) -> object:
    """The same for equal values: a time zone may be UTC by several names."""
    return value.isoformat() if isinstance(value, date) else value


def _hash(text: str) -> int:
    """Never 0, which stands for nothing."""
    taken = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).digest()
    return int.from_bytes(taken, "little") or 1
