"""The vectors of one version of an index in memory, a matrix per channel, tied to the rows they came from.

A *channel* is one vector column of one kind of Item: the picture of a page and its text layer are two. Rows of one
channel lie together, so that a search of one kind touches nothing else.

Row ids hold for one table version only (compaction and updates move rows), so a snapshot keeps a handle that is
checked out at its version, and reads vectors, filters and items through that handle.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrank.errors import IndexStoreError
from mmrank.index.exact import Mask, Matrix, Positions
from mmrank.index.filters import whole
from mmrank.index.schema import TEXT_VECTOR, VECTOR
from mmrank.types import Kind

EXACT_BYTES = 1 << 30
"""The matrix of an exact search may take 1 GiB: 524,288 rows of 512 dimensions, about 70 ms a query on one core.
Beyond it an index wants an approximate one."""

SCAN_ROWS = 8_192
"""Rows of a batch while loading: at 512 dimensions 16 MiB on top of the matrix."""

FLOAT_BYTES = 4

MASKS = 16
"""Filters whose rows are remembered, a byte a row each: people page through one filter, and batches repeat it."""


class StaleSnapshotError(IndexStoreError):
    """The version a snapshot was taken from can no longer be read: another process compacted and cleaned up."""


class Channel(NamedTuple):
    """One vector column of one kind of Item."""

    kind: Kind
    column: str

    @property
    def name(self) -> str:
        """What a hit's sources call it.

        >>> Channel("page", TEXT_VECTOR).name
        'page.text_vector'
        """
        return f"{self.kind}.{self.column}"

    @property
    def predicate(self) -> str:
        """SQL that is true for the rows of this channel."""
        mine = f"kind = '{self.kind}'"
        return mine if self.column == VECTOR else f"{mine} AND {self.column} IS NOT NULL"


CHANNELS: tuple[Channel, ...] = (
    Channel("image", VECTOR),
    Channel("video", VECTOR),
    Channel("page", VECTOR),
    Channel("page", TEXT_VECTOR),
    Channel("text", VECTOR),
)


class ChannelRows(NamedTuple):
    """The vectors of one channel (n, d), and for each the position of its row in the snapshot."""

    vectors: Matrix
    rows: Positions


def census(table: Any) -> dict[Channel, int]:
    """How many rows each channel has; channels without rows are left out."""
    counted = {channel: int(table.count_rows(channel.predicate)) for channel in CHANNELS}
    return {channel: n for channel, n in counted.items() if n}


def matrix_bytes(counts: dict[Channel, int], dimension: int) -> int:
    """What the vectors of these channels take in memory, in bytes."""
    return sum(counts.values()) * dimension * FLOAT_BYTES


def dimension_of(table: Any) -> int:
    """The length of the vectors in this table."""
    return int(table.schema.field(VECTOR).type.list_size)


class Snapshot:
    """All vectors of one table version. Make it with `Snapshot.load`; it never changes afterwards."""

    def __init__(
        self,
        table: Any,
        ids: pa.Array,
        contents: pa.Array,
        row_ids: npt.NDArray[np.uint64],
        channels: dict[Channel, ChannelRows],
    ) -> None:
        self.table = table
        self.ids = ids
        self.contents = contents
        self.row_ids = row_ids
        self.channels = channels
        self.version = int(table.version)
        self._masks: OrderedDict[str, Mask] = OrderedDict()
        self._masks_lock = threading.Lock()

    @classmethod
    def load(cls, table: Any, counts: dict[Channel, int] | None = None) -> Snapshot:
        """Read the vectors of a table handle that is checked out at one version.

        One scan, copied batch by batch into matrices of the right size: the peak is the matrices and one batch.
        Raises `StaleSnapshotError` when the version changes under the scan (the handle was not checked out).
        """
        counts = census(table) if counts is None else counts
        loading = _Loading(counts, dimension_of(table))
        columns = ["id", "kind", "content", *{channel.column for channel in counts}]
        if counts:
            query = table.search().select(columns).with_row_id(True)
            for batch in query.to_batches(batch_size=SCAN_ROWS):
                loading.take(batch)
        return cls(table, *loading.done())

    def carried(self, table: Any) -> Snapshot | None:
        """This snapshot on a newer version of the table, when every row is still where it was; None otherwise.

        Building an index or writing settings makes a version without touching a row; then a scan of ids (60 ms for
        200,000 rows) saves one of vectors (seconds). A row id with an unchanged content hash holds the same vector.
        """
        found = table.search().select(["id", "content"]).with_row_id(True).to_arrow()
        same = (
            found.num_rows == len(self.row_ids)
            and np.array_equal(found["_rowid"].to_numpy(), self.row_ids)
            and _one_array(found["content"]).equals(self.contents)
        )
        return Snapshot(table, self.ids, self.contents, self.row_ids, self.channels) if same else None

    def names(self, positions: Positions) -> Sequence[str]:
        """The ids of rows, by position."""
        taken: list[str] = self.ids.take(pa.array(positions)).to_pylist()
        return taken

    @cached_property
    def position_of(self) -> dict[str, int]:
        """The position of an id. Made when `exclude` or `among` first needs it (about 40 ms for 200,000 rows)."""
        return {name: i for i, name in enumerate(self.ids.to_pylist())}

    def positions(self, ids: Iterable[str]) -> Positions:
        """Positions of those ids that are in the index; the others are left out."""
        known = (self.position_of.get(i) for i in ids)
        return np.unique(np.fromiter((p for p in known if p is not None), np.int64))

    def known(self, ids: Iterable[str]) -> dict[str, Matrix]:
        """Vectors (d,) by id, of `VECTOR`'s channels; ids that are not in the index are left out."""
        names = [name for name in dict.fromkeys(ids) if name in self.position_of]
        positions = np.fromiter((self.position_of[name] for name in names), np.int64, len(names))
        found: dict[str, Matrix] = {}
        for channel, (vectors, rows) in self.channels.items():
            if channel.column != VECTOR:
                continue
            places = np.searchsorted(rows, positions)
            mine = np.flatnonzero(places < len(rows))
            mine = mine[rows[places[mine]] == positions[mine]]
            found.update(zip((names[i] for i in mine.tolist()), vectors[places[mine]], strict=True))
        return found

    def contents_of(self, ids: Iterable[str]) -> dict[str, str]:
        """Content hashes by id; ids that are not in the index are left out."""
        names = [name for name in dict.fromkeys(ids) if name in self.position_of]
        taken = self.contents.take(pa.array([self.position_of[name] for name in names], pa.int64()))
        return dict(zip(names, taken.to_pylist(), strict=True))

    @cached_property
    def _by_row_id(self) -> Positions:
        return np.argsort(self.row_ids, kind="stable")

    def matching(self, where: str) -> Mask:
        """True for the rows a SQL filter lets through, as Lance evaluates it on this very version.

        The last `MASKS` filters are remembered; do not write into what is returned.
        """
        with self._masks_lock:
            mask = self._masks.get(where)
        if mask is None:
            mask = self._evaluated(where)
        with self._masks_lock:
            self._masks[where] = mask
            self._masks.move_to_end(where)
            while len(self._masks) > MASKS:
                self._masks.popitem(last=False)
        return mask

    def _evaluated(self, where: str) -> Mask:
        # An empty select list would read every column; the kind is the cheapest one.
        query = self.table.search().where(whole(where)).select(["kind"]).with_row_id(True)
        hits = query.to_arrow()["_rowid"].to_numpy()
        mask = np.zeros(len(self.row_ids), np.bool_)
        mask[self._by_row_id[np.searchsorted(self.row_ids, hits, sorter=self._by_row_id)]] = True
        mask.flags.writeable = False
        return mask

    def rows(self, positions: Positions, columns: Sequence[str]) -> list[dict[str, Any]]:
        """These rows' columns, in the order of the positions (which must be unique)."""
        if len(positions) == 0:
            return []
        wanted = self.row_ids[positions]
        # take_row_ids answers in storage order.
        builder = self.table.take_row_ids([int(r) for r in wanted]).select(list(columns)).with_row_id()
        taken = builder.to_arrow()
        if taken.num_rows != len(wanted):
            raise StaleSnapshotError(
                f"Version {self.version} of the index no longer holds {len(wanted) - taken.num_rows} of its rows."
            )
        order = np.argsort(taken["_rowid"].to_numpy())
        place = order[np.searchsorted(taken["_rowid"].to_numpy(), wanted, sorter=order)]
        found: list[dict[str, Any]] = taken.drop_columns(["_rowid"]).take(pa.array(place)).to_pylist()
        return found


class _Loading:
    """Matrices of known size, filled as batches come."""

    def __init__(self, counts: dict[Channel, int], dimension: int) -> None:
        self.vectors = {channel: np.empty((n, dimension), np.float32) for channel, n in counts.items()}
        self.rows = {channel: np.empty(n, np.int64) for channel, n in counts.items()}
        self.filled = dict.fromkeys(counts, 0)
        self.ids: list[pa.Array] = []
        self.contents: list[pa.Array] = []
        self.row_ids: list[npt.NDArray[np.uint64]] = []
        self.seen = 0

    def take(self, batch: pa.RecordBatch) -> None:
        self.ids.append(batch["id"])
        self.contents.append(batch["content"])
        self.row_ids.append(batch["_rowid"].to_numpy())
        for channel in self.vectors:
            mine = pc.equal(batch["kind"], channel.kind)
            column = batch[channel.column]
            if column.null_count:
                mine = pc.and_(mine, column.is_valid())
            rows = np.flatnonzero(mine.to_numpy(zero_copy_only=False))
            if len(rows):
                self._put(channel, column if len(rows) == len(column) else column.take(pa.array(rows)), rows)
        self.seen += batch.num_rows

    def _put(self, channel: Channel, column: pa.Array, rows: Positions) -> None:
        start = self.filled[channel]
        end = start + len(rows)
        if end > len(self.rows[channel]):
            raise StaleSnapshotError("The index changed while it was being read; the handle must be checked out.")
        self.vectors[channel][start:end] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)
        self.rows[channel][start:end] = rows + self.seen
        self.filled[channel] = end

    def done(self) -> tuple[pa.Array, pa.Array, npt.NDArray[np.uint64], dict[Channel, ChannelRows]]:
        short = [c.name for c, rows in self.rows.items() if self.filled[c] != len(rows)]
        if short:
            raise StaleSnapshotError(f"The index changed while it was being read: too few rows for {', '.join(short)}.")
        ids = _one_array(pa.chunked_array(self.ids, pa.string()))
        contents = _one_array(pa.chunked_array(self.contents, pa.string()))
        row_ids = np.concatenate(self.row_ids) if self.row_ids else np.empty(0, np.uint64)
        return ids, contents, row_ids, {c: ChannelRows(self.vectors[c], self.rows[c]) for c in self.vectors}


def _one_array(chunks: pa.ChunkedArray) -> pa.Array:
    """One array of strings, with offsets wide enough for any number of them."""
    return chunks.cast(pa.large_string()).combine_chunks()


def vector_batches(table: Any, channel: Channel) -> Iterator[Matrix]:
    """The vectors of one channel in pieces (m, d) of at most `SCAN_ROWS` rows, read from the table."""
    query = table.search().where(channel.predicate).select([channel.column])
    for batch in query.to_batches(batch_size=SCAN_ROWS):
        if batch.num_rows:
            yield batch[channel.column].flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, -1)
