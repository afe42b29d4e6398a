"""What is known about the newest version of an index, kept until the version changes.

A search asks for the view first: that costs one look at the table's version (about 0.4 ms), and everything
else (row counts, columns, measured search settings, moments, the matrix) is read again only after a change.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from mmrank.errors import IndexStoreError
from mmrank.index.calibrate import SAMPLE_SETTING, Mean, Side, gaps, setting_key
from mmrank.index.filters import item_columns
from mmrank.index.nearest import ANN_SETTING, AnnSettings, vector_indexes
from mmrank.index.schema import TEXT_VECTOR, VECTOR
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
from mmrank.types import Kind


class View:
    """One version of an index. Everything in it is read when first asked for.

    `table` is a handle checked out at this version: counts, filters, candidates and Items belong together.
    """

    def __init__(self, store: Store, table: Any, exact_bytes: int) -> None:
        self.table = table
        self.version = int(table.version)
        self._store = store
        self._exact_bytes = exact_bytes
        self._lock = threading.RLock()
        self._snapshot: Snapshot | None = None

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

    def adopt(self, older: View | None) -> None:
        """Take over an older version's matrix when the vectors in it are the same (an index was built, say)."""
        if older is not None and older._snapshot is not None:
            self._snapshot = older._snapshot.carried(self.table)

    @cached_property
    def gaps(self) -> dict[Side, dict[Channel, float]]:
        """What calibration takes off, per side of a query and channel.

        From the means that the last build kept; a mean that is missing (a build was killed before it came to that)
        is measured now from the vectors.
        """
        means = {channel: self._mean(channel) for channel in self.counts}
        sample = self._store.setting(SAMPLE_SETTING)
        return gaps(means, None if sample is None else Mean.from_json(sample))

    def _mean(self, channel: Channel) -> Mean:
        kept = self._store.setting(setting_key(channel))
        if kept is None:
            return Mean.of(vector_batches(self.table, channel), self.dimension)
        return Mean.from_json(kept)


class Viewer:
    """Gives the view of the newest version, the same one as long as nothing changes."""

    def __init__(self, store: Store, exact_bytes: int = EXACT_BYTES) -> None:
        self._store = store
        self._exact_bytes = exact_bytes
        self._lock = threading.Lock()
        self._view: View | None = None

    @cached_property
    def dimension(self) -> int:
        return dimension_of(self._store.items)

    def view(self) -> View:
        """The view of the newest version."""
        with self._lock:
            # One table, not `store.refresh()` of all five: this look is on the path of every search.
            self._store.items.checkout_latest()
            if self._view is None or self._view.version != int(self._store.items.version):
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
