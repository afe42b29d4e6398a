"""What is known about the newest version of an index, kept until the version changes.

A search asks for the view first: that costs one look at the versions of two tables (about 0.4 ms each), and everything
else (row counts, columns, measured search settings, moments, the matrix) is read again only after a change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from mmrank.errors import IndexStoreError
from mmrank.index.calibrate import SAMPLE_SETTING, Mean, Side, gaps, setting_key
from mmrank.index.filters import LANCE_ERRORS, check_filter, item_columns
from mmrank.index.nearest import ANN_SETTING, AnnSettings, vector_indexes
from mmrank.index.schema import TEXT_VECTOR, VECTOR
from mmrank.index.sentences import setting_key as sentences_key
from mmrank.index.snapshot import (
    EXACT_BYTES,
    Channel,
    Snapshot,
    StaleSnapshotError,
    census,
    dimension_of,
    matrix_bytes,
    vector_batches,
)
from mmrank.index.store import Store
from mmrank.index.tokens import contents_of
from mmrank.types import KINDS, Kind

MOST_FILTERS = 1_000
"""Filters known to be readable, of one version."""

MEAN_DRIFT = 0.01
"""Where no matrix is in memory, a kept mean may be of up to this share more or fewer rows: such rows move it by about
as little, and measuring it would read every vector of a large index whenever another process adds a few."""


class View:
    """One version of an index. Everything in it is read when first asked for.

    `table` is a handle checked out at this version: counts, filters, candidates and Items belong together.
    """

    def __init__(self, store: Store, table: Any, exact_bytes: int) -> None:
        self.table = table
        self.version = int(table.version)
        self.settings_version = int(store.settings.version)
        self._store = store
        self._exact_bytes = exact_bytes
        self._lock = threading.RLock()
        self._snapshot: Snapshot | None = None
        self._readable: set[str] = set()

    def check(self, where: str | None) -> None:
        """Raise `UsageError` for a filter that cannot be read. Each is looked at once, while there are few of them."""
        if where is None or where in self._readable:
            return
        if self._snapshot is None:
            check_filter(self.table, where)
        else:  # the search itself needs its rows: one evaluation says both
            try:
                self._snapshot.matching(where)
            except LANCE_ERRORS:
                check_filter(self.table, where)
                raise
        if len(self._readable) >= MOST_FILTERS:
            self._readable.clear()
        self._readable.add(where)

    @cached_property
    def dimension(self) -> int:
        return dimension_of(self.table)

    @cached_property
    def counts(self) -> dict[Channel, int]:
        """Rows per channel; channels without rows are left out."""
        return census(self.table)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns an Item is made of."""
        return tuple(item_columns(self.table))

    @property
    def fits(self) -> bool:
        """Whether the matrix of all vectors stays within the budget."""
        return matrix_bytes(self.counts, self.dimension) <= self._exact_bytes

    @cached_property
    def ann(self) -> dict[str, AnnSettings]:
        """Search settings of the columns that have an approximate index."""
        measured: Mapping[str, Any] = self._store.setting(ANN_SETTING) or {}
        indexed = vector_indexes(self.table, (VECTOR, TEXT_VECTOR))
        return {column: AnnSettings(**measured.get(column, {})) for column in indexed}

    def channels(self, kinds: Sequence[Kind] | None) -> list[Channel]:
        """The channels with rows, of all kinds or of these."""
        return [c for c in self.counts if kinds is None or c.kind in kinds]

    def snapshot(self) -> Snapshot:
        """The matrix of this version, loaded once however many threads ask."""
        with self._lock:
            if self._snapshot is None:
                self._snapshot = Snapshot.load(self.table, self.counts)
            return self._snapshot

    @property
    def loaded(self) -> Snapshot | None:
        """The matrix of this version if something has loaded it."""
        return self._snapshot

    def contents(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hashes of rows, by id; ids that are not in the index are left out."""
        if self._snapshot is not None:
            return self._snapshot.contents_of(ids)
        return contents_of(self.table, ids)

    def adopt(self, older: View | None) -> None:
        """Take over an older version's matrix when the vectors in it are the same (an index was built, say)."""
        if older is None or older._snapshot is None:
            return
        same = older.version == self.version
        self._snapshot = older._snapshot if same else older._snapshot.carried(self.table)

    @cached_property
    def gaps(self) -> dict[Side, dict[Channel, float]]:
        """What calibration takes off, per side of a query and channel.

        From the means that the last build kept; a mean that is missing or of another number of rows (a build was
        killed, or is at work, before it came to that) is measured now from the vectors.
        """
        means = {channel: self._mean(channel) for channel in self.counts}
        sample = self._store.setting(SAMPLE_SETTING)
        kept = {kind: self._store.setting(sentences_key(kind)) for kind in KINDS}
        spoken = {kind: Mean.from_json(value) for kind, value in kept.items() if value is not None}
        return gaps(means, None if sample is None else Mean.from_json(sample), spoken)

    def _mean(self, channel: Channel) -> Mean:
        kept, rows = self._store.setting(setting_key(channel)), self.counts[channel]
        off = abs(kept["rows"] - rows) if kept is not None else rows
        if kept is not None and (off == 0 or (self._snapshot is None and off <= MEAN_DRIFT * rows)):
            return Mean.from_json(kept)
        if self._snapshot is not None:
            return Mean.of([self._snapshot.channels[channel].vectors], self.dimension)
        return Mean.of(vector_batches(self.table, channel), self.dimension)


class Viewer:
    """Gives the view of the newest version, the same one as long as nothing changes."""

    def __init__(self, store: Store, exact_bytes: int = EXACT_BYTES) -> None:
        self._store = store
        self._exact_bytes = exact_bytes
        self._lock = threading.Lock()
        self._view: View | None = None
        self._held = threading.local()

    @cached_property
    def dimension(self) -> int:
        return dimension_of(self._store.items)

    def view(self) -> View:
        """The view of the newest version; within `held` the one that was looked up first."""
        mine: View | None = getattr(self._held, "view", None)
        if mine is None:
            mine = self._look()
            if getattr(self._held, "depth", 0):
                self._held.view = mine
        return mine

    @contextmanager
    def held(self) -> Iterator[None]:
        """Look once in here (this thread only): all parts of one search see one version, and pay for one look."""
        self._held.depth = getattr(self._held, "depth", 0) + 1
        try:
            yield
        finally:
            self._held.depth -= 1
            if not self._held.depth:
                self._held.view = None

    def _look(self) -> View:
        with self._lock:
            # Two tables, not `store.refresh()` of all five: this look is on the path of every search. A build writes
            # means and search settings after the rows, so either may be newer than what is known.
            items, settings = self._store.items, self._store.settings
            items.checkout_latest()
            settings.checkout_latest()
            now = (int(items.version), int(settings.version))
            if self._view is None or now != (self._view.version, self._view.settings_version):
                older, self._view = self._view, None
                self._view = self._newest()
                self._view.adopt(older)
            return self._view

    def _newest(self) -> View:
        version = self._store.refresh()
        try:
            return View(self._store, self._store.items_at(version), self._exact_bytes)
        except IndexStoreError as error:
            raise StaleSnapshotError(str(error)) from error

    def forget(self) -> None:
        """Drop what is known, matrix and all; the next view reads it anew."""
        with self._lock:
            self._view = None
        self._held.view = None


class _Viewing(Protocol):
    _viewer: Viewer


P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self", bound=_Viewing)


def one_look(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """A method of something with a `_viewer` that looks for the newest version once, however many parts it has."""

    @wraps(method)
    def looking(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._viewer.held():
            return method(self, *args, **kwargs)

    return looking
