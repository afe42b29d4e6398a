"""Indexes of given vectors, without a model: an embedder that hashes words, and rows written through the schema.

Test files run it with `runpy`, because tests are no package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa

from mmrank.embed.base import Embedded, Fingerprint, MediaNeeds
from mmrank.errors import EmbedderError
from mmrank.index.store import Store
from mmrank.types import KINDS


def unit(vectors: np.ndarray) -> np.ndarray:
    wide = np.asarray(vectors, np.float32)
    return wide / np.linalg.norm(wide, axis=-1, keepdims=True)


@dataclass(frozen=True)
class WordHashEmbedder:
    """Texts to the sum of their words' random directions (feature hashing); pictures to their mean colour."""

    dimension: int = 16
    spec: str = "test:word-hash"
    kinds: frozenset[str] = frozenset(KINDS)
    needs: MediaNeeds = field(default_factory=lambda: MediaNeeds(size=32, frames=2))
    warning: None = None

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(weights="crc32", preprocessing="words", dimension=self.dimension)

    def prepare(self, loaded: Any) -> Any:
        return loaded

    def embed(self, prepared: Sequence[Any]) -> list[Embedded]:
        return [Embedded(vector=self.embed_texts([p.text or p.item.id])[0]) for p in prepared]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._text(t) for t in texts])

    def embed_images(self, images: Sequence[Any]) -> np.ndarray:
        colours = [np.asarray(i, np.float32).reshape(-1, 3).mean(axis=0) for i in images]
        return unit(np.stack([np.resize(c + 1, self.dimension) for c in colours]))

    def _text(self, text: str) -> np.ndarray:
        words = text.lower().split()
        if not words:
            raise EmbedderError("no words")
        drawn = [np.random.default_rng(crc32(w.encode())).standard_normal(self.dimension) for w in words]
        return unit(np.sum(drawn, axis=0))


def new_store(folder: Path, dimension: int = 16) -> Store:
    return Store.create(folder, WordHashEmbedder(dimension))


def put(store: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows; each has `id` and `vector`, and may have every other column."""
    schema = store.items.schema
    full = [{"kind": "image", "content": f"c-{row['id']}", **row} for row in rows]
    columns = {name: [_plain(row.get(name)) for row in full] for name in schema.names}
    store.items.add(pa.table(columns, schema=schema))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def random_rows(
    n: int, dimension: int = 16, *, seed: int = 0, kinds: Sequence[str] = ("image",), prefix: str = "i"
) -> list[dict[str, Any]]:
    """Rows i0, i1, ... with random unit vectors; pages also have a text layer's vector, all a short text."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        kind = kinds[i % len(kinds)]
        row: dict[str, Any] = {"id": f"{prefix}{i}", "kind": kind, "vector": unit(rng.standard_normal(dimension))}
        row["uri"] = f"folder{i % 3}/{prefix}{i}"
        row["text"] = f"number {i} of the {('red', 'green', 'blue')[i % 3]} ones"
        if kind == "page":
            row["text_vector"] = unit(rng.standard_normal(dimension))
        rows.append(row)
    return rows


def brute_force(rows: Sequence[Mapping[str, Any]], query: np.ndarray, k: int) -> list[str]:
    """Ids by cosine in float64 rounded to float32, ties by id: what a search of one channel must give."""
    scored = [(-np.float32(row["vector"].astype(np.float64) @ query.astype(np.float64)), row["id"]) for row in rows]
    return [name for _, name in sorted(scored)[:k]]
