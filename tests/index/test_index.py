"""`Index` with a real (tiny) open_clip model and real files: create, add, search, open again, delete."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmrank.embed.base import Embedder
from mmrank.errors import IndexStoreError, UsageError
from mmrank.index.calibrate import Mean
from mmrank.index.index import Index
from mmrank.media.scan import scan
from mmrank.types import Query


@pytest.fixture
def index(tmp_path: Path, embedder: Embedder, media: Path) -> Index:
    made = Index.create(tmp_path / "mixed", embedder)
    report = made.add(scan([media]))
    assert report.added == 11
    assert not report.failed
    return made


def test_files_in_items_out(index: Index, media: Path) -> None:
    assert len(index) == 11
    assert index.stats()["kinds"] == {"image": 6, "video": 1, "page": 2, "text": 2}
    ranking = index.search("a white boat", k=20)
    assert len(ranking) == 11
    assert {h.item.kind for h in ranking} == {"image", "video", "page", "text"}
    assert ranking.cost.model_calls == 1
    assert ranking.cost.seconds > 0
    assert index.search("boat", mode="text").ids[0].endswith("boats.txt")


def test_a_picture_finds_itself(index: Index, media: Path) -> None:
    query = Query(image=str(media / "0003.jpg"))
    best = index.search(query, k=3, kinds=["image"]).hits[0]
    assert best.id.endswith("0003.jpg")
    assert best.score == pytest.approx(1.0, abs=0.02)
    assert index.search(query, k=6, kinds=["image"]).cost.images_encoded == 1


def test_only_the_kinds_and_rows_asked_for(index: Index) -> None:
    assert {h.item.kind for h in index.search("boat", kinds=["page", "text"])} == {"page", "text"}
    assert [h.item.kind for h in index.search("boat", where="kind = 'video'")] == ["video"]


def test_opened_again_the_index_loads_its_embedder_when_it_is_needed(index: Index) -> None:
    again = Index.open(index.uri)
    assert len(again) == 11
    assert again == index
    assert again._embedder is None, "metadata can be read without a model"
    assert again.search("boat").ids == index.search("boat").ids
    assert again._embedder is not None


def test_another_embedder_is_refused(index: Index, foreign_embedder: Embedder, tmp_path: Path) -> None:
    for call in (lambda: Index.open(index.uri, foreign_embedder), lambda: Index.create(index.uri, foreign_embedder)):
        with pytest.raises(IndexStoreError, match="do not compare"):
            call()
    with pytest.raises(IndexStoreError, match="no index"):
        Index.open(tmp_path / "nowhere")


def test_items_vectors_and_thumbnails_by_id(index: Index) -> None:
    ids = [h.id for h in index.search("boat", k=4, kinds=["image"])]
    assert [item.id for item in index.get([*ids, ids[0]])] == [*ids, ids[0]]
    vectors = index.vectors(ids)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    picture = index.thumbnail(ids[0])
    assert picture is not None
    assert picture[:2] == b"\xff\xd8"
    assert index.thumbnail("no-such-id") is None
    assert index.get([]) == []
    assert index.vectors([]).shape == (0, vectors.shape[1])
    for call in (lambda: index.get([ids[0], "no-such-id"]), lambda: index.vectors(["no-such-id"])):
        with pytest.raises(IndexStoreError, match="'no-such-id'"):
            call()


def test_delete_takes_the_side_tables_along(index: Index) -> None:
    video = index.search("boat", k=1, kinds=["video"]).hits[0].id
    assert index._store.frames.count_rows() == 1
    assert index.delete("kind IN ('video', 'text')") == 3
    assert len(index) == 8
    assert index._store.frames.count_rows() == 0
    assert index.thumbnail(video) is None
    assert {h.item.kind for h in index.search("boat", k=20)} == {"image", "page"}
    with pytest.raises(UsageError, match="columns"):
        index.delete("colour = 'red'")
    assert len(index) == 8


def test_a_pipeline_over_two_searches(index: Index) -> None:
    pipeline = index.retriever(k=6, kinds=["image"]) >> index.rescorer(depth=4) % 3
    ranking = pipeline("a white boat")
    assert len(ranking) == 3
    assert ranking.ids == index.search("a white boat", k=3, kinds=["image"]).ids
    assert [r.stage for r in ranking.records] == ["vector", "rescorer"]


def test_pruning_renews_the_means_that_scores_are_calibrated_by(
    tmp_path: Path, embedder: Embedder, media: Path
) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("0000.jpg", "0001.jpg", "0002.jpg", "cats.md"):
        shutil.copy(media / name, folder)
    index = Index.create(tmp_path / "index", embedder)
    index.add(scan([folder]))
    (folder / "0001.jpg").unlink()
    assert index.add(scan([folder]), prune=True).removed == 1
    kept = Mean.from_json(index._store.setting("mean:image.vector"))
    left = [hit.id for hit in index.search("boat", kinds=["image"])]
    assert kept.rows == len(left) == 2
    np.testing.assert_allclose(kept.vector, index.vectors(left).mean(axis=0), atol=1e-6)
