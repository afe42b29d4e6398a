"""The failures table: what could not be indexed, by uri, until it can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from mmrank.index.commit import delete, upsert
from mmrank.index.filters import one_of
from mmrank.index.schema import FAILURES_SCHEMA

DELETE_URIS = 1_000
"""Uris named in one delete."""


class FailureLog:
    """Writes the failures table. Which uris are in it is known from the start, so that success costs nothing."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._failing = set(table.search().select(["uri"]).to_arrow()["uri"].to_pylist())

    def holds(self, uri: str) -> bool:
        """True when this uri, or the file it is a part of, is known to have failed."""
        return uri in self._failing or uri.rpartition("#")[0] in self._failing

    def uris(self) -> list[str]:
        """All that are known to have failed, in order."""
        return sorted(self._failing)

    def forget(self, uris: Iterable[str]) -> None:
        """These are no failures any more, whatever became of them."""
        known = sorted(set(uris) & self._failing)
        for start in range(0, len(known), DELETE_URIS):
            delete(self._table, one_of("uri", known[start : start + DELETE_URIS]))
        self._failing.difference_update(known)

    def record(self, failures: Mapping[str, str]) -> None:
        """Keep uri -> why, in place of what was known about the uri."""
        at = datetime.now(UTC)
        rows = {"uri": list(failures), "why": list(failures.values()), "at": [at] * len(failures)}
        upsert(self._table, pa.table(rows, schema=FAILURES_SCHEMA), "uri")
        self._failing.update(failures)

    def clear(self, uris: Iterable[str]) -> None:
        """These are in the index now. A file of which a page or a span is, is readable again."""
        if not self._failing:
            return
        names = {name for uri in uris for name in (uri, uri.rpartition("#")[0])}
        self.forget(names)
