"""The page that `mmrank search --html` writes: one file, nothing loaded from anywhere, any number of searches.

Everything that comes from a collection (names, captions, metadata) is a stranger's text: it is escaped, links go
only to files and http addresses, and a content security policy forbids scripts and requests altogether.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path

from mmrank import __version__
from mmrank.cli.hits import asked, name_and_place, score_text
from mmrank.cli.output import count, duration, one_line, printable, shorten_middle
from mmrank.errors import MediaError
from mmrank.media.uri import split_uri
from mmrank.types import Hit, Item, Query, Ranking

QUOTE = 400
"""Characters of a text shown as a quotation: what fits the picture's place on a wide card."""

CAPTION = 160
"""Characters of a caption below a picture: two lines."""

NAME = 52
"""Characters of a file name below a picture: two lines."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One search on the page.

    `thumbnails`: picture bytes (JPEG, PNG, WebP, GIF) by item id. `pictures`: the query's own, in order.
    `label`: what the search shows, above the query. `conditions`: filter, mode and the like, in words.
    `right`: ids known to be right, or None where nobody knows. `seconds`: how long the search took.
    """

    ranking: Ranking
    thumbnails: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    pictures: Sequence[bytes] = field(default=(), repr=False)
    label: str = ""
    conditions: Sequence[str] = ()
    right: frozenset[str] | None = None
    seconds: float | None = None

    @property
    def found(self) -> bool | None:
        """Whether the first hit is right; None where nobody knows."""
        if self.right is None:
            return None
        return bool(self.ranking.hits) and self.ranking.hits[0].item.id in self.right


def results_page(searches: Sequence[Shown], *, title: str, intro: str = "") -> str:
    """The whole page as text, to be written as UTF-8.

    >>> page = results_page([], title="<b>")
    >>> "<title>&lt;b&gt;</title>" in page
    True
    """
    several = len(searches) > 1
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{_text(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>",
            *(_header(searches, title, intro) if several or intro else ()),
            "<main>",
            *(part for number, shown in enumerate(searches, 1) for part in _section(shown, number)),
            f"</main>\n{_footer()}\n</body>\n</html>\n",
        ]
    )


@cache
def _style() -> str:
    return resources.files("mmrank.cli").joinpath("page", "results.css").read_text(encoding="utf-8")


def _text(value: str) -> str:
    """A stranger's text, safe inside an element or a quoted attribute."""
    return escape(printable(value), quote=True)


def _header(searches: Sequence[Shown], title: str, intro: str) -> Iterator[str]:
    yield f"<header>\n<h1>{_text(title)}</h1>"
    if intro:
        yield f"<p>{_text(intro)}</p>"
    if len(searches) > 1:
        yield '<nav aria-label="Searches on this page">\n<ol>'
        for number, shown in enumerate(searches, 1):
            yield f'<li><a href="#search-{number}">{_text(asked(shown.ranking.query))}</a>{_tick(shown)}</li>'
        yield "</ol>\n</nav>"
    yield "</header>"


def _tick(shown: Shown) -> str:
    if shown.found is None:
        return ""
    if shown.found:
        return '<span class="tick" title="the first hit is right">✓</span>'
    return '<span class="miss" title="the first hit is not the right one">·</span>'


def _section(shown: Shown, number: int) -> Iterator[str]:
    ranking = shown.ranking
    yield f'<section id="search-{number}" aria-labelledby="query-{number}">\n<div class="query">'
    if shown.pictures:
        yield "<figure>"
        for position, picture in enumerate(shown.pictures, 1):
            yield f'<img src="{_data_uri(picture)}" alt="picture {position} of the query">'
        yield "</figure>"
    yield "<div>"
    if shown.label:
        yield f'<p class="label">{_text(shown.label)}</p>'
    yield f'<h2 id="query-{number}">{_text(_heading(ranking.query))}</h2>'
    yield '<ul class="facts">'
    yield from (f"<li>{_text(fact)}</li>" for fact in _facts(shown))
    yield from (f'<li class="trouble">{_text(trouble)}</li>' for trouble in _troubles(ranking))
    yield "</ul>\n</div>\n</div>"
    if not ranking.hits:
        yield '<p class="none">Nothing was found. A filter or a kind may leave nothing to search.</p>'
    else:
        yield '<ol class="hits">'
        for hit in ranking.hits:
            yield from _card(hit, shown)
        yield "</ol>"
    yield "</section>"


def _heading(query: Query) -> str:
    """The words asked; of a query without words, what was shown instead."""
    words = " ".join(part for part in (query.text, *query.turns) if part)
    if words:
        return f"“{one_line(words)}”"
    return f"Like {asked(query)}"


def _facts(shown: Shown) -> Iterator[str]:
    if shown.ranking.query.composed:
        yield f"reference: {asked(Query(image=shown.ranking.query.image, video=shown.ranking.query.video))}"
    yield from shown.conditions
    took = f" in {duration(shown.seconds)}" if shown.seconds is not None else ""
    yield f"{count(len(shown.ranking), 'hit')}{took}"


def _troubles(ranking: Ranking) -> Iterator[str]:
    for record in ranking.records:
        if record.status != "ok":
            yield f"{record.stage}: {record.status}" + (f" ({record.error})" if record.error else "")


def _card(hit: Hit, shown: Shown) -> Iterator[str]:
    item = hit.item
    right = shown.right is not None and item.id in shown.right
    name, place = name_and_place(item)
    yield f'<li class="hit kind-{item.kind}{" right" if right else ""}">\n<div class="well">'
    yield f'<span class="rank"><span aria-label="rank {hit.rank}">{hit.rank}</span></span>'
    if right:
        yield '<span class="mark" role="img" aria-label="known to be right" title="known to be right">✓</span>'
    yield _picture(item, shown.thumbnails.get(item.id), name, place)
    if place and item.kind != "text":
        yield f'<span class="span">{_text(place)}</span>'
    yield f'</div>\n<div class="words">\n<p class="name">{_link(item, name)}</p>'
    if place and item.kind == "text":
        yield f'<p class="place">{_text(place)}</p>'
    caption = one_line(item.text or "")
    if caption and item.kind != "text":
        yield f'<p class="text" title="{_text(_cut(caption, QUOTE))}">{_text(_cut(caption, CAPTION))}</p>'
    stage = f" <span>{_text(hit.stage)}</span>" if hit.stage else ""
    yield f'<p class="score">{score_text(hit.score)}{stage}</p>'
    yield from (f'<p class="trace">{_text(line)}</p>' for line in _history(hit))
    yield "</div>\n</li>"


def _picture(item: Item, picture: bytes | None, name: str, place: str) -> str:
    if item.kind == "text":
        return f"<blockquote>{_text(_cut(one_line(item.text or ''), QUOTE))}</blockquote>"
    if picture is None:
        return f'<span class="nothing">no thumbnail of this {item.kind}</span>'
    words = _cut(one_line(item.text or ""), CAPTION) if item.kind != "page" else ""
    what = {"image": "image", "page": "document page", "video": "frame of the video"}[item.kind]
    described = ", ".join(part for part in (f"{what} {name}", place, words) if part)
    return f'<img src="{_data_uri(picture)}" alt="{_text(described)}" loading="lazy">'


def _history(hit: Hit) -> Iterator[str]:
    """Where the hit stood before, and which lists it came from."""
    if hit.trace:
        yield "before: " + " → ".join(f"{t.stage} {score_text(t.score)} (rank {t.rank})" for t in hit.trace)
    if len(hit.sources) > 1:
        yield "from: " + " · ".join(f"{s.name} rank {s.rank} ({score_text(s.score)})" for s in hit.sources)


def _link(item: Item, name: str) -> str:
    address, short = link_address(item), _text(shorten_middle(name, NAME))
    return f'<a href="{_text(address)}">{short}</a>' if address else short


def link_address(item: Item) -> str | None:
    """Where a browser finds the item: an http(s) or file address, or None for anything else.

    A collection may name any uri: what is no web address is taken as a path, so ``javascript:`` and its like
    become the name of a file that is not there.
    """
    if not item.uri:
        return None
    if item.uri.lower().startswith(("http://", "https://")):
        return item.uri
    try:
        where = split_uri(item.uri)
        return Path(where.path).absolute().as_uri() + (f"#{where.fragment}" if where.fragment else "")
    except (MediaError, ValueError):
        return None


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def _data_uri(picture: bytes) -> str:
    return f"data:{_media_type(picture)};base64,{base64.b64encode(picture).decode('ascii')}"


def _media_type(picture: bytes) -> str:
    """The type by the first bytes; thumbnails are JPEG unless they say otherwise."""
    if picture.startswith(b"\x89PNG"):
        return "image/png"
    if picture.startswith(b"GIF8"):
        return "image/gif"
    if picture[8:12] == b"WEBP":
        return "image/webp"
    return "image/jpeg"


def _footer() -> str:
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return f"<footer>Written by mmrank {escape(__version__)} on {now}. This page loads nothing from anywhere.</footer>"
