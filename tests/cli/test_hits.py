"""Hits in tables and in JSON."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mmrank.cli.hits import asked, hits_table, ranking_json, score_text
from mmrank.cli.places import name_and_place
from mmrank.types import Hit, Item, Query, Ranking


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("/a/b/report.pdf#page=12", ("report.pdf", "page 12")),
        ("clip.mp4#t=10,20", ("clip.mp4", "0:10 to 0:20")),
        ("clip.mp4#t=3661.25,", ("clip.mp4", "61:01.2 to the end")),
        ("notes.md#chunk=3", ("notes.md", "part 3")),
        ("table.csv#row=7", ("table.csv", "row 7")),
        ("/music/C# notes.md", ("C# notes.md", "")),
        ("https://example.org/a/cat.jpg", ("cat.jpg", "")),
        ("file:///tmp/caf%C3%A9.jpg", ("café.jpg", "")),
        ("clip.mp4#t=9,3", ("clip.mp4#t=9,3", "")),
    ],
)
def test_name_and_place(uri: str, shown: tuple[str, str]) -> None:
    assert name_and_place(Item(id="x", kind="image", uri=uri)) == shown


def test_an_item_without_uri_goes_by_its_id() -> None:
    assert name_and_place(Item(id="row-7", kind="text", text="a")) == ("row-7", "")


@pytest.mark.parametrize(("score", "text"), [(0, "0.000"), (0.31, "0.310"), (-12.345, "-12.35"), (0.0161, "0.0161")])
def test_scores_show_the_digits_that_matter(score: float, text: str) -> None:
    assert score_text(score) == text


def test_a_query_in_a_few_words() -> None:
    assert asked(Query(text="at\n night", image=["/x/ref.jpg", b"123"])) == "ref.jpg + an image + “at night”"


@given(
    names=st.lists(st.text(st.characters(exclude_characters="/\\"), min_size=1, max_size=80), max_size=5),
    width=st.integers(50, 160),
    ticks=st.booleans(),
)
def test_tables_fit_the_width_and_never_lose_rank_score_or_kind(names: list[str], width: int, ticks: bool) -> None:
    hits = [
        Hit(item=Item(id=str(number), kind="video", uri=f"/v/{name}.mp4#t=10,20", text=name), score=0.123)
        for number, name in enumerate(names)
    ]
    ranking = Ranking(query=Query(text="q"), hits=hits)
    console = Console(width=width, record=True, file=io.StringIO())
    table = hits_table(ranking, width=width, right=frozenset("0") if ticks else None)
    assert console.measure(table).maximum <= width
    console.print(table)
    lines = console.export_text().splitlines()
    assert sum("0.123  video" in line for line in lines) == len(names)


def test_json_of_a_ranking_is_the_contract(ranking: Ranking) -> None:
    got = json.loads(json.dumps(ranking_json(ranking)))
    assert set(got) == {"query", "hits", "outcome", "records", "cost"}
    assert got["outcome"] == "fell_back"
    assert got["cost"]["seconds"] == pytest.approx(0.1)
    for number, hit in enumerate(got["hits"], 1):
        assert {"rank", "id", "kind", "uri", "score", "stage", "text", "trace"} <= set(hit)
        assert hit["rank"] == number
        assert {"stage", "score"} <= set(hit["trace"][0])
    assert got["hits"][0]["meta"] == {"year": 2024}
    assert got["hits"][1]["parent"] == "report"


def test_json_of_a_query_holds_no_pixels() -> None:
    query = ranking_json(Ranking(query=Query(text="a", image=["ref.jpg", b"12345"])))["query"]
    assert query["images"] == ["ref.jpg", "5 bytes"]
    assert "video" not in query
