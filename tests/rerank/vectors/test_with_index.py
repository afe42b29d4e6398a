"""The stages on a real index: stored vectors and frames, embedded queries, unreadable ones, a second search."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.index.index import Index
from mmrank.index.rows import frames_schema
from mmrank.rerank.vectors import clip_rerank, e2rank, mmr, query_expansion, rocchio, search_again, super_global
from mmrank.rerank.vectors.feedback import expanded_vector
from mmrank.rerank.vectors.super_global import super_global_scores
from mmrank.types import Query, Ranking

_GIVEN = runpy.run_path(str(Path(__file__).parents[2] / "index" / "given.py"))
new_store, put, random_rows, unit, WordHashEmbedder = (
    _GIVEN[n] for n in ("new_store", "put", "random_rows", "unit", "WordHashEmbedder")
)

TEXT = "number 4 of the green ones"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Thirty videos and thirty images; videos v0, v3, v6, ... have frame vectors."""
    import pyarrow as pa

    store = new_store(tmp_path_factory.mktemp("vectors") / "clips")
    put(store, random_rows(30, kinds=("video",), prefix="v"))
    put(store, random_rows(30, seed=1))
    rng = np.random.default_rng(2)
    names = [f"v{n}" for n in range(0, 30, 3)]
    frames = [unit(rng.standard_normal((2 + n % 3, 16))).tolist() for n in range(len(names))]
    times = [[float(t) for t in range(len(own))] for own in frames]
    store.frames.add(pa.table({"id": names, "times": times, "vectors": frames}, schema=frames_schema(16)))
    return Index(store, WordHashEmbedder())


def test_known_vectors_leave_out_what_is_not_there(index: Index) -> None:
    found = index.known_vectors(["v3", "nowhere", "i2", "v3"])
    assert sorted(found) == ["i2", "v3"]
    assert np.array_equal(found["v3"], index.vectors(["v3"])[0])
    assert index.known_vectors([]) == {}
    fresh = Index(index._store, WordHashEmbedder())
    from_table = fresh.known_vectors(["v3", "nowhere", "i2", "v29"])
    fresh.search(TEXT, k=3)  # loads the matrix
    from_memory = fresh.known_vectors(["v3", "nowhere", "i2", "v29"])
    assert sorted(from_memory) == sorted(from_table) == ["i2", "v29", "v3"]
    assert all(np.array_equal(from_memory[name], from_table[name]) for name in from_table)
    many = [f"v{n}" for n in range(30)] + [f"x{n}" for n in range(1_500)] + [f"i{n}" for n in range(30)]
    assert len(index.known_vectors(many)) == 60


def test_frame_vectors_come_whole_and_in_order(index: Index) -> None:
    found = index.frame_vectors([f"v{n}" for n in range(30)])
    assert sorted(found) == sorted(f"v{n}" for n in range(0, 30, 3))
    assert found["v3"].shape == (3, 16)
    rng = np.random.default_rng(2)
    expected = [unit(rng.standard_normal((2 + n % 3, 16))) for n in range(10)]
    assert np.allclose(found["v3"], expected[1])
    assert np.allclose(found["v27"], expected[9])


def test_query_vectors_fail_one_by_one(index: Index, tmp_path: Path) -> None:
    asked = [Query(text=TEXT), Query(image=str(tmp_path / "gone.jpg")), Query(), Query(text="half \ud83d pair")]
    good, gone, empty, broken = index.query_vectors(asked)
    assert isinstance(good, tuple)
    vector, cost = good
    assert np.allclose(vector, WordHashEmbedder().embed_texts([TEXT])[0])
    assert cost.model_calls == 1
    assert "gone.jpg" in str(gone)
    assert "empty" in str(empty)
    assert "Unicode" in str(broken)
    assert index.query_vectors([]) == []
    with pytest.raises(UsageError, match="sideways"):
        index.query_vectors([Query(text=TEXT)], compose="sideways")


def test_super_global_in_a_pipeline(index: Index) -> None:
    pipeline = index.retriever(k=40) >> super_global(index, depth=25)
    first = index.search(TEXT, k=40)
    (after,) = pipeline.run([TEXT])
    query = WordHashEmbedder().embed_texts([TEXT])[0]
    scores = super_global_scores(query, index.vectors(first.ids[:25]))
    assert after.ids == (*(first.ids[n] for n in np.argsort(-scores, kind="stable")), *first.ids[25:])
    assert after.records[-1].cost.model_calls == 1
    assert after.records[-1].cost.seconds > 0
    assert repr(pipeline) == "index('clips').retriever(k=40) >> super_global(index('clips'), depth=25)"


def test_frames_rerank_videos_and_the_others_are_named(index: Index) -> None:
    (after,) = (index.retriever(k=30, kinds=["video"]) >> clip_rerank(index)).run([TEXT])
    scored = [h.id for h in after if h.stage == "clip_rerank"]
    assert sorted(scored) == sorted(f"v{n}" for n in range(0, 30, 3))
    assert after.ids[:10] == tuple(scored)
    assert "20 hits have no frame vectors here" in str(after.records[-1].error)
    assert after.outcome == "repaired"


def test_kinds_side_by_side_are_noted(index: Index) -> None:
    (mixed,) = (index.retriever(k=30) >> super_global(index)).run([TEXT])
    assert "of the kinds" in str(mixed.records[-1].note)
    (images,) = (index.retriever(k=30, kinds=["image"]) >> super_global(index)).run([TEXT])
    assert images.records[-1].note is None


def test_an_unreadable_query_costs_itself_only(index: Index, tmp_path: Path) -> None:
    found = index.search(TEXT, k=8)
    broken = Ranking(query=Query(image=str(tmp_path / "gone.jpg"), id="b"), hits=found.hits)
    lost, fine = rocchio(index).process([broken, found])
    assert (lost.ids, lost.outcome, fine.outcome) == (found.ids, "fell_back", "ok")
    assert "gone.jpg" in str(lost.records[-1].error)


def test_the_moved_query_searches_again(index: Index) -> None:
    found = index.search(Query(text=TEXT, exclude=("v4",)), k=5)
    stage = search_again(index, query_expansion(index, feedback=3), k=12)
    (again,) = stage.process([found])
    moved = expanded_vector(WordHashEmbedder().embed_texts([TEXT])[0], index.vectors(found.ids[:3]))
    assert again.ids == index.search_vectors(moved[None], 12, queries=[found.query])[0].ids
    assert len(again) == 12
    assert "v4" not in again.ids
    assert [r.stage for r in again.records] == ["vector:calibrated", "search_again"]
    assert len((stage % 4).process([found])[0]) == 4
    only = search_again(index, query_expansion(index), k=9, kinds=["image"]).process([found])[0]
    assert {h.item.kind for h in only} == {"image"}
    assert repr(stage) == "search_again(index('clips'), query_expansion(index('clips'), feedback=3), k=12)"


def test_searching_again_keeps_the_hits_of_a_query_that_cannot_be_moved(index: Index, tmp_path: Path) -> None:
    found = index.search(TEXT, k=6)
    broken = Ranking(query=Query(image=str(tmp_path / "gone.jpg"), id="b"), hits=found.hits)
    nothing = Ranking(query=Query(text="nothing found"))
    lost, fine, empty = search_again(index, rocchio(index), k=4).process([broken, found, nothing])
    assert (lost.ids, lost.outcome) == (found.ids, "fell_back")
    assert len(fine) == 4
    assert empty.hits == ()


def test_an_embedder_reads_the_listwise_query(index: Index) -> None:
    (after,) = (index.retriever(k=20) >> e2rank(index, feedback=4)).run([TEXT])
    assert sorted(after.ids) == sorted(index.search(TEXT, k=20).ids)
    assert {h.stage for h in after} == {"e2rank"}


def test_variety_needs_no_model(index: Index) -> None:
    found = index.search(TEXT, k=10)
    offline = Index(index._store, None)
    (after,) = mmr(offline, trade=0.5).process([found])
    assert sorted(after.ids) == sorted(found.ids)
    assert after.records[-1].cost.model_calls == 0
