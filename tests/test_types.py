"""Item, Query, Hit, Ranking, Record, Cost."""

from __future__ import annotations

import pytest
from PIL import Image

from mmrank.errors import UsageError
from mmrank.types import Cost, Hit, Item, Query, Ranking, Record


def item(name: str) -> Item:
    return Item(id=name, kind="text", text=name)


def test_item_refuses_what_a_trec_file_cannot_hold() -> None:
    with pytest.raises(UsageError, match="white space"):
        item("two words")
    with pytest.raises(UsageError, match="white space"):
        item("")


def test_item_refuses_an_unknown_kind_and_names_the_known() -> None:
    with pytest.raises(UsageError, match="text, image, page, video"):
        Item(id="a", kind="sound")  # type: ignore[arg-type]


def test_query_id_is_made_of_its_content() -> None:
    assert Query(text="a").id == Query(text="a").id
    ids = {
        Query(text="a").id,
        Query(text="b").id,
        Query(text="a", image="x.jpg").id,
        Query(text="a", image=b"xx").id,
        Query(text="a", instruction="find").id,
        Query(turns=("a",)).id,
        Query(image=Image.new("RGB", (2, 2), "red")).id,
        Query(image=Image.new("RGB", (2, 2), "blue")).id,
    }
    assert len(ids) == 8
    assert Query(text="a", id="mine").id == "mine"


def test_query_ids_differ_where_the_answer_may() -> None:
    ids = {
        Query(text="a", exclude=("x",)).id,
        Query(text="a", among=("x",)).id,
        Query(text="a", among=()).id,
        Query(text="a").id,
        Query(image="dog.jpg").id,
        Query(turns=("dog.jpg",)).id,
        Query(text="a", turns=("b",)).id,
        Query(text="a", turns=("b", "")).id,
    }
    assert len(ids) == 8


@pytest.mark.parametrize("name", ["exclude", "among", "turns"])
def test_a_text_where_a_tuple_is_meant_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name}=\('t3',\)"):
        Query(text="a", **{name: "t3"})  # type: ignore[arg-type]


def test_query_images_are_a_tuple_whatever_was_given() -> None:
    assert Query(text="a").images == ()
    assert Query(image="x.jpg").images == ("x.jpg",)
    assert Query(image=b"bytes").images == (b"bytes",)
    assert Query(image=["x.jpg", "y.jpg"]).images == ("x.jpg", "y.jpg")


def test_composed_and_empty() -> None:
    assert Query(text="at night", image="x.jpg").composed
    assert not Query(text="at night").composed
    assert Query(text="  ").empty
    assert Query().empty
    assert not Query(turns=("a dog?",)).empty


def test_ranking_counts_ranks_from_one_and_keeps_order() -> None:
    ranking = Ranking(query=Query(text="q"), hits=[Hit(item=item("b"), score=0.1), Hit(item=item("a"), score=0.9)])
    assert [(h.rank, h.item.id) for h in ranking] == [(1, "b"), (2, "a")]
    assert ranking.ids == ("b", "a")


def test_ranking_refuses_an_item_twice() -> None:
    with pytest.raises(UsageError, match="twice"):
        Ranking(query=Query(text="q"), hits=[Hit(item=item("a"), score=1), Hit(item=item("a"), score=2)])


def test_outcome_is_the_worst_record_and_cost_is_their_sum() -> None:
    records = (
        Record(stage="a", cost=Cost(model_calls=2, seconds=0.5)),
        Record(stage="b", status="fell_back", cost=Cost(model_calls=1, tokens_in=7)),
        Record(stage="c", status="repaired"),
    )
    ranking = Ranking(query=Query(text="q"), records=records)
    assert ranking.outcome == "fell_back"
    assert ranking.cost == Cost(model_calls=3, tokens_in=7, seconds=0.5)
    assert Ranking(query=Query(text="q")).outcome == "ok"


def test_rescoring_keeps_the_trace() -> None:
    ranking = Ranking(query=Query(text="q"), hits=[Hit(item=item("a"), score=0.3, stage="vector")])
    hit = ranking.hits[0].rescored(2.0, "judge")
    assert (hit.score, hit.stage) == (2.0, "judge")
    assert [(t.stage, t.score, t.rank) for t in hit.trace] == [("vector", 0.3, 1)]
