"""Two places candidates come from, behind one shape: the matrix in memory, and the table itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrank.errors import IndexStoreError
from mmrank.index.exact import Matrix, best, ranked
from mmrank.index.filters import both, one_of
from mmrank.index.nearest import AnnSettings, Reach, nearest
from mmrank.index.schema import VECTOR
from mmrank.index.snapshot import Channel, Snapshot

ID_CHUNK = 1_000
"""Ids in one SQL list; Lance answers a thousand from the id index in about 10 ms."""


TIE_MARGIN = 8
"""Rows read beyond the k wanted, so that ties at the cut are decided by id. More would show: an approximate index
looks at `refine` times as many."""


class Candidates(NamedTuple):
    """The best of one channel for one query, best first: the source's keys of the rows, and their cosines."""

    keys: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]


class Ask(NamedTuple):
    """What one query may get: never the ids in `exclude`; only those in `among` unless that is None."""

    exclude: tuple[str, ...] = ()
    among: tuple[str, ...] | None = None


class CandidateSource(Protocol):
    """Candidates per channel, and the rows behind their keys."""

    def top(self, channel: Channel, queries: Matrix, k: int, asks: Sequence[Ask]) -> list[Candidates]: ...

    def ids(self, keys: Sequence[int]) -> Sequence[str]: ...

    def rows(self, keys: Sequence[int]) -> list[dict[str, Any]]: ...


class MatrixSource:
    """Exact candidates from a snapshot; keys are its positions."""

    def __init__(self, snapshot: Snapshot, reach: Reach) -> None:
        self._snapshot = snapshot
        self._reach = reach
        self._mask = snapshot.matching(reach.where) if reach.where is not None else None

    def top(self, channel: Channel, queries: Matrix, k: int, asks: Sequence[Ask]) -> list[Candidates]:
        if channel not in self._snapshot.channels:
            return [_none() for _ in asks]
        vectors, rows = self._snapshot.channels[channel]
        allowed = self._mask
        if allowed is not None and len(rows) != len(allowed):  # else the channel is all rows, in order
            allowed = allowed[rows]

        def names(positions: npt.NDArray[np.int64]) -> Sequence[str]:
            return self._snapshot.names(rows[positions])

        out: list[Candidates | None] = [None] * len(asks)
        barred = [self._places(channel, ask.exclude) for ask in asks]
        for i, ask in enumerate(asks):
            if ask.among is not None:
                only = np.setdiff1d(self._places(channel, ask.among), barred[i])
                only = only if allowed is None else only[allowed[only]]
                found = ranked(vectors, names, queries[i], k, only)
                out[i] = Candidates(rows[found.positions], found.scores)
        free = [i for i, ask in enumerate(asks) if ask.among is None]
        if free:
            exclude = [barred[i] for i in free]
            for i, found in zip(
                free, best(vectors, names, queries[free], k, allowed=allowed, exclude=exclude), strict=True
            ):
                out[i] = Candidates(rows[found.positions], found.scores)
        return [c if c is not None else _none() for c in out]

    def _places(self, channel: Channel, ids: Iterable[str]) -> npt.NDArray[np.int64]:
        """Rows of the channel's matrix that belong to these ids."""
        if not ids:
            return np.empty(0, np.int64)
        rows = self._snapshot.channels[channel].rows
        positions = self._snapshot.positions(ids)
        places = np.searchsorted(rows, positions)
        there = places < len(rows)
        there[there] = rows[places[there]] == positions[there]
        return places[there]

    def ids(self, keys: Sequence[int]) -> Sequence[str]:
        return self._snapshot.names(np.asarray(keys, np.int64))

    def rows(self, keys: Sequence[int]) -> list[dict[str, Any]]:
        return self._snapshot.rows(np.asarray(keys, np.int64), self._reach.columns)


class TableSource:
    """Candidates from LanceDB; keys count the rows this source has seen. Made anew for every batch.

    Ties go by id as long as no more than `TIE_MARGIN` rows beyond the k-th have its score: of more than that Lance
    chooses which come at all (`MatrixSource` has no such limit).
    """

    def __init__(self, table: Any, reach: Reach, ann: dict[str, AnnSettings]) -> None:
        self._table = table
        self._reach = reach
        self._ann = ann
        self._seen: list[dict[str, Any]] = []
        self._key_of: dict[str, int] = {}

    def top(self, channel: Channel, queries: Matrix, k: int, asks: Sequence[Ask]) -> list[Candidates]:
        out = [_none() for _ in asks]
        for i, ask in enumerate(asks):
            if ask.among is not None:
                out[i] = self._among(channel, queries[i], k, ask)
        free = [i for i, ask in enumerate(asks) if ask.among is None]
        if free:
            limit = k + TIE_MARGIN + max(len(asks[i].exclude) for i in free)
            ann = self._ann.get(channel.column)
            for i, rows in zip(
                free, nearest(self._table, channel, queries[free], limit, reach=self._reach, ann=ann), strict=True
            ):
                barred = set(asks[i].exclude)
                out[i] = self._listed([r for r in rows if r["id"] not in barred], k)
        return out

    def _listed(self, rows: Sequence[dict[str, Any]], k: int) -> Candidates:
        scored = [(1.0 - row.pop("_distance"), row) for row in rows]
        scored.sort(key=lambda pair: (-pair[0], pair[1]["id"]))
        keys = [self._key(row) for _, row in scored[:k]]
        return Candidates(np.asarray(keys, np.int64), np.asarray([s for s, _ in scored[:k]], np.float32))

    def _among(self, channel: Channel, query: Matrix, k: int, ask: Ask) -> Candidates:
        """Few named rows are scored exactly; an approximate index has no part in it."""
        barred = set(ask.exclude)
        wanted = [i for i in dict.fromkeys(ask.among or ()) if i not in barred]
        rows: list[dict[str, Any]] = []
        vectors: list[Matrix] = []
        for start in range(0, len(wanted), ID_CHUNK):
            named = one_of("id", wanted[start : start + ID_CHUNK])
            condition = both(self._reach.where, channel.predicate, named)
            builder = self._table.search().where(condition).select([*self._reach.columns, channel.column])
            found = builder.to_arrow()
            if found.num_rows:
                column = found[channel.column].combine_chunks()
                vectors.append(column.flatten().to_numpy(zero_copy_only=False).reshape(found.num_rows, -1))
                rows += found.drop_columns([channel.column]).to_pylist()
        if not rows:
            return _none()
        top = ranked(np.concatenate(vectors), lambda p: [rows[i]["id"] for i in p], query, k, np.arange(len(rows)))
        return Candidates(np.asarray([self._key(rows[p]) for p in top.positions], np.int64), top.scores)

    def _key(self, row: dict[str, Any]) -> int:
        key = self._key_of.setdefault(row["id"], len(self._seen))
        if key == len(self._seen):
            self._seen.append(row)
        return key

    def ids(self, keys: Sequence[int]) -> Sequence[str]:
        return [self._seen[k]["id"] for k in keys]

    def rows(self, keys: Sequence[int]) -> list[dict[str, Any]]:
        return [self._seen[k] for k in keys]


def _none() -> Candidates:
    return Candidates(np.empty(0, np.int64), np.empty(0, np.float32))


def known(table: Any, ids: Sequence[str], column: str) -> Iterator[tuple[str, Matrix]]:
    """Ids with what this vector column holds for them, each id once; ids that are not in the table are left out.

    A column of vectors gives float32 (d,), a column of lists of vectors float32 (n, d).
    """
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), ID_CHUNK):
        condition = one_of("id", wanted[start : start + ID_CHUNK])
        found = table.search().where(condition).select(["id", column]).to_arrow()
        if not found.num_rows:
            continue
        values = found[column].combine_chunks()
        if pa.types.is_fixed_size_list(values.type):
            rows: Iterable[Matrix] = _rows(values)
        else:
            ends = np.cumsum(values.value_lengths().to_numpy(zero_copy_only=False))[:-1]
            rows = np.split(_rows(values.flatten()), ends)
        yield from zip(found["id"].to_pylist(), rows, strict=True)


def _rows(vectors: pa.FixedSizeListArray) -> Matrix:
    flat: Matrix = vectors.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, vectors.type.list_size)


def by_id(table: Any, ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """Rows by id, in the order of `ids`; an id may come twice. Raises `IndexStoreError` for unknown ids."""
    wanted = list(dict.fromkeys(ids))
    pieces = [
        table.search().where(one_of("id", wanted[start : start + ID_CHUNK])).select(["id", *columns]).to_arrow()
        for start in range(0, max(len(wanted), 1), ID_CHUNK)
    ]
    found = pa.concat_tables(pieces)
    place = {name: row for row, name in enumerate(found["id"].to_pylist())}
    missing = [name for name in wanted if name not in place]
    if missing:
        raise IndexStoreError(
            f"{len(missing)} of {len(wanted)} ids are not in this index, the first is {missing[0]!r}. "
            "Ids are those of the Items that were added, as hits show them."
        )
    return found.take(pa.array([place[name] for name in ids], pa.int64()))


def vectors_of(table: Any, ids: Sequence[str]) -> Matrix:
    """Stored vectors of these ids, float32 (n, d), in their order. Raises `IndexStoreError` for unknown ids."""
    column = by_id(table, ids, [VECTOR])[VECTOR].combine_chunks()
    vectors: Matrix = column.flatten().to_numpy(zero_copy_only=False).reshape(len(ids), column.type.list_size)
    return vectors
