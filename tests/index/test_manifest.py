from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from mmrank.embed.base import Embedder, Fingerprint
from mmrank.errors import IndexStoreError
from mmrank.index.manifest import METADATA_KEY, Manifest
from mmrank.index.schema import FORMAT_VERSION, items_schema
from mmrank.index.store import Store


def _manifest(**changes: object) -> Manifest:
    plain = Manifest(
        format=FORMAT_VERSION,
        embedder="open_clip:hf-hub:org/model@main",
        revision="main",
        fingerprint=Fingerprint(weights="abc", preprocessing="resize 32", dimension=8),
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_it_comes_back_from_a_schema_as_it_was() -> None:
    manifest = _manifest()
    assert Manifest.read(manifest.stamped(items_schema(8)), "x") == manifest


def test_it_outlives_writes_columns_and_compaction(store: Store) -> None:
    store.items.add_columns([pa.field("year", pa.int64())])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0] * 32, pa.float32()), 32)
    values = {"id": ["a"], "kind": ["image"], "content": ["c"], "vector": vectors}
    row = pa.table({f.name: values.get(f.name, pa.nulls(1, f.type)) for f in store.items.schema})
    store.items.add(row.cast(store.items.schema), on_bad_vectors="null")
    store.items.optimize(cleanup_older_than=timedelta(0))
    store.items.delete("id = 'a'")
    assert Store.open(store.uri).manifest == store.manifest


def test_it_names_the_embedder(embedder: Embedder, store: Store) -> None:
    assert store.manifest.embedder == embedder.spec
    assert store.manifest.fingerprint == embedder.fingerprint
    assert store.manifest.revision is None
    assert abs(store.manifest.created - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_revision_of_a_hub_model_is_kept() -> None:
    class Hub:
        spec = "open_clip:hf-hub:org/model@v1"
        fingerprint = Fingerprint(weights="w", preprocessing="p", dimension=8)

    assert Manifest.of(Hub()).revision == "v1"  # type: ignore[arg-type]


def test_an_embedder_of_ones_own_needs_no_known_spec() -> None:
    class Own:
        spec = "my very own"
        fingerprint = Fingerprint(weights="w", preprocessing="p", dimension=8)

    assert Manifest.of(Own()).revision is None  # type: ignore[arg-type]


def test_another_embedder_is_refused_with_both_names(store: Store, foreign_embedder: Embedder) -> None:
    with pytest.raises(IndexStoreError) as caught:
        store.manifest.check(foreign_embedder, store.uri)
    message = str(caught.value)
    assert store.manifest.embedder in message
    assert foreign_embedder.spec in message
    assert "weights" in message
    assert "another folder" in message


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        (None, "was not made by mmrank"),
        ({METADATA_KEY: b"{"}, "cannot be read"),
        ({METADATA_KEY: b'{"format": 1}'}, "cannot be read"),
        ({METADATA_KEY: json.dumps({"format": FORMAT_VERSION + 1}).encode()}, "Upgrade mmrank"),
    ],
)
def test_what_is_no_manifest_is_said(metadata: dict[bytes, bytes] | None, why: str) -> None:
    with pytest.raises(IndexStoreError, match=why):
        Manifest.read(items_schema(8).with_metadata(metadata), "indexes/photos")
