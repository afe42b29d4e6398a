"""`Index`: the public face of a collection: how it is made, filled and kept; `Searchable` is how it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmrank.embed.base import Embedder
from mmrank.index import upkeep
from mmrank.index.build import BATCH_SIZE
from mmrank.index.build import add as add_items
from mmrank.index.filters import check_filter, item_columns, whole
from mmrank.index.measure import SAMPLE
from mmrank.index.metadata import declare
from mmrank.index.prune import Census, remove
from mmrank.index.prune import prune as prune_rows
from mmrank.index.report import AddReport, ProgressCallback
from mmrank.index.rows import row_to_item
from mmrank.index.searchable import Searchable
from mmrank.index.snapshot import EXACT_BYTES
from mmrank.index.sources import by_id
from mmrank.index.stats import failures, stats
from mmrank.index.store import Store
from mmrank.index.workers import Workers
from mmrank.types import Item


class Index(Searchable):
    """A searchable collection of images, pages, videos and texts in one LanceDB database.

    Make one with `Index.create` or `Index.open`. Every call sees what other processes have written meanwhile.

    >>> index = Index.create("indexes/photos", "open_clip:ViT-B-32/laion2b_s34b_b79k")  # doctest: +SKIP
    >>> index.add(mmrank.scan("~/Pictures"))  # doctest: +SKIP
    >>> for hit in index.search("a dog on a skateboard", k=10):  # doctest: +SKIP
    ...     print(hit.rank, hit.score, hit.item.uri)
    """

    @classmethod
    def create(
        cls,
        uri: str | Path,
        embedder: str | Embedder,
        *,
        metadata: Mapping[str, str] | None = None,
        exact_bytes: int = EXACT_BYTES,
        storage_options: Mapping[str, str] | None = None,
    ) -> Index:
        """The index at `uri` (a folder, ``s3://...``, what LanceDB opens) for this embedder; opened if it is there.

        `metadata`: types of metadata keys, such as ``{"price": "float", "taken": "date"}``; those of
        `mmrank.index.declared.TYPES`, and "place". Other keys get the type of their first value. `exact_bytes`: what
        the matrix of an exact search may take in memory. `storage_options`: for an object store, what LanceDB takes;
        most come from the environment (docs/stores.md). Raises `IndexStoreError` when an index of another embedder
        lies there, `UsageError` for a type that is none or another than the column's.
        """
        if isinstance(embedder, str):
            from mmrank.embed.registry import load_embedder

            embedder = load_embedder(embedder)
        store = Store.create(str(uri), embedder, storage_options)
        if metadata:
            declare(store.items, metadata)
        return cls(store, embedder, exact_bytes=exact_bytes)

    @classmethod
    def open(
        cls,
        uri: str | Path,
        embedder: str | Embedder | None = None,
        *,
        exact_bytes: int = EXACT_BYTES,
        storage_options: Mapping[str, str] | None = None,
    ) -> Index:
        """The index at `uri`. Without `embedder` the one named in its manifest is loaded, on the first search.

        `exact_bytes` and `storage_options` are those of `create`.
        Raises `IndexStoreError` when there is no index, or it was built by another embedder than the one given.
        """
        if isinstance(embedder, str):
            from mmrank.embed.registry import load_embedder

            embedder = load_embedder(embedder)
        return cls(Store.open(str(uri), embedder, storage_options), embedder, exact_bytes=exact_bytes)

    def add(
        self,
        items: Iterable[Item],
        *,
        batch_size: int = BATCH_SIZE,
        workers: int | Workers | None = None,
        progress: ProgressCallback | None = None,
        thumbnails: bool = True,
        strict: bool = False,
        prune: bool = False,
        verify: bool = False,
    ) -> AddReport:
        """Put Items in by id: new ones are embedded, changed ones again, the rest left alone.

        Safe to kill at any moment and run again. A file of the size and time it had is not opened; `verify` hashes
        all (see docs/keeping_true.md). `workers`: decoding threads here, or `mmrank.RayWorkers` of a cluster
        (docs/cluster.md). The other options are those of `mmrank.index.build.add`, and `prune`:
        afterwards remove what `items`, which must be a Scan, shows to be gone (see `mmrank.index.prune`; a strict
        build that raises removes nothing).
        """
        census = Census(items) if prune else None
        report = add_items(
            self._store,
            self._loaded_embedder(),
            items if census is None else census,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
            thumbnails=thumbnails,
            strict=strict,
            verify=verify,
            exact_bytes=self._exact_bytes,
        )
        if census is not None:
            pruned = prune_rows(self._store, census, failing={uri for uri, _ in report.failed})
            if pruned.removed:
                upkeep.recalibrate(self._store)
            kept = tuple(pruned.kept.items())
            report = replace(report, removed=pruned.removed, warnings=(*report.warnings, *kept))
        self._viewer.forget()
        return report

    def get(self, ids: Sequence[str]) -> list[Item]:
        """The Items with these ids, in their order. Raises `IndexStoreError` for unknown ids."""
        self._store.refresh()
        table = self._store.items
        return [row_to_item(row) for row in by_id(table, ids, item_columns(table)[1:]).to_pylist()]

    def thumbnail(self, item_id: str) -> bytes | None:
        """A small JPEG of an Item, or None for one that has no picture."""
        return self.thumbnails([item_id]).get(item_id)

    def delete(self, where: str) -> int:
        """Remove the Items a SQL filter lets through, with what lies in the side tables; how many there were.

        Raises `UsageError` for a filter that cannot be read. Nothing is deleted then.
        """
        self._store.refresh()
        items = self._store.items
        check_filter(items, where)
        ids = items.search().where(whole(where)).select(["id"]).to_arrow()["id"].to_pylist()
        remove(self._store, ids)
        if ids:
            upkeep.recalibrate(self._store)
        self._viewer.forget()
        return len(ids)

    def optimize(self, *, ann: upkeep.Ann | None = None) -> float | None:
        """Compact, index, clean up, calibrate; recall@10 of the approximate index, None where search is exact."""
        measured = upkeep.optimize(self._store, ann=ann, exact_bytes=self._exact_bytes)
        self._viewer.forget()
        return measured

    def recall(self, sample: int = SAMPLE) -> float | None:
        """Recall@10 of the approximate index over `sample` perturbed stored vectors; None where search is exact."""
        return upkeep.recall(self._store, sample)

    def stats(self) -> dict[str, Any]:
        """Rows, kinds, metadata columns, bytes, indexes, token vectors, how it is searched: JSON values."""
        return stats(self._store)

    def failures(self) -> list[dict[str, str]]:
        """What could not be indexed and still cannot, by uri: dicts of `uri`, `why` and `at` (ISO time, UTC)."""
        return failures(self._store)

    def __len__(self) -> int:
        self._store.refresh()
        return int(self._store.items.count_rows())

    def __repr__(self) -> str:
        return f"index({Path(self.uri).name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.uri == other.uri

    def __hash__(self) -> int:
        return hash(self.uri)
