"""The vectors an index holds and makes: what `mmrank.rerank.vectors` takes an index as a source for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from mmrank.compose.choose import Compose
from mmrank.embed.base import Embedder
from mmrank.embed.late_base import TokenEmbedder
from mmrank.errors import IndexStoreError, MmrankError
from mmrank.index.asked import fault_of
from mmrank.index.exact import Matrix
from mmrank.index.filters import one_of
from mmrank.index.schema import VECTOR
from mmrank.index.search import Searcher
from mmrank.index.snapshot import EXACT_BYTES
from mmrank.index.sources import ID_CHUNK, known, vectors_of
from mmrank.index.store import Store
from mmrank.index.tokens import read_tokens
from mmrank.index.view import Viewer
from mmrank.types import Cost, Query


class StoredVectors:
    """The part of an `Index` that gives vectors: those it holds, and those its embedder makes of queries."""

    def __init__(self, store: Store, embedder: Embedder | None, *, exact_bytes: int = EXACT_BYTES) -> None:
        self._store = store
        self._embedder = embedder
        self._lock = threading.Lock()
        self._exact_bytes = exact_bytes
        self._viewer = Viewer(store, exact_bytes)
        self.searcher = Searcher(self._viewer, self._loaded_embedder, self)

    @property
    def embedder_spec(self) -> str:
        """The spec of the embedder the index was built with; no model is loaded for it."""
        return self._store.manifest.embedder

    @property
    def uri(self) -> str:
        """Where it lies."""
        return self._store.uri

    def vectors(self, ids: Sequence[str]) -> Matrix:
        """Stored vectors, float32 (n, dimension), in the order of `ids`. Raises `IndexStoreError` for unknown ids."""
        self._store.refresh()
        return vectors_of(self._store.items, ids)

    def known_vectors(self, ids: Sequence[str]) -> dict[str, Matrix]:
        """Stored vectors by id, float32 (dimension,); ids that are not in this index are left out."""
        loaded = self._viewer.view().loaded
        return dict(known(self._store.items, ids, VECTOR)) if loaded is None else loaded.known(ids)

    def frame_vectors(self, ids: Sequence[str]) -> dict[str, Matrix]:
        """Unit vectors of videos' frames by id, float32 (frames, dimension); ids without any are left out."""
        self._store.refresh()
        return dict(known(self._store.frames, ids, "vectors"))

    def contents(self, ids: Sequence[str]) -> dict[str, str]:
        """The hash of what each Item holds, by id: equal for equal content. Unknown ids are left out."""
        return self._viewer.view().contents(ids)

    def thumbnails(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Small JPEGs of Items, by id; those without one are left out."""
        table = self._store.thumbnails
        table.checkout_latest()
        found: dict[str, bytes] = {}
        for start in range(0, len(ids), ID_CHUNK):
            named = one_of("id", ids[start : start + ID_CHUNK])
            rows = table.search().where(named).select(["id", "jpeg"]).to_arrow()
            found.update(zip(rows["id"].to_pylist(), rows["jpeg"].to_pylist(), strict=True))
        return {item_id: jpeg for item_id, jpeg in found.items() if jpeg is not None}

    def query_vectors(
        self, queries: Sequence[Query], *, compose: Compose = None
    ) -> list[tuple[Matrix, Cost] | MmrankError]:
        """For each Query its unit vector, float32 (dimension,), and what that took, or why it has none."""
        return self.searcher.query_vectors(queries, compose)

    def token_vectors(self, ids: Sequence[str]) -> dict[str, Matrix]:
        """Unit token vectors by id, float32 (tokens, dimension); ids without any are left out.

        Items of equal content share one array. A page of 750 tokens of 128 numbers takes 375 KiB: ask for as many ids
        as fit in memory. Raises `IndexStoreError` for an index without token vectors.
        """
        table = self._tokens_table()
        contents = self._viewer.view().contents(ids)
        held = dict(read_tokens(table, contents.values()))
        changed = [name for name, content in contents.items() if content not in held]
        if changed:  # by another process, between the two look-ups
            contents.update(self._viewer.view().contents(changed))
            table.checkout_latest()
            held.update(read_tokens(table, [contents[name] for name in changed]))
        return {name: held[content] for name, content in contents.items() if content in held}

    def query_tokens(self, queries: Sequence[Query]) -> list[tuple[Matrix, Cost] | MmrankError]:
        """For each Query its token vectors, float32 (tokens, dimension), and what that took, or why it has none.

        A query's words, after its dialogue turns, are what counts; one without words has none. Raises `IndexStoreError`
        for an index without token vectors.
        """
        from mmrank.embed.late_source import asked_tokens

        self.check_token_vectors()
        embedder = self._loaded_embedder()
        if not isinstance(embedder, TokenEmbedder):
            raise IndexStoreError(
                f"The index at {self.uri} was opened with {embedder!r}, which gives queries no token vectors. "
                f"Open it with {self.embedder_spec}."
            )
        faults = [fault_of(query) for query in queries]
        fit = [query for query, fault in zip(queries, faults, strict=True) if fault is None]
        asked = iter(asked_tokens(embedder, fit))
        return [next(asked) if fault is None else fault for fault in faults]

    def check_token_vectors(self) -> None:
        """Raise `IndexStoreError`, which says what to do, for an index without token vectors."""
        self._tokens_table()

    def _tokens_table(self) -> Any:
        table = self._store.find_tokens()
        if table is not None:
            return table
        spec = self.embedder_spec
        if spec.startswith("late:"):
            raise IndexStoreError(
                f"The index at {self._store.uri} holds no token vectors: {spec} filled it before they were kept. "
                "Run the command that builds it again; it embeds what is in it once more, and keeps them."
            )
        raise IndexStoreError(
            f"The index at {self._store.uri} holds no token vectors: {spec} gives one vector an Item, and late "
            "interaction needs many. Build an index of the pages with an embedder such as "
            "late:vidore/colqwen2-v1.0-hf, in another folder."
        )

    def _loaded_embedder(self) -> Embedder:
        with self._lock:
            if self._embedder is None:
                from mmrank.embed.registry import load_embedder

                embedder = load_embedder(self.embedder_spec)
                self._store.manifest.check(embedder, self.uri)
                self._embedder = embedder
            return self._embedder
