"""Removing rows whose files, pages or spans are gone, and only those.

A row goes when its file lay under a root of the scan, the scan ran to its end, and either the file does not exist
any more, or it was scanned and no longer has that part (a page, a span, a chunk) under an id the scan would give it.
Everything in doubt stays: what lies below something that could not be read, below a root that gave nothing at all
(an unmounted disk is an empty folder), and files that are there but were not scanned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mmrank.errors import MediaError, UsageError
from mmrank.index.commit import delete
from mmrank.index.filters import one_of
from mmrank.index.store import Store
from mmrank.index.tokens import contents_of, drop_unused
from mmrank.media.scan import Scan
from mmrank.media.uri import split_uri
from mmrank.types import Item

AT_ONCE = 500
"""Ids of one delete; each is a commit, and a statement of a few tens of kilobytes."""


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
        self._live_roots: set[str] = set()

    @property
    def failures(self) -> list[tuple[str, str]]:
        """The scan's own."""
        return self.scan.failures

    def __iter__(self) -> Iterator[Item]:
        for item in self.scan:
            self._ids.add(hash(item.id))
            path = _path(item.uri)
            if path is not None:
                if item.id.partition("#")[0] == self.scan.id_of(path):
                    self._files.add(hash(path))
                self._live_roots.update(root for root in self.scan.roots if _below(path, root))
            yield item
        self.complete = True

    def root_of(self, path: str) -> str | None:
        """The root a path lies under."""
        return next((root for root in self.scan.roots if _below(path, root)), None)

    def is_live(self, root: str) -> bool:
        """Whether anything was found under a root."""
        return root in self._live_roots

    def has_lost(self, item_id: str, path: str) -> bool:
        """Whether an indexed item is certainly gone: its file is, or the scan read the file and made no such part.

        An item whose id is not of the scan's own making (the caller's, or of a row in a table) goes with its file
        only.
        """
        if hash(item_id) in self._ids:
            return False
        scanned = hash(path) in self._files and item_id.partition("#")[0] == self.scan.id_of(path)
        return scanned or not os.path.lexists(path)


@dataclass(slots=True)
class Pruned:
    """What `prune` did: `removed` rows, and per root why rows below it were `kept` although they seem gone."""

    removed: int = 0
    kept: dict[str, str] = field(default_factory=dict)


def prune(store: Store, census: Census) -> Pruned:
    """Remove from every table the rows that the census says are gone.

    Does nothing when the scan was not run to its end. Only kinds that were scanned for are looked at.
    """
    pruned = Pruned()
    if not census.complete:
        return pruned
    unread = [path for path in (_path(uri) for uri, _ in census.failures) if path is not None]
    gone: list[str] = []
    silent: dict[str, int] = {}
    for item_id, path in _rows(store, census):
        root = census.root_of(path)
        if root is None or any(_below(path, place) for place in unread) or not census.has_lost(item_id, path):
            continue
        if census.is_live(root):
            gone.append(item_id)
        else:
            silent[root] = silent.get(root, 0) + 1
    for root, rows in silent.items():
        pruned.kept[root] = (
            f"nothing was found there, so its {rows:,} rows were kept: an unmounted disk looks the same. "
            "If it is empty for good, remove them with index.delete(where)."
        )
    remove(store, gone)
    pruned.removed = len(gone)
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


def _rows(store: Store, census: Census) -> Iterator[tuple[str, str]]:
    """(id, path) of every row that names a local file and is of a kind that was scanned for."""
    store.refresh()
    kinds = one_of("kind", sorted(census.scan.kinds))
    query = store.items.search().where(f"uri IS NOT NULL AND {kinds}").select(["id", "uri"])
    for batch in query.to_batches():
        for item_id, uri in zip(batch["id"].to_pylist(), batch["uri"].to_pylist(), strict=True):
            path = _path(uri)
            if path is not None:
                yield item_id, path


def _path(uri: str | None) -> str | None:
    """The local path behind a uri, None where there is none."""
    if uri is None:
        return None
    try:
        return split_uri(uri).path
    except MediaError:  # a web address: not a file of ours
        return None


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
