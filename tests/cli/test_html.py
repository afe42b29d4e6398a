"""The page: whole, self-contained, and deaf to what strangers write into their files' names."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.cli.html import results_page
from mmrank.cli.html_card import link_address
from mmrank.cli.html_shown import Shown, SideBySide
from mmrank.types import Hit, Item, Query, Ranking

VOID = {"meta", "img", "link", "br", "hr", "input", "base"}
LOADING = {"src", "srcset", "background", "poster", "data", "action", "formaction", "ping"}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Reads a page strictly enough to see whether its elements close, and notes what it would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def loads_nothing(page: Page) -> None:
    """No script, no frame, no style sheet; everything that is loaded is inside the page."""
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "link", "form", "base", "video"}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in LOADING & set(attributes):
            assert (attributes[name] or "").startswith("data:image/")


def shown(ranking: Ranking, picture: bytes, **more: object) -> Shown:
    thumbnails = {hit.id: picture for hit in ranking if hit.item.kind != "text"}
    return Shown(ranking=ranking, thumbnails=thumbnails, **more)  # type: ignore[arg-type]


def test_the_page_parses_and_loads_nothing(ranking: Ranking, picture: bytes) -> None:
    text = results_page([shown(ranking, picture, pictures=[picture]), shown(ranking, picture)], title="t", intro="i")
    page = Page(text)
    loads_nothing(page)
    assert len(page.of("section")) == 2
    assert len(page.of("img")) == 3 + 3 + 1
    assert all(attributes.get("alt") for attributes in page.of("img"))
    assert "url(" not in text
    assert "@import" not in text
    policy = next(a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:")


def test_ids_on_the_page_are_unique_and_the_links_to_them_lead_somewhere(ranking: Ranking, picture: bytes) -> None:
    page = Page(results_page([shown(ranking, picture)] * 3, title="t"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = [a["href"] for a in page.of("a") if (a["href"] or "").startswith("#")]
    assert len(inner) == 3
    assert {(href or "")[1:] for href in inner} <= set(ids)


def test_a_hit_shows_what_it_is_and_where_it_came_from(ranking: Ranking, picture: bytes) -> None:
    page = Page(results_page([shown(ranking, picture, right=frozenset("b"), seconds=0.02)], title="t"))
    words = " ".join(page.words)
    for expected in (
        "“a dog”",
        "page 3",
        "1:05 to 1:10.5",
        "part 2",
        "We met a dog.",
        "0.300",
        "judge",
        "4 hits in 20 ms",
    ):
        assert expected in words
    assert "before: vector 0.200 (rank 2)" in words
    assert "from: x rank 1 (0.300) · y rank 2 (0.100)" in words
    assert "judge: fell_back (late)" in words
    assert sum(attributes.get("aria-label") == "known to be right" for attributes in page.of("span")) == 1


def test_markup_in_names_and_texts_stays_text(picture: bytes) -> None:
    items = [
        Item(id=f"i{n}", kind=kind, uri=f"/{EVIL}.jpg", text=EVIL) for n, kind in enumerate(("image", "text", "page"))
    ]
    hits = [Hit(item=item, score=1.0, stage=EVIL) for item in items]
    ranking = Ranking(query=Query(text=EVIL), hits=hits)
    thumbnails = {item.id: picture for item in items}
    one = Shown(ranking=ranking, thumbnails=thumbnails, label=EVIL, conditions=[EVIL])
    page = Page(results_page([one, one], title=EVIL, intro=EVIL))
    loads_nothing(page)
    assert any("<script>" in word for word in page.words)


@given(text=st.text(st.characters(codec=None, exclude_categories=()), max_size=40))
def test_any_text_gives_a_page_that_parses_and_can_be_written(text: str) -> None:
    item = Item(id="x", kind="text", uri=text or None, text=text)
    ranking = Ranking(query=Query(text=text), hits=[Hit(item=item, score=0.1)])
    page = results_page([Shown(ranking=ranking, label=text)], title=text)
    page.encode("utf-8")
    loads_nothing(Page(page))


def test_only_files_and_web_addresses_are_linked(tmp_path: Path) -> None:
    def link(uri: str | None) -> str | None:
        return link_address(Item(id="x", kind="image", uri=uri))

    assert link(None) is None
    assert link("https://example.org/a.jpg") == "https://example.org/a.jpg"
    assert link(f"{tmp_path}/a b.pdf#page=3") == f"{(tmp_path / 'a b.pdf').as_uri()}#page=3"
    assert link("s3://bucket/a.jpg") is None
    for address in ("javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x"):
        assert (link(address) or "").startswith("file:///")


def test_a_missing_thumbnail_is_said_not_faked(ranking: Ranking) -> None:
    page = Page(results_page([Shown(ranking=ranking)], title="t"))
    assert not page.of("img")
    assert "no thumbnail of this image" in " ".join(page.words)


def test_a_search_without_hits_says_so() -> None:
    page = Page(results_page([Shown(ranking=Ranking(query=Query(text="x")))], title="t"))
    assert any("Nothing was found" in word for word in page.words)


@pytest.mark.parametrize(
    ("first_bytes", "media_type"),
    [(b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n", "png"), (b"GIF89a", "gif"), (b"RIFF\0\0\0\0WEBP", "webp")],
)
def test_pictures_are_called_what_they_are(ranking: Ranking, first_bytes: bytes, media_type: str) -> None:
    page = Page(results_page([Shown(ranking=ranking, thumbnails={"a": first_bytes})], title="t"))
    assert (page.of("img")[0]["src"] or "").startswith(f"data:image/{media_type};base64,")


def test_lists_of_one_query_stand_side_by_side(ranking: Ranking, picture: bytes) -> None:
    """The query's pictures once, a heading and small print for each list, its own troubles in its column."""
    best = ranking.hits[0].item.id
    columns = [
        shown(ranking, picture, pictures=[picture], label="image", conditions=["the picture alone"]),
        shown(ranking, picture, pictures=[picture], label=EVIL, right=frozenset([best])),
        shown(Ranking(query=ranking.query), picture, pictures=[picture], label="empty"),
    ]
    page = Page(results_page([SideBySide(columns=columns, conditions=["3 forms"])], title="t"))
    loads_nothing(page)
    assert len(page.of("section")) == 1
    assert len(page.of("h3")) == 3
    assert len(page.of("img")) == 1 + 3 + 3
    words = " ".join(page.words)
    assert words.count("the picture alone") == words.count("3 forms") == 1
    assert words.count("judge: fell_back (late)") == 2
    assert "Nothing was found" in words
    assert sum(attributes.get("title") == "the first hit is right" for attributes in page.of("span")) == 1
