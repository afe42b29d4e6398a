"""The forms through an index: exclusion, bad queries, intersections by a literal loop, other shapes of asking."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrank.compose import Caption, Composed, GivenCaptions, Intersection, Sqaf, Sum, compose_queries
from mmrank.compose.agreement import agreement
from mmrank.errors import UsageError
from mmrank.index.index import Index
from mmrank.types import Query, Ranking

_GIVEN = runpy.run_path(str(Path(__file__).parents[1] / "index" / "given.py"))
new_store, put, random_rows, WordHashEmbedder = (
    _GIVEN[n] for n in ("new_store", "put", "random_rows", "WordHashEmbedder")
)

TEXT = "number 4 of the green ones"
GIVEN = GivenCaptions(captions={"q": "the seventh one", "good": "a red one", "also": "a blue one"})
FORMS: tuple[Any, ...] = (
    None,
    "image",
    "text",
    "sum",
    "slerp",
    "weighted",
    "intersection",
    "intersection:min",
    Intersection(depth=3),
    Caption(captioner=GIVEN),
    Sqaf(captioner=GIVEN),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    store = new_store(tmp_path_factory.mktemp("forms") / "images")
    put(store, random_rows(40))
    return Index(store, WordHashEmbedder())


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Images and videos: two channels, calibrated."""
    store = new_store(tmp_path_factory.mktemp("forms") / "mixed")
    put(store, random_rows(25))
    put(store, random_rows(25, seed=1, kinds=("video",), prefix="v"))
    return Index(store, WordHashEmbedder())


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "ref.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_what_is_excluded_never_comes_and_among_holds(index: Index, reference: Path, form: Any) -> None:
    query = Query(id="q", image=reference, text=TEXT)
    everything = index.search(query, k=40, compose=form)
    assert len(everything) == 40  # with k = 40 an intersection of depth 3 looks at 40 a side
    barred = everything.ids[:2]
    left = index.search(Query(id="q", image=reference, text=TEXT, exclude=barred), k=40, compose=form)
    assert len(left) == 38
    assert not set(barred) & set(left.ids)
    only = ("i3", "i5", "i7", "i9")
    among = index.search(Query(id="q", image=reference, text=TEXT, among=only, exclude=("i5",)), compose=form)
    assert sorted(among.ids) == ["i3", "i7", "i9"]


@pytest.mark.parametrize("form", FORMS[1:], ids=repr)
def test_a_batch_with_bad_queries_goes_on_and_equals_single_ones(
    index: Index, reference: Path, tmp_path: Path, form: Any
) -> None:
    queries = [
        Query(id="good", image=reference, text="red -blue"),
        Query(id="gone", image=tmp_path / "gone.png", text=TEXT),
        Query(id="also", image=reference, text="blue"),
    ]
    good, gone, also = index.search_many(queries, k=5, compose=form)
    for query, found in ((queries[0], good), (queries[2], also)):
        assert found.outcome == "ok"
        assert found.ids == index.search(query, k=5, compose=form).ids
    if isinstance(form, Caption):
        assert "Query 'gone' has no caption" in (gone.records[0].error or "")
    elif form not in ("text",):
        assert gone.outcome == "failed"
        assert "gone" in (gone.records[0].error or "")
        assert not gone.hits
    stage = index.retriever(k=5, compose=form)
    piped = stage.process([Ranking(query=query) for query in queries])
    assert [r.ids for r in piped] == [good.ids, gone.ids, also.ids]


@pytest.mark.parametrize("rule", ["min", "product"])
@pytest.mark.parametrize("depth", [2, 5, 40])
@pytest.mark.parametrize("exact", [True, None])
def test_an_intersection_by_a_literal_loop(index: Index, reference: Path, rule: Any, depth: int, exact: Any) -> None:
    query = Query(id="q", image=reference, text=TEXT, exclude=("i4",))
    ids = [f"i{n}" for n in range(40) if n != 4]
    vectors = dict(zip(ids, index.vectors(ids), strict=True))
    (composed,) = compose_queries(WordHashEmbedder(), [query], Intersection())
    assert isinstance(composed, Composed)
    cosines = [{i: float(v @ side) for i, v in vectors.items()} for side in composed.vectors]
    k = 4
    tops = [sorted(ids, key=lambda i: (-side[i], i))[: max(k, depth)] for side in cosines]
    union = sorted({*tops[0], *tops[1]})
    scores = agreement([cosines[0][i] for i in union], [cosines[1][i] for i in union], rule)
    wanted = sorted(zip(union, scores.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))[:k]
    found = index.search(query, k=k, compose=Intersection(rule=rule, depth=depth), exact=exact)
    assert found.ids == tuple(i for i, _ in wanted)
    for hit, (name, score) in zip(found, wanted, strict=True):
        assert hit.score == pytest.approx(score, abs=1e-5)
        assert hit.stage == "vector:intersection"
        assert [s.name for s in hit.sources] == ["image", "text"]
        assert [s.score for s in hit.sources] == pytest.approx([side[name] for side in cosines], abs=1e-5)


def test_an_intersection_from_the_table_is_that_from_the_matrix(index: Index, reference: Path) -> None:
    from_table = Index(index._store, WordHashEmbedder(), exact_bytes=1)
    query = Query(image=reference, text=TEXT, exclude=("i4", "i8"))
    for form in (Intersection(depth=5), Intersection(rule="product", depth=7)):
        one, other = (i.search(query, k=6, compose=form) for i in (index, from_table))
        assert one.ids == other.ids
        assert [h.score for h in one] == pytest.approx([h.score for h in other], abs=1e-5)


def test_an_intersection_over_mixed_kinds_scores_every_item_once(mixed: Index, reference: Path) -> None:
    query = Query(image=reference, text=TEXT)
    found = mixed.search(query, k=50, compose="intersection")
    assert len(found) == 50
    assert {hit.item.kind for hit in found} == {"image", "video"}
    videos = mixed.search(query, k=50, compose="intersection", kinds=["video"], where="kind = 'video'")
    assert {hit.item.kind for hit in videos} == {"video"}
    assert len(videos) == 25


def test_a_cut_off_behind_an_intersection_changes_nothing_but_the_length(index: Index, reference: Path) -> None:
    query = Query(image=reference, text=TEXT)
    for form in ("sum", Intersection(depth=3)):
        whole = index.retriever(k=9, compose=form)
        cut = whole.limited(4)
        assert cut is not None
        (long,), (short,) = (stage.process([Ranking(query=query)]) for stage in (whole, cut))
        assert short.ids == long.ids[:4]


def test_rescoring_by_an_intersection_keeps_every_item_and_vectors_refuse_it(index: Index, reference: Path) -> None:
    query = Query(image=reference, text=TEXT)
    first = index.search(query, k=12)
    rescored = index.rescorer(depth=8, compose="intersection").process([first])[0]
    assert sorted(rescored.ids) == sorted(first.ids)
    assert rescored.ids[8:] == first.ids[8:]
    alone = index.search(Query(image=reference, text=TEXT, among=first.ids[:8]), k=8, compose="intersection")
    assert rescored.ids[:8] == alone.ids
    with pytest.raises(UsageError, match="'intersection' ranks by two vectors"):
        index.query_vectors([query], compose="intersection")


def test_the_caption_is_on_the_record_and_in_the_cost(index: Index, reference: Path) -> None:
    query = Query(id="q", image=reference, text=TEXT)
    found = index.search(query, k=3, compose=Sqaf(captioner=GIVEN))
    assert found.records[0].note == "target caption: the seventh one"
    assert (found.cost.model_calls, found.cost.images_encoded) == (1, 1)
    by_caption = index.search(query, k=3, compose=Caption(captioner=GIVEN))
    assert by_caption.ids == index.search("the seventh one", k=3).ids
    assert index.search(query, k=3, compose=Sum(alpha=1.0)).ids == index.search(TEXT, k=3).ids
    (vector,) = index.query_vectors([query], compose=Sqaf(captioner=GIVEN))
    assert isinstance(vector, tuple)


def test_a_hybrid_search_takes_every_form(index: Index, reference: Path) -> None:
    query = Query(id="q", image=reference, text=TEXT)
    for form in ("intersection", Sqaf(captioner=GIVEN)):
        assert len(index.search(query, k=5, mode="hybrid", compose=form)) == 5


def test_a_wrong_form_is_refused_for_all(index: Index) -> None:
    with pytest.raises(UsageError, match="There is no form 'sideways'"):
        index.search_many([Query(text="a")], compose="sideways")
    with pytest.raises(UsageError, match="'sqaf' needs a model"):
        index.search_many([Query(text="a")], compose="sqaf")
