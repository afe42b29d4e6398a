"""Upkeep: what is built when, that searching stays right before and after, recall of approximate indexes."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.index import upkeep
from mmrank.index.calibrate import Mean
from mmrank.index.index import Index
from mmrank.index.measure import probes, true_reach
from mmrank.index.nearest import AnnSettings
from mmrank.index.options import SearchOptions
from mmrank.index.report import Upkeep
from mmrank.index.search import _source
from mmrank.index.stats import stats
from mmrank.index.store import Store
from mmrank.types import Query

_GIVEN = runpy.run_path(str(Path(__file__).with_name("given.py")))
new_store, put, unit, random_rows = (_GIVEN[n] for n in ("new_store", "put", "unit", "random_rows"))
brute_force, WordHashEmbedder = _GIVEN["brute_force"], _GIVEN["WordHashEmbedder"]


def indexed(store: Store) -> dict[str, str]:
    return {i.columns[0]: str(i.index_type) for i in store.items.list_indices()}


def clustered(n: int, dimension: int, *, seed: int = 0, clusters: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((clusters, dimension)))
    noise = rng.standard_normal((n, dimension)) / np.sqrt(dimension)
    return unit(centres[rng.integers(0, clusters, n)] + 0.7 * noise)


@pytest.fixture
def filled(store_path: Path) -> Store:
    store: Store = new_store(store_path)
    put(store, random_rows(80, kinds=("image", "page", "text", "video")))
    return store


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "index"


def test_after_a_build_filters_and_texts_are_indexed_and_nothing_approximate(filled: Store) -> None:
    assert upkeep.after_build(filled, WordHashEmbedder(), changed=80) is None
    kinds = indexed(filled)
    assert kinds.keys() == {"id", "content", "kind", "text"}
    assert kinds["kind"].lower() == "bitmap"
    version = filled.items.version
    assert upkeep.after_build(filled, WordHashEmbedder(), changed=0) is None
    assert filled.items.version == version, "nothing changed, and yet something was written"


def test_no_texts_no_text_index_and_an_empty_index_is_left_alone(store_path: Path) -> None:
    store = new_store(store_path)
    assert upkeep.after_build(store, WordHashEmbedder(), changed=0) is None
    assert indexed(store) == {}
    put(store, [{**row, "text": None} for row in random_rows(5)])
    upkeep.after_build(store, WordHashEmbedder(), changed=5)
    assert indexed(store).keys() == {"id", "content", "kind"}
    put(store, random_rows(5, prefix="with-text"))
    upkeep.after_build(store, WordHashEmbedder(), changed=5)
    assert "text" in indexed(store)


def test_means_follow_the_rows_also_when_a_killed_build_left_them_behind(filled: Store) -> None:
    upkeep.after_build(filled, WordHashEmbedder(), changed=80)
    assert filled.setting("mean:image.vector")["rows"] == 20
    assert filled.setting("mean:page.text_vector")["rows"] == 20
    put(filled, random_rows(7, prefix="late", seed=5))
    upkeep.after_build(filled, WordHashEmbedder(), changed=0)
    assert filled.setting("mean:image.vector")["rows"] == 27


def test_many_small_writes_are_compacted(store_path: Path) -> None:
    store = new_store(store_path)
    for part in range(upkeep.FRAGMENTS + 2):
        put(store, random_rows(2, prefix=f"p{part}-", seed=part))
        if part == 3:
            done = Upkeep()
            upkeep.after_build(store, WordHashEmbedder(), changed=8, done=done)
            assert done.nothing
            assert store.items.stats()["fragment_stats"]["num_fragments"] == 4
    upkeep.after_build(store, WordHashEmbedder(), changed=2, done=done)
    left = store.items.stats()["fragment_stats"]["num_fragments"]
    assert left <= 2  # those an index covers are not merged with others
    assert done == Upkeep(compacted={"items": (upkeep.FRAGMENTS + 2, left)})  # no version is an hour old
    assert all(i.num_unindexed_rows == 0 for i in store.items.list_indices())


def test_optimize_changes_no_answer_and_a_reader_on_the_old_version_goes_on(filled: Store, store_path: Path) -> None:
    put(filled, random_rows(30, prefix="more", seed=3, kinds=("image",)))
    reader = Index(Store.open(store_path), WordHashEmbedder())
    old = reader._viewer.view()
    vectors = unit(np.random.default_rng(8).standard_normal((6, 16)))
    before = reader.search_vectors(vectors, 20)
    assert upkeep.optimize(filled) is None
    assert old.snapshot().rows(np.arange(3), ["id"]), "a version in use was cleaned up"
    after = reader.search_vectors(vectors, 20)
    assert [[(h.id, h.score) for h in r] for r in after] == [[(h.id, h.score) for h in r] for r in before]


def test_stats_are_json_and_true(filled: Store) -> None:
    upkeep.after_build(filled, WordHashEmbedder(), changed=80)
    told = json.loads(json.dumps(stats(filled)))
    assert told["rows"] == 80
    assert told["kinds"] == {"image": 20, "page": 20, "text": 20, "video": 20}
    assert told["channels"]["page.text_vector"] == 20
    assert told["matrix_bytes"] == 100 * 16 * 4
    assert told["search"] == "exact"
    assert {tuple(i["columns"]) for i in told["indexes"]} == {("id",), ("content",), ("kind",), ("text",)}


def test_the_policy_builds_an_approximate_index_beyond_the_budget(store_path: Path) -> None:
    budget = 400 * 16 * 4 - 1
    store = new_store(store_path)
    rows = random_rows(400)
    put(store, rows[:399])
    assert upkeep.after_build(store, WordHashEmbedder(), changed=399, exact_bytes=budget) is None
    put(store, rows[399:])
    done = Upkeep()
    found = upkeep.after_build(store, WordHashEmbedder(), changed=1, exact_bytes=budget, done=done)
    assert found is not None
    assert done == Upkeep(approximate=["vector"])
    assert found >= 0.98
    assert "vector" in indexed(store)
    assert upkeep.after_build(store, WordHashEmbedder(), changed=0, exact_bytes=budget) == found


@pytest.fixture(params=["hnsw_sq", "ivf_rq"])
def approximate(request: pytest.FixtureRequest, store_path: Path) -> tuple[Index, list[dict[str, Any]]]:
    store = new_store(store_path, 64)
    vectors = clustered(2_000, 64)
    kinds = ("image", "image", "page")
    layers = clustered(2_000, 64, seed=1)
    rows = [
        {"id": f"i{i:04d}", "kind": kinds[i % 3], "vector": v, "text_vector": t if kinds[i % 3] == "page" else None}
        for i, (v, t) in enumerate(zip(vectors, layers, strict=True))
    ]
    put(store, rows)
    index = Index(store, WordHashEmbedder(64))
    assert index.optimize(ann=request.param) is not None
    return index, rows


def test_an_approximate_index_is_used_tuned_and_close_to_the_truth(approximate: Any) -> None:
    index, rows = approximate
    assert index.stats()["search"] == "approximate"
    assert index.recall(sample=50) >= 0.95
    pictures = [row for row in rows if row["kind"] == "image"]
    queries = clustered(20, 64, seed=4)
    found = index.search_vectors(queries, 10, kinds=["image"], exact=False)
    exact = index.search_vectors(queries, 10, kinds=["image"], exact=True)
    for query, near, true in zip(queries, found, exact, strict=True):
        assert list(true.ids) == brute_force(pictures, query, 10)
        assert len(near) == 10
    shared = [len(set(a.ids) & set(b.ids)) / 10 for a, b in zip(found, exact, strict=True)]
    assert np.mean(shared) >= 0.95
    scores = {h.id: h.score for h in exact[0]}
    for hit in found[0]:
        assert hit.score == pytest.approx(scores.get(hit.id, hit.score), abs=1e-5)


def test_approximate_search_keeps_the_promises_of_exact_search(approximate: Any) -> None:
    index, _rows = approximate
    query = clustered(1, 64, seed=5)
    best = index.search_vectors(query, 30)[0].ids
    asked = [Query(id="a", exclude=best[:20]), Query(id="b", among=best[10:14]), Query(id="c")]
    without, only, plain = index.search_vectors(np.repeat(query, 3, axis=0), 30, queries=asked)
    assert not set(without.ids) & set(best[:20])
    assert len(without) == 30
    assert set(only.ids) == set(best[10:14])
    assert plain.ids == best
    put(index._store, [{"id": "new", "vector": query[0]}])
    assert index.search_vectors(query, 1, kinds=["image"])[0].ids == ("new",), "a row newer than the index was missed"
    assert index.delete("id = 'new'") == 1
    assert "new" not in index.search_vectors(query, 30)[0].ids
    assert index.search_vectors(query, 5, where="id < 'i0100'")[0].hits[0].id < "i0100"


def test_probes_are_moved_vectors_and_the_same_each_time(approximate: Any) -> None:
    table = approximate[0]._store.items
    first, again = probes(table, "vector", 30), probes(table, "vector", 30)
    assert np.array_equal(first, again)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-6)
    stored = np.stack([row["vector"] for row in approximate[1]])
    nearest = (first @ stored.T).max(axis=1)
    assert (nearest < 0.999).all()
    assert 0.4 < nearest.mean() < 0.8
    tenth = np.sort(1 - first @ stored.T, axis=1)[:, 9]
    np.testing.assert_allclose(true_reach(table, "vector", first), tenth, atol=1e-5)


def test_recall_counts_what_a_poor_index_misses(store_path: Path) -> None:
    store = new_store(store_path, 64)
    put(store, [{"id": f"i{i}", "vector": v} for i, v in enumerate(clustered(2_000, 64))])
    tuned = upkeep.optimize(store, ann="ivf_rq")
    store.set_setting("ann", {"vector": AnnSettings(nprobes=1, refine=1).to_json()})
    poor = upkeep.recall(store, sample=50)
    assert tuned is not None
    assert poor is not None
    assert poor < 0.8
    assert tuned > 0.95


def test_wrong_arguments_are_refused(filled: Store) -> None:
    for call in (lambda: upkeep.recall(filled, 0), lambda: upkeep.optimize(filled, ann="pq")):  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            call()
    assert upkeep.recall(filled) is None


@pytest.mark.slow
def test_recall_on_thirty_thousand_clustered_vectors(store_path: Path) -> None:
    store = new_store(store_path, 64)
    vectors = clustered(30_000, 64, clusters=500)
    for start in range(0, 30_000, 5_000):
        put(store, [{"id": f"i{start + i}", "vector": v} for i, v in enumerate(vectors[start : start + 5_000])])
    index = Index(store, WordHashEmbedder(64))
    assert index.optimize(ann="hnsw_sq") >= 0.98
    queries = clustered(50, 64, seed=9, clusters=500)  # from other clusters: far from every stored vector
    found, exact = index.search_vectors(queries, 10), index.search_vectors(queries, 10, exact=True)
    assert np.mean([len(set(a.ids) & set(b.ids)) / 10 for a, b in zip(found, exact, strict=True)]) >= 0.98


def test_means_follow_rows_that_are_removed(filled: Store) -> None:
    index = Index(filled, WordHashEmbedder())
    upkeep.after_build(filled, WordHashEmbedder(), changed=80)
    assert filled.setting("mean:image.vector")["rows"] == 20
    kept = filled.setting("mean:text.vector")
    removed = index.delete("kind = 'image' AND id IN ('i0', 'i4', 'i8')")
    assert removed == 3
    image = Mean.from_json(filled.setting("mean:image.vector"))
    left = [r["vector"] for r in random_rows(80, kinds=("image", "page", "text", "video"))[12::4]]
    assert image.rows == 17
    np.testing.assert_allclose(image.vector, np.mean(left, axis=0), atol=1e-6)
    assert filled.setting("mean:text.vector") == kept


def test_one_probe_and_none_can_be_measured(store_path: Path) -> None:
    store = new_store(store_path)
    put(store, random_rows(300))
    put(store, random_rows(1, kinds=("page",), prefix="p"))
    index = Index(store, WordHashEmbedder())
    assert index.optimize(ann="hnsw_sq") is not None
    assert store.setting("ann")["text_vector"]["recall"] == 1.0
    assert index.recall(1) is not None
    for sample in (2.5, 0, True):
        with pytest.raises(UsageError, match="sample"):
            index.recall(sample)  # type: ignore[arg-type]


@pytest.mark.parametrize("ann", ["hnsw_sq", "ivf_rq"])
def test_an_emptied_column_loses_its_approximate_index(store_path: Path, ann: Any) -> None:
    store = new_store(store_path)
    put(store, random_rows(300))
    put(store, random_rows(300, kinds=("page",), prefix="p"))
    index = Index(store, WordHashEmbedder())
    index.optimize(ann=ann)
    assert {"vector", "text_vector"} <= indexed(store).keys()
    index.delete("kind = 'page'")
    assert index.optimize() is not None
    assert "text_vector" not in indexed(store)
    assert store.setting("ann").keys() == {"vector"}
    index.delete("true")
    assert index.recall() is None
    assert index.optimize() is None
    assert "vector" not in indexed(store)
    assert index.optimize(ann=ann) is None
    put(store, random_rows(3))
    upkeep.after_build(store, WordHashEmbedder(), changed=3)
    assert len(index.search("number", k=9)) == 3


def test_the_budget_of_the_index_decides_what_is_approximate(store_path: Path) -> None:
    store = new_store(store_path)
    put(store, random_rows(300))
    assert Index(store, WordHashEmbedder()).optimize() is None
    assert Index(store, WordHashEmbedder(), exact_bytes=1_000).optimize() is not None
    other = new_store(store_path.with_name("other"))
    put(other, random_rows(300))
    assert upkeep.after_build(other, WordHashEmbedder(), changed=300, exact_bytes=1_000) is not None


def test_an_index_that_misses_too_much_is_passed_over_while_the_matrix_fits(store_path: Path) -> None:
    store = new_store(store_path)
    put(store, random_rows(300))
    index = Index(store, WordHashEmbedder())
    index.optimize(ann="hnsw_sq")

    def source(exact: bool | None) -> str:
        view = index._viewer.view()
        return type(_source(view, view.channels(None), SearchOptions(exact=exact))).__name__

    assert (source(None), source(True)) == ("TableSource", "MatrixSource")
    store.set_setting("ann", {c: {**v, "recall": 0.5} for c, v in store.setting("ann").items()})
    assert (source(None), source(False)) == ("MatrixSource", "TableSource")
