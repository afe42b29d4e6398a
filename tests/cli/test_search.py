"""`mmrank search`: tables, JSON, pages, and clear answers to wrong questions."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

KEYS = {"rank", "id", "kind", "uri", "score", "stage", "text", "trace"}


@pytest.fixture
def photo(toy_media: Path) -> Path:
    return toy_media / "photos" / "photo-0003.jpg"


def found(result) -> list[dict]:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["hits"]


def test_json_is_the_contract(run, toy_index: Path) -> None:
    result = run("search", toy_index, "a dog", "-k", 3, "--json")
    answer = json.loads(result.stdout)
    assert set(answer) == {"query", "hits", "outcome", "records", "cost"}
    assert answer["query"]["text"] == "a dog"
    assert answer["outcome"] == "ok"
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    assert all(set(hit) >= KEYS for hit in answer["hits"])
    assert answer["cost"]["seconds"] > 0


def test_a_picture_finds_itself(run, toy_index: Path, photo: Path) -> None:
    hits = found(run("search", toy_index, "--image", photo, "--kind", "image", "--json"))
    assert Path(hits[0]["uri"]) == photo
    assert hits[0]["score"] == pytest.approx(1, abs=1e-3)


def test_a_video_finds_itself(run, toy_index: Path, toy_media: Path) -> None:
    clip = toy_media / "clips" / "clip-0001.mp4"
    hits = found(run("search", toy_index, "--video", clip, "--kind", "video", "--json"))
    assert Path(hits[0]["uri"]) == clip


def test_kinds_and_filters_restrict(run, toy_index: Path) -> None:
    hits = found(run("search", toy_index, "a dog", "--kind", "page", "--kind", "text", "-k", 99, "--json"))
    assert {hit["kind"] for hit in hits} == {"page", "text"}
    assert len(hits) == 4
    hits = found(run("search", toy_index, "a dog", "--where", "name = 'note-0001.md'", "--json"))
    assert [hit["kind"] for hit in hits] == ["text"]


@pytest.mark.parametrize("mode", ["text", "hybrid"])
def test_words_find_the_note_that_holds_them(run, toy_index: Path, toy_media: Path, mode: str) -> None:
    words = (toy_media / "notes" / "note-0002.md").read_text(encoding="utf-8")[:300]
    hits = found(run("search", toy_index, words, "--mode", mode, "--kind", "text", "--json"))
    assert Path(hits[0]["uri"]).name == "note-0002.md"


def test_a_composed_query_takes_a_form(run, toy_index: Path, photo: Path) -> None:
    hits = found(run("search", toy_index, "on red ground", "--image", photo, "--compose", "sum", "--json"))
    assert hits
    result = run("search", toy_index, "on red ground", "--image", photo, "--compose", "nonsense")
    assert result.exit_code == 2
    assert "nonsense" in result.stderr


def test_the_reference_can_be_left_out(run, toy_index: Path, photo: Path) -> None:
    asked = ("search", toy_index, "--image", photo, "--kind", "image", "--json")
    with_it = [hit["uri"] for hit in found(run(*asked))]
    without = [hit["uri"] for hit in found(run(*asked, "--exclude-reference"))]
    assert with_it[0] == str(photo)
    assert str(photo) not in without
    assert without[0] == with_it[1]


@pytest.mark.parametrize("named", [["image,text,sum"], ["image", "text, sum", "text"]])
def test_several_forms_stand_side_by_side(run, toy_index: Path, photo: Path, tmp_path: Path, named: list[str]) -> None:
    forms = [part for name in named for part in ("--compose", name)]
    arguments = ("search", toy_index, "on red ground", "--image", photo, "--kind", "image", "-k", 4, *forms)
    page = tmp_path / "forms.html"
    answer = json.loads(run(*arguments, "--html", page, "--json").stdout)
    assert answer["query"]["text"] == "on red ground"
    assert [one["form"] for one in answer["forms"]] == ["image", "text", "sum"]
    for one in answer["forms"]:
        alone = run(
            "search",
            toy_index,
            "on red ground",
            "--image",
            photo,
            "--kind",
            "image",
            "-k",
            4,
            "--compose",
            one["form"],
            "--json",
        )
        assert [hit["id"] for hit in one["hits"]] == [hit["id"] for hit in found(alone)]
        assert set(one) == {"form", "hits", "outcome", "records", "cost"}
    text = page.read_text(encoding="utf-8")
    assert [text.count(part) for part in ("<section", "<h3>", "<img ", "the picture alone")] == [1, 3, 1 + 12, 1]
    result = run(*arguments)
    heading, _, *rows = result.stdout.splitlines()
    assert heading.split() == ["rank", "image", "text", "sum"]
    names = [[Path(one["hits"][place]["uri"]).name for one in answer["forms"]] for place in range(4)]
    assert [[cell for cell in row.split() if cell.endswith(".jpg")] for row in rows] == names
    assert "4 hits in each of 3 forms, in" in result.stderr


def test_a_form_that_is_wrong_among_several_is_2(run, toy_index: Path, photo: Path) -> None:
    for named, said in (("image,nonsense", "nonsense"), ("image,,text", "names no form"), ("image,sqaf", "sqaf@MODEL")):
        result = run("search", toy_index, "on red ground", "--image", photo, "--compose", named)
        assert result.exit_code == 2
        assert said in result.stderr


def test_the_table_has_a_row_a_hit(run, toy_index: Path) -> None:
    result = run("search", toy_index, "a dog", "-k", 99)
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if line.lstrip()[:1].isdigit()]
    assert len(rows) == 13
    assert "field-report-2020.pdf  page 1" in result.stdout
    assert "13 hits in" in result.stderr


class _Images(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.sources.append(dict(attrs)["src"] or "")


def test_the_page_carries_its_pictures(run, toy_index: Path, photo: Path, tmp_path: Path) -> None:
    page = tmp_path / "hits.html"
    result = run("search", toy_index, "a <b>dog</b>", "--image", photo, "-k", 99, "--html", page, "--json")
    hits = found(result)
    assert f"Wrote {page}" in result.stderr
    text = page.read_text(encoding="utf-8")
    assert "a &lt;b&gt;dog&lt;/b&gt;" in text
    assert "<b>dog" not in text
    images = _Images()
    images.feed(text)
    assert len(images.sources) == 1 + sum(hit["kind"] != "text" for hit in hits)
    assert all(source.startswith("data:image/jpeg;base64,") for source in images.sources)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Nothing to search for"),
        (["   "], "Nothing to search for"),
        (["--image", "gone.jpg"], "no file gone.jpg"),
        (["a dog", "--where", "name ="], "The filter 'name =' cannot be used"),
        (["a dog", "--where", "colour = 'red'"], "columns"),
        (["a dog", "--mode", "magic"], "magic"),
        (["a dog", "--kind", "photo"], "photo"),
        (["a dog", "--html", "."], "is a folder"),
        (["a dog", "--html", "gone/x.html"], "does not exist"),
        (["a dog", "--device", "abacus"], "abacus"),
    ],
)
def test_wrong_usage_is_2(run, toy_index: Path, arguments: list[str], said: str) -> None:
    result = run("search", toy_index, *arguments)
    assert result.exit_code == 2, result.stderr
    assert said in " ".join(result.stderr.replace("│", "").split())
    assert result.stdout == ""


def test_what_is_not_an_index_is_1_and_says_how_to_make_one(run, tmp_path: Path) -> None:
    result = run("search", tmp_path / "gone", "a dog", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "mmrank index PATH..." in result.stderr


def test_a_picture_that_cannot_be_read_is_1(run, toy_index: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    result = run("search", toy_index, "--image", tmp_path / "broken.jpg")
    assert result.exit_code == 1
    assert "broken.jpg" in result.stderr
