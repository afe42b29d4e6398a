"""Retriever and Rescorer in pipelines: filled, cut, rescored; nothing lost; they print as what makes them."""

from __future__ import annotations

import runpy
import time
from functools import cache
from pathlib import Path

import pytest

from mmrank.errors import UsageError
from mmrank.index.index import Index
from mmrank.index.stages import Rescorer, Retriever
from mmrank.types import Hit, Item, Query, Ranking

_GIVEN = runpy.run_path(str(Path(__file__).with_name("given.py")))
new_store, put, random_rows, WordHashEmbedder = (
    _GIVEN[n] for n in ("new_store", "put", "random_rows", "WordHashEmbedder")
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    store = new_store(tmp_path_factory.mktemp("stages") / "photos")
    put(store, random_rows(60))
    return Index(store, WordHashEmbedder())


def test_a_retriever_searches_a_batch(index: Index) -> None:
    rankings = index.retriever(k=7).run(["red ones", Query(text="green ones", exclude=("i1",))])
    assert [r.ids for r in rankings] == [
        index.search("red ones", k=7).ids,
        index.search(Query(text="green ones", exclude=("i1",)), k=7).ids,
    ]
    assert [r.records[-1].stage for r in rankings] == ["vector", "vector"]
    assert rankings[0].cost.model_calls == 1


def test_a_cut_is_pushed_into_the_search_and_changes_nothing(index: Index) -> None:
    for mode in ("vector", "text", "hybrid"):
        whole = index.retriever(k=50, mode=mode)  # type: ignore[arg-type]
        pipeline = whole % 5
        assert pipeline.pushed_down().stages[0].k == 5  # type: ignore[attr-defined]
        assert pipeline("number 3 of the red ones").ids == whole("number 3 of the red ones").ids[:5]
    retriever = index.retriever(k=5)
    assert retriever.limited(9) is retriever


def test_stages_print_as_the_expression_and_compare_by_it(index: Index) -> None:
    assert repr(index.retriever(k=100)) == "index('photos').retriever(k=100)"
    assert repr(index.retriever(3, mode="text", where="a = 1", kinds=["page"])) == (
        "index('photos').retriever(k=3, where='a = 1', mode='text', kinds=('page',))"
    )
    assert repr(index.retriever(9) % 5 >> index.rescorer(depth=2)) == (
        "index('photos').retriever(k=9) % 5 >> index('photos').rescorer(depth=2)"
    )
    assert index.retriever(3) == Retriever(index=index, k=3)
    assert index.retriever(3) != index.retriever(4)
    assert hash(index.rescorer(2)) == hash(Rescorer(index=index, depth=2))


def ranking_of(ids: list[str], text: str = "number 4 of the green ones") -> Ranking:
    hits = [Hit(item=Item(id=i, kind="image"), score=1.0 - n / 100, stage="given") for n, i in enumerate(ids)]
    return Ranking(query=Query(text=text, exclude=("i9",)), hits=hits)


def test_a_rescorer_orders_the_head_by_its_vectors_and_leaves_the_tail(index: Index) -> None:
    given = ranking_of([f"i{i}" for i in range(12)])
    out = index.rescorer(depth=8).process([given])[0]
    asked = Query(text=given.query.text, among=tuple(f"i{i}" for i in range(8)))
    assert out.ids == (*index.search(asked, k=8).ids, "i8", "i9", "i10", "i11")
    head, tail = out.hits[:8], out.hits[8:]
    assert {h.stage for h in head} == {"rescorer"}
    assert [h.score for h in head] == [h.score for h in index.search(asked, k=8)]
    assert [(t.stage, t.rank) for t in head[0].trace] == [("given", given.ids.index(head[0].id) + 1)]
    assert [h.stage for h in tail] == ["given"] * 4
    assert out.query == given.query


def test_items_of_another_index_stay_in_order_behind_and_the_record_says_so(index: Index) -> None:
    out = index.rescorer().process([ranking_of(["x", "i3", "y", "i2"])])[0]
    assert set(out.ids[:2]) == {"i2", "i3"}
    assert out.ids[2:] == ("x", "y")
    assert (out.outcome, out.records[-1].error) == (
        "repaired",
        "2 of 4 hits are not in this index; they stand behind the scored ones.",
    )
    lost = index.rescorer().process([ranking_of(["x", "y"])])[0]
    assert (lost.ids, lost.outcome) == (("x", "y"), "fell_back")


def test_a_query_that_cannot_be_asked_keeps_its_order(index: Index, tmp_path: Path) -> None:
    broken = Ranking(query=Query(image=str(tmp_path / "gone.jpg")), hits=ranking_of(["i2", "i1"]).hits)
    good = ranking_of(["i2", "i1", "i4"])
    first, second, empty = index.rescorer().process([broken, good, Ranking(query=Query(text="a"))])
    assert (first.ids, first.outcome) == (("i2", "i1"), "fell_back")
    assert "gone.jpg" in str(first.records[-1].error)
    assert second.outcome == "ok"
    assert len(empty) == 0


def test_wrong_numbers_are_refused(index: Index) -> None:
    for call in (lambda: index.retriever(k=0), lambda: index.rescorer(depth=0)):
        with pytest.raises(UsageError):
            call()


def test_a_rescorer_tells_what_its_scores_cost_and_takes_whole_depths_only(index: Index) -> None:
    ranking = (index.retriever(k=9, mode="text") >> index.rescorer(depth=4))("number 3 of the red ones")
    assert ranking.records[-1].stage == "rescorer"
    assert ranking.records[-1].cost.model_calls == 1
    assert ranking.records[-1].cost.seconds > 0
    for depth in (2.5, 0, True, "3"):
        with pytest.raises(UsageError, match="depth"):
            index.rescorer(depth=depth)  # type: ignore[arg-type]


def test_loading_the_model_is_not_the_rescorers_cost(index: Index) -> None:
    @cache
    def slow() -> object:
        time.sleep(0.4)
        return WordHashEmbedder()

    late = Index(index._store, WordHashEmbedder())
    late.searcher._embedder = slow  # type: ignore[assignment]
    found = index.search("number 3 of the red ones", k=4)
    assert late.rescorer().process([found])[0].records[-1].cost.seconds < 0.4
