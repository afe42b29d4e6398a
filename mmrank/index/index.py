"""`Index`: the public face of a collection. What it does is done in the other modules of this room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.compose.choose import Compose
from mmrank.embed.base import Embedder
from mmrank.index import upkeep
from mmrank.index.build import BATCH_SIZE
from mmrank.index.build import add as add_items
from mmrank.index.exact import Matrix
from mmrank.index.filters import check_filter, item_columns, one_of, whole
from mmrank.index.measure import SAMPLE
from mmrank.index.options import Mode, SearchOptions, kinds_of
from mmrank.index.prune import Census, remove
from mmrank.index.prune import prune as prune_rows
from mmrank.index.report import AddReport, ProgressCallback
from mmrank.index.rows import row_to_item
from mmrank.index.snapshot import EXACT_BYTES
from mmrank.index.sources import by_id
from mmrank.index.stages import Rescorer, Retriever
from mmrank.index.store import Store
from mmrank.index.vectors import StoredVectors
from mmrank.pipeline import as_query
from mmrank.types import Item, Kind, Query, Ranking

if TYPE_CHECKING:
    from mmrank.rerank.vectors.late import MaxSim


class Index(StoredVectors):
    """A searchable collection of images, pages, videos and texts in one LanceDB database.

    Make one with `Index.create` or `Index.open`. Every call sees what other processes have written meanwhile.

    >>> index = Index.create("indexes/photos", "open_clip:ViT-B-32/laion2b_s34b_b79k")  # doctest: +SKIP
    >>> index.add(mmrank.scan("~/Pictures"))  # doctest: +SKIP
    >>> for hit in index.search("a dog on a skateboard", k=10):  # doctest: +SKIP
    ...     print(hit.rank, hit.score, hit.item.uri)
    """

    @classmethod
    def create(cls, uri: str | Path, embedder: str | Embedder, *, exact_bytes: int = EXACT_BYTES) -> Index:
        """The index at `uri` (a folder, ``s3://...``, what LanceDB opens) for this embedder; opened if it is there.

        `exact_bytes`: what the matrix of an exact search may take in memory. Raises `IndexStoreError` when an
        index of another embedder lies there.
        """
        if isinstance(embedder, str):
            from mmrank.embed.registry import load_embedder

            embedder = load_embedder(embedder)
        return cls(Store.create(str(uri), embedder), embedder, exact_bytes=exact_bytes)

    @classmethod
    def open(cls, uri: str | Path, embedder: str | Embedder | None = None, *, exact_bytes: int = EXACT_BYTES) -> Index:
        """The index at `uri`. Without `embedder` the one named in its manifest is loaded, on the first search.

        Raises `IndexStoreError` when there is no index, or it was built by another embedder than the one given.
        """
        if isinstance(embedder, str):
            from mmrank.embed.registry import load_embedder

            embedder = load_embedder(embedder)
        return cls(Store.open(str(uri), embedder), embedder, exact_bytes=exact_bytes)

    def add(
        self,
        items: Iterable[Item],
        *,
        batch_size: int = BATCH_SIZE,
        workers: int | None = None,
        progress: ProgressCallback | None = None,
        thumbnails: bool = True,
        strict: bool = False,
        prune: bool = False,
    ) -> AddReport:
        """Put Items in by id: new ones are embedded, changed ones again, the rest left alone.

        Safe to kill at any moment and run again. The options are those of `mmrank.index.build.add`, and `prune`:
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
            exact_bytes=self._exact_bytes,
        )
        if census is not None:
            pruned = prune_rows(self._store, census)
            if pruned.removed:
                upkeep.recalibrate(self._store)
            kept = tuple(pruned.kept.items())
            report = replace(report, removed=pruned.removed, warnings=(*report.warnings, *kept))
        self._viewer.forget()
        return report

    def search(
        self,
        query: str | Query,
        k: int = 10,
        *,
        where: str | None = None,
        mode: Mode = "vector",
        kinds: Sequence[Kind] | None = None,
        compose: Compose = None,
        exact: bool | None = None,
    ) -> Ranking:
        """The best `k` Items for a text or a Query; all there are when `k` is larger.

        Args:
            query: a text, or a `Query` with images, video, `exclude` and `among`.
            k: how many hits, from 1.
            where: SQL over metadata columns, for example ``"year >= 2020 AND kind = 'image'"``.
            mode: "vector"; "text": BM25 over captions, page texts and subtitles; "hybrid": both, fused by rank.
            kinds: only these kinds. With several kinds in play scores are calibrated per kind.
            compose: how a composed query is put together: a name of `mmrank.compose.FORMS` or a form object, such as
                `mmrank.compose.Sqaf(captioner=mllm)`.
            exact: True compares with every vector, False demands the approximate index.

        Raises `UsageError` for an empty query, a wrong option or a filter that cannot be read; `MediaError` for
        a query image that cannot.
        """
        options = _options(where, mode, kinds, compose, exact)
        return self.searcher.search([as_query(query)], k, options, strict=True)[0]

    def search_many(
        self,
        queries: Iterable[str | Query],
        k: int = 10,
        *,
        where: str | None = None,
        mode: Mode = "vector",
        kinds: Sequence[Kind] | None = None,
        compose: Compose = None,
        exact: bool | None = None,
        strict: bool = False,
    ) -> list[Ranking]:
        """One Ranking per query, in order, as `search` gives them, at a fraction of the time each.

        A query that cannot be asked gets an empty Ranking whose Record says why; `strict` raises instead.
        """
        options = _options(where, mode, kinds, compose, exact)
        return self.searcher.search([as_query(q) for q in queries], k, options, strict=strict)

    def search_vectors(
        self,
        vectors: Matrix,
        k: int = 10,
        *,
        queries: Sequence[Query] | None = None,
        where: str | None = None,
        kinds: Sequence[Kind] | None = None,
        exact: bool | None = None,
    ) -> list[Ranking]:
        """Search with vectors of one's own, float32 (q, dimension) of unit length; no model is loaded.

        `queries` name them in the Rankings and bring `exclude` and `among`; by default they are called "0", "1", ...
        """
        named = [Query(id=str(i)) for i in range(len(vectors))] if queries is None else list(queries)
        return self.searcher.search_vectors(named, vectors, k, _options(where, "vector", kinds, None, exact))

    def retriever(
        self,
        k: int = 100,
        *,
        where: str | None = None,
        mode: Mode = "vector",
        kinds: Sequence[Kind] | None = None,
        compose: Compose = None,
        exact: bool | None = None,
    ) -> Retriever:
        """A Stage that searches this index; a cut-off behind it is pushed into the search."""
        return Retriever(index=self, k=k, options=_options(where, mode, kinds, compose, exact))

    def rescorer(self, depth: int | None = None, *, compose: Compose = None) -> Rescorer:
        """A Stage that orders the first `depth` hits of another stage by this index's vectors."""
        return Rescorer(index=self, depth=depth, compose=compose)

    def late_interaction(
        self,
        depth: int | None = None,
        *,
        k: int = 10,
        alpha: float | None = None,
        patience: int | None = None,
        batch: int = 4,
    ) -> MaxSim:
        """A Stage that orders the first `depth` hits by exact MaxSim over the token vectors that this index keeps.

        The options are those of `mmrank.late_interaction`. Raises `IndexStoreError` for an index without token vectors.

            index = Index.create("indexes/reports", "colqwen2")
            index.add(mmrank.scan("reports/"))
            pipeline = index.retriever(k=100, kinds=["page"]) >> index.late_interaction(depth=100)
        """
        from mmrank.rerank.vectors.late import late_interaction

        return late_interaction(self, depth=depth, k=k, alpha=alpha, patience=patience, batch=batch)

    def get(self, ids: Sequence[str]) -> list[Item]:
        """The Items with these ids, in their order. Raises `IndexStoreError` for unknown ids."""
        self._store.refresh()
        table = self._store.items
        return [row_to_item(row) for row in by_id(table, ids, item_columns(table)[1:]).to_pylist()]

    def thumbnail(self, item_id: str) -> bytes | None:
        """A small JPEG of an Item, or None for one that has no picture."""
        self._store.thumbnails.checkout_latest()
        found = self._store.thumbnails.search().where(one_of("id", [item_id])).select(["jpeg"]).limit(1).to_list()
        return found[0]["jpeg"] if found else None

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
        """Rows, kinds, bytes, indexes, token vectors, how it is searched: JSON values."""
        return upkeep.stats(self._store)

    def __len__(self) -> int:
        self._store.refresh()
        return int(self._store.items.count_rows())

    def __repr__(self) -> str:
        return f"index({Path(self.uri).name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.uri == other.uri

    def __hash__(self) -> int:
        return hash(self.uri)


def _options(
    where: str | None, mode: Mode, kinds: Sequence[Kind] | None, compose: Compose, exact: bool | None
) -> SearchOptions:
    return SearchOptions(where=where, mode=mode, kinds=kinds_of(kinds), compose=compose, exact=exact)
