"""Removing rows whose files, pages, spans or table rows are gone, and only those.

A row goes when its file lay under a root of the scan, the scan ran to its end, and either the file does not exist
any more, or it was scanned and no longer has that part (a page, a span, a chunk) under an id the scan would give it; a
note that lies beside a picture of its name is the picture's caption now. A row of a table (CSV, JSONL, an archive) goes
when the table was read without a fault and no longer has it, or is gone.
Everything in doubt stays: what lies below something that could not be read, below a root that gave nothing at all
(an unmounted disk is an empty folder) or that is not the folder it was when the scan began, rows of a table that gave
none, and files that are there but were not scanned.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mmrank.errors import UsageError
from mmrank.index.commit import delete
from mmrank.index.failures import FailureLog
from mmrank.index.filters import one_of
from mmrank.index.schema import SOURCE
from mmrank.index.stamps import local_path
from mmrank.index.store import Store
from mmrank.index.tokens import contents_of, drop_unused
from mmrank.media.remote import is_gone
from mmrank.media.scan import Scan
from mmrank.media.uri import cut_fragment, is_remote, item_id
from mmrank.types import Item

AT_ONCE = 500
"""Ids of one delete; each is a commit, and a statement of a few tens of kilobytes."""


class Place(NamedTuple):
    """Where a row came from: its id, its uri, the file it names, and the table it was in, if any.

    `path` is a local path, or the address of a file in a store; None where nothing is named.
    """

    item_id: str
    uri: str | None
    path: str | None
    table: str | None


class Census:
    """A Scan that is being used, and what came of it: the ids and files it gave (as hashes, about 60 bytes each).

    >>> from mmrank.media.scan import scan
    >>> census = Census(scan("."))
    >>> census.complete
    False
    """

    def __init__(self, found: object) -> None:
        if not isinstance(found, Scan):
            raise UsageError(
                f"prune=True needs the Scan whose files the index is to mirror, and got {type(found).__name__}. "
                "Write index.add(mmrank.scan(folder), prune=True)."
            )
        self.scan = found
        self.complete = False
        self._ids: set[int] = set()
        self._files: set[int] = set()
        self._tables: set[int] = set()
        self._live_roots: set[str] = set()
        self._folders: dict[str, tuple[int, int] | None] = {}

    @property
    def failures(self) -> list[tuple[str, str]]:
        """The scan's own."""
        return self.scan.failures

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """The scan's own."""
        return self.scan.warnings

    @property
    def source(self) -> str | None:
        """The table that the scan is reading."""
        return self.scan.source

    def __iter__(self) -> Iterator[Item]:
        self._folders = {root: _identity(root) for root in self.scan.roots}
        for item in self.scan:
            self._ids.add(hash(item.id))
            path, table = _path(item.uri), self.scan.source
            if path is not None and item.id.partition("#")[0] == self.scan.id_of(path):
                self._files.add(hash(path))
            if table is not None:
                self._tables.add(hash(table))
            for place in (path, table):
                if place is not None:
                    self._live_roots.update(root for root in self.scan.roots if _below(place, root))
            yield item
        self.complete = True

    def root_of(self, path: str | None) -> str | None:
        """The root a path lies under."""
        return None if path is None else next((root for root in self.scan.roots if _below(path, root)), None)

    def is_live(self, root: str) -> bool:
        """Whether anything was found under a root."""
        return root in self._live_roots

    def is_there(self, root: str) -> bool:
        """Whether a root is still the folder that it was when the scan began: another lies below a lost mount."""
        return is_remote(root) or (self._folders.get(root) is not None and _identity(root) == self._folders[root])

    def gave(self, row_id: str) -> bool:
        """Whether the scan gave an item of this id."""
        return hash(row_id) in self._ids

    def has_read(self, table: str) -> bool:
        """Whether items came from this table."""
        return hash(table) in self._tables

    def has_lost(self, place: Place) -> bool:
        """Whether an indexed item is certainly gone: its file or table is, or was read and made no such item.

        An item whose id is not of the scan's own making, and that came from no table, goes with its file only.
        """
        if self.gave(place.item_id):
            return False
        if place.table is not None and (self.has_read(place.table) or _gone(place.table)):
            return True
        if place.path is None:
            return False
        scanned = hash(place.path) in self._files or self.scan.is_sidecar(place.path)
        ours = scanned and place.item_id.partition("#")[0] == self.scan.id_of(place.path)
        return ours or _gone(place.path)


@dataclass(slots=True)
class Pruned:
    """What `prune` did: `removed` rows, and per root or table why rows of it were `kept` although they seem gone."""

    removed: int = 0
    kept: dict[str, str] = field(default_factory=dict)


def prune(store: Store, census: Census, *, failing: Collection[str] = ()) -> Pruned:
    """Remove from every table the rows that the census says are gone, and failures of files that are.

    Does nothing when the scan was not run to its end. Only kinds that were scanned for are looked at. `failing`: uris
    of what failed in this build; they stay in the failures table.
    """
    pruned = Pruned()
    if not census.complete:
        return pruned
    unread = {path for path in (_path(uri) for uri, _ in census.failures) if path is not None}
    gone: dict[str, list[str]] = {}
    silent: Counter[str] = Counter()
    empty: Counter[str] = Counter()
    for place in _places(store, census):
        root = census.root_of(place.table) or census.root_of(place.path)
        if root is None or census.gave(place.item_id) or _in_doubt(place, unread):
            continue
        if not census.has_lost(place):
            if place.table is not None and not census.has_read(place.table):
                empty[place.table] += 1
        elif census.is_live(root):
            gone.setdefault(root, []).append(place.item_id)
        else:
            silent[root] += 1
    # Looked at last: what was not there at a look above may have vanished with its root a moment before.
    lost = [root for root in census.scan.roots if not census.is_there(root)]
    pruned.kept = _reasons(silent, empty, {root: len(gone.pop(root, ())) for root in lost})
    for ids in gone.values():
        remove(store, ids)
        pruned.removed += len(ids)
    _clear_failures(store, census, {*unread, *lost}, failing)
    return pruned


def remove(store: Store, ids: Sequence[str]) -> None:
    """Remove rows by id from every table that has them, and token vectors that no Item needs any more.

    The rows first: a kill in between leaves a thumbnail without an Item, never an Item half there.
    """
    with_tokens = store.find_tokens() is not None
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        named = one_of("id", some)
        contents = contents_of(store.items, some).values() if with_tokens else ()
        for table in (store.items, store.thumbnails, store.frames):
            delete(table, named)
        drop_unused(store, list(contents))


def _places(store: Store, census: Census) -> Iterator[Place]:
    """Every row that names a file or a table and is of a kind that was scanned for."""
    store.refresh()
    kinds = one_of("kind", sorted(census.scan.kinds))
    query = store.items.search().where(f"(uri IS NOT NULL OR {SOURCE} IS NOT NULL) AND {kinds}")
    for batch in query.select(["id", "uri", SOURCE]).to_batches():
        for row in batch.to_pylist():
            table = _path(row[SOURCE])
            yield Place(row["id"], row["uri"], _path(row["uri"]), table if census.root_of(table) else None)


def _clear_failures(store: Store, census: Census, unread: Collection[str], failing: Collection[str]) -> None:
    """Forget failures of files, parts and table rows that are gone, or that a table no longer has."""
    log = FailureLog(store.failures)
    stale = []
    for uri in log.uris():
        path = _path(uri)
        root = census.root_of(path)
        if uri in failing or path is None or root is None or not census.is_live(root) or path in failing:
            continue
        place = Place(item_id(uri), uri, path, None)
        mended = census.has_read(path) and census.is_there(root)
        if mended or (not _in_doubt(place, unread) and census.has_lost(place)):
            stale.append(uri)
    log.forget(stale)


def _reasons(silent: Counter[str], empty: Counter[str], lost: dict[str, int]) -> dict[str, str]:
    """Why rows were kept that seem to be gone, by the root or table they came from."""
    reasons = {
        root: f"nothing was found there, so its {rows:,} rows were kept: an unmounted disk looks the same. "
        "If it is empty for good, remove them with index.delete(where)."
        for root, rows in silent.items()
    }
    for table, rows in empty.items():
        reasons[table] = (
            f"no row was found in it, so the {rows:,} rows it had were kept. If it is empty for good, delete the file: "
            "rows of a file that is gone are removed."
        )
    for root, rows in lost.items():
        if root not in reasons:
            reasons[root] = (
                f"it went out of reach while it was scanned, or another folder took its place; {rows:,} rows that seem "
                "to be gone were kept. Run it again when it is back."
            )
    return reasons


def _in_doubt(place: Place, unread: Collection[str]) -> bool:
    """Whether a row lies below something that could not be read."""
    return any(_below(path, spot) for path in (place.path, place.table) if path is not None for spot in unread)


def _gone(path: str) -> bool:
    """Whether a file is certainly not there; of one in a store, the store is asked."""
    return is_gone(path) if is_remote(path) else not os.path.lexists(path)


def _identity(root: str) -> tuple[int, int] | None:
    """Device and number of a local root; None when it is out of reach."""
    try:
        status = os.stat(root)  # noqa: PTH116 - a root may be bytes that no Path should touch
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _path(uri: str | None) -> str | None:
    """The local path behind a uri, the address of a file in a store; None where there is none."""
    if uri is not None and is_remote(uri):
        return cut_fragment(uri)[0]
    return local_path(uri)


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
