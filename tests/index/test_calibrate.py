"""Calibration: means equal numpy's, gaps are taken off, mixed kinds are found, one kind keeps plain cosines."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrank.index.calibrate import EVERYDAY, Mean, gap_of, gaps
from mmrank.index.index import Index
from mmrank.index.snapshot import Channel
from mmrank.index.upkeep import after_build
from mmrank.types import Query

GIVEN = runpy.run_path(str(Path(__file__).with_name("given.py")))
new_store, put, unit, WordHashEmbedder = (GIVEN[n] for n in ("new_store", "put", "unit", "WordHashEmbedder"))

IMAGE, VIDEO, NOTE = Channel("image", "vector"), Channel("video", "vector"), Channel("text", "vector")
PAGE, LAYER = Channel("page", "vector"), Channel("page", "text_vector")
DIMENSION = 96


def mean(vectors: np.ndarray) -> Mean:
    return Mean.of([vectors], vectors.shape[1])


def test_streamed_means_equal_numpy() -> None:
    drawn = unit(np.random.default_rng(0).standard_normal((1_000, 32)))
    streamed = Mean.of((drawn[i : i + 77] for i in range(0, 1_000, 77)), 32)
    assert streamed.rows == 1_000
    np.testing.assert_allclose(streamed.vector, drawn.astype(np.float64).mean(axis=0), atol=1e-7)
    again = Mean.from_json(streamed.to_json())
    assert again.rows == 1_000
    assert np.array_equal(again.vector, streamed.vector)


def test_a_gap_is_the_mean_cosine_with_the_other_kinds_of_the_side() -> None:
    rng = np.random.default_rng(1)
    sets = {
        c: unit(rng.standard_normal((n, 8)) + i)
        for i, (c, n) in enumerate({IMAGE: 30, PAGE: 20, LAYER: 20, NOTE: 10}.items())
    }
    found = gaps({c: mean(v) for c, v in sets.items()}, None)
    cosines = {(a, b): float((sets[a] @ sets[b].T).mean()) for a in sets for b in sets}
    assert found["text"][IMAGE] == pytest.approx((cosines[LAYER, IMAGE] + cosines[NOTE, IMAGE]) / 2, abs=1e-6)
    assert found["text"][LAYER] == pytest.approx(cosines[NOTE, LAYER], abs=1e-6)
    assert found["picture"][NOTE] == pytest.approx((cosines[IMAGE, NOTE] + cosines[PAGE, NOTE]) / 2, abs=1e-6)
    assert found["picture"][PAGE] == pytest.approx(cosines[IMAGE, PAGE], abs=1e-6)


def test_without_another_kind_of_the_side_a_picture_channel_has_its_own_rows_without_themselves() -> None:
    pictures, notes = unit(np.random.default_rng(2).standard_normal((2, 12, 8)) + 1)
    found = gaps({IMAGE: mean(pictures), NOTE: mean(notes)}, None)
    products = pictures @ pictures.T
    others = products[~np.eye(12, dtype=bool)].mean()
    assert found["picture"][IMAGE] == pytest.approx(float(others), abs=1e-5)
    sample = mean(unit(np.ones((1, 8))))
    with_sample = gaps({IMAGE: mean(pictures), NOTE: mean(notes)}, sample)["text"]
    assert with_sample[NOTE] == pytest.approx(float(sample.vector @ notes.mean(axis=0)), abs=1e-6)
    both = (sample.vector + notes.mean(axis=0)) / 2
    assert with_sample[IMAGE] == pytest.approx(float(both @ pictures.mean(axis=0)), abs=1e-6)


def test_which_gaps_hold_follows_what_the_query_has() -> None:
    by_side: Any = {"text": {IMAGE: 0.2}, "picture": {IMAGE: 0.6}}
    assert gap_of(Query(text="a"), by_side)[IMAGE] == 0.2
    assert gap_of(Query(image=b"x"), by_side)[IMAGE] == 0.6
    assert gap_of(Query(text="a", image=b"x"), by_side)[IMAGE] == pytest.approx(0.4)
    assert gap_of(Query(id="bare"), by_side)[IMAGE] == 0.2


class ConeEmbedder(WordHashEmbedder):
    """Hashed words in the texts' cone: everyday sentences lie where this model's texts lie."""

    def embed_texts(self, texts: Any) -> np.ndarray:
        return unit(0.84 * Cones().basis[0] + 0.5 * super().embed_texts(texts))


class Cones:
    """Vectors as CLIP lays them: texts in one cone (cosine 0.7 among themselves), pictures in another (0.2 across)."""

    def __init__(self, seed: int = 3) -> None:
        self.rng = np.random.default_rng(seed)
        self.basis = np.linalg.qr(self.rng.standard_normal((DIMENSION, 26)))[0].T

    def contents(self, n: int) -> np.ndarray:
        return unit(self.rng.standard_normal((n, 24))) @ self.basis[2:]

    def _noise(self, like: np.ndarray) -> np.ndarray:
        return unit(self.rng.standard_normal(like.shape))

    def texts(self, contents: np.ndarray) -> np.ndarray:
        return unit(0.84 * self.basis[0] + 0.5 * contents + 0.2 * self._noise(contents))

    def pictures(self, contents: np.ndarray) -> np.ndarray:
        return unit(0.7 * self.basis[1] + 0.24 * self.basis[0] + 0.45 * contents + 0.4 * self._noise(contents))


@pytest.fixture
def cones(tmp_path: Path) -> tuple[Index, dict[str, np.ndarray]]:
    """200 images, 60 videos, 60 notes, 40 pages with a text layer; for each kind a text query per Item."""
    made, store = Cones(), new_store(tmp_path / "index", DIMENSION)
    queries: dict[str, np.ndarray] = {}
    for kind, count in {"image": 200, "video": 60, "text": 60, "page": 40}.items():
        contents = made.contents(count)
        vectors = made.texts(contents) if kind == "text" else made.pictures(contents)
        layers = made.texts(contents) if kind == "page" else [None] * count
        put(
            store,
            [
                {"id": f"{kind}{i}", "kind": kind, "vector": v, "text_vector": t}
                for i, (v, t) in enumerate(zip(vectors, layers, strict=True))
            ],
        )
        queries[kind] = made.texts(contents)
    embedder = ConeEmbedder(DIMENSION)
    after_build(store, embedder, changed=360)
    return Index(store, embedder), queries


def test_the_right_item_of_the_right_kind_comes_first_across_the_gap(cones: Any) -> None:
    index, queries = cones
    plain: dict[str, list[bool]] = {}
    mixed: dict[str, list[bool]] = {}
    for kind, vectors in queries.items():
        alone = index.search_vectors(vectors, 1, kinds=[kind])
        among_all = index.search_vectors(vectors, 1)
        photos_and_notes = np.array([index.vectors([f"text{i}" for i in range(60)]) @ v for v in vectors]).max(axis=1)
        for i, (single, whole) in enumerate(zip(alone, among_all, strict=True)):
            if single.ids == (f"{kind}{i}",):
                mixed.setdefault(kind, []).append(whole.ids == single.ids)
                plain.setdefault(kind, []).append(bool(single.hits[0].score >= photos_and_notes[i]))
    assert {kind: np.mean(kept) >= 0.9 for kind, kept in mixed.items()} == dict.fromkeys(mixed, True)
    assert sum(len(kept) for kept in mixed.values()) > 250, "too few cases for the shares to mean anything"
    assert np.mean(plain["image"]) < 0.1, "without calibration the notes should have won; the data show no gap"


def test_one_channel_has_plain_cosines_and_several_keep_them_in_the_sources(cones: Any) -> None:
    index, queries = cones
    query = queries["page"][:1]
    alone = index.search_vectors(query, 5, kinds=["image"])[0]
    np.testing.assert_allclose([h.score for h in alone], index.vectors(alone.ids) @ query[0], atol=1e-6)
    assert {h.stage for h in alone} == {"vector"}
    mixed = index.search_vectors(query, 5)[0]
    assert {h.stage for h in mixed} == {"vector:calibrated"}
    for hit in mixed:
        cosine = {s.name: s.score for s in hit.sources}.get(f"{hit.item.kind}.vector")
        if cosine is not None:
            assert cosine == pytest.approx(float(index.vectors([hit.id])[0] @ query[0]), abs=1e-6)
    best = mixed.hits[0]
    assert best.item.kind == "page"
    assert {s.name for s in best.sources} <= {"page.vector", "page.text_vector"}


def test_everyday_sentences_are_kept_as_the_model_places_them(cones: Any) -> None:
    index, _ = cones
    kept = Mean.from_json(index._store.setting("mean:queries"))
    np.testing.assert_allclose(kept.vector, ConeEmbedder(DIMENSION).embed_texts(EVERYDAY).mean(axis=0), atol=1e-6)


def test_the_form_a_query_was_composed_by_decides_which_gap_holds(cones: Any) -> None:
    by_side: Any = {"text": {IMAGE: 0.2}, "picture": {IMAGE: 0.6}}
    query = Query(text="a", image=b"x")
    found = {form: gap_of(query, by_side, form)[IMAGE] for form in ("image", "text", "sum")}
    assert found == {"image": 0.6, "text": 0.2, "sum": pytest.approx(0.4)}
    index, _ = cones
    alone, composed = (
        index.search("a red boat", k=5),
        index.search(Query(text="a red boat", image=b"x"), 5, compose="text"),
    )
    assert [(h.id, h.score) for h in composed] == [(h.id, h.score) for h in alone]
