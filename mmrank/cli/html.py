"""The page that `mmrank search --html` writes: one file, nothing loaded from anywhere, any number of searches.

Everything that comes from a collection (names, captions, metadata) is a stranger's text: it is escaped, links go
only to files and http addresses, and a content security policy forbids scripts and requests altogether.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from html import escape
from importlib import resources
from typing import TypeAlias

from mmrank import __version__
from mmrank.cli.hits import asked
from mmrank.cli.html_card import card, data_uri, escaped
from mmrank.cli.html_shown import Shown, SideBySide
from mmrank.cli.output import count, duration, one_line
from mmrank.types import Query, Ranking

Search: TypeAlias = Shown | SideBySide

COLUMN = 290
"""Pixels of a column at most: cards grow no larger than in a list of its own."""

NOTHING = '<p class="none">Nothing was found. A filter or a kind may leave nothing to search.</p>'

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def results_page(searches: Sequence[Search], *, title: str, intro: str = "") -> str:
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
            f"<title>{escaped(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>",
            *(_header(searches, title, intro) if several or intro else ()),
            "<main>",
            *(part for number, shown in enumerate(searches, 1) for part in _section(shown, number)),
            f"</main>\n{_footer()}\n</body>\n</html>\n",
        ]
    )


@cache
def _style() -> str:
    return resources.files("mmrank.cli").joinpath("page", "results.css").read_text(encoding="utf-8")


def _header(searches: Sequence[Search], title: str, intro: str) -> Iterator[str]:
    yield f"<header>\n<h1>{escaped(title)}</h1>"
    if intro:
        yield f"<p>{escaped(intro)}</p>"
    if len(searches) > 1:
        yield '<nav aria-label="Searches on this page">\n<ol>'
        for number, shown in enumerate(searches, 1):
            yield f'<li><a href="#search-{number}">{escaped(asked(shown.query))}</a>{_tick(shown)}</li>'
        yield "</ol>\n</nav>"
    yield "</header>"


def _tick(shown: Search) -> str:
    if shown.found is None:
        return ""
    if shown.found:
        return '<span class="tick" title="the first hit is right">✓</span>'
    return '<span class="miss" title="the first hit is not the right one">·</span>'


def _section(shown: Search, number: int) -> Iterator[str]:
    yield f'<section id="search-{number}" aria-labelledby="query-{number}">\n<div class="query">'
    if shown.pictures:
        yield "<figure>"
        for position, picture in enumerate(shown.pictures, 1):
            yield f'<img src="{data_uri(picture)}" alt="picture {position} of the query">'
        yield "</figure>"
    yield "<div>"
    if shown.label:
        yield f'<p class="label">{escaped(shown.label)}</p>'
    yield f'<h2 id="query-{number}">{escaped(_heading(shown.query))}</h2>'
    yield '<ul class="facts">'
    yield from (f"<li>{escaped(fact)}</li>" for fact in _facts(shown))
    if isinstance(shown, Shown):
        yield from _troubles(shown.ranking)
    yield "</ul>\n</div>\n</div>"
    if isinstance(shown, Shown):
        yield from _hits(shown)
    else:
        yield f'<div class="columns" style="max-width: {COLUMN * len(shown.columns)}px">'
        for column in shown.columns:
            yield from _column(column)
        yield "</div>"
    yield "</section>"


def _hits(shown: Shown) -> Iterator[str]:
    if not shown.ranking.hits:
        yield NOTHING
        return
    yield '<ol class="hits">'
    for hit in shown.ranking.hits:
        yield from card(hit, shown)
    yield "</ol>"


def _column(shown: Shown) -> Iterator[str]:
    """One of several lists for the same query: its name, what it is in small print, its hits."""
    yield f'<div class="column">\n<h3>{escaped(shown.label)}{_tick(shown)}</h3>'
    yield f'<p class="small">{"<br>".join(map(escaped, shown.conditions))}</p>'
    troubles = list(_troubles(shown.ranking))
    if troubles:
        yield from ('<ul class="facts">', *troubles, "</ul>")
    yield from _hits(shown)
    yield "</div>"


def _heading(query: Query) -> str:
    """The words asked; of a query without words, what was shown instead."""
    words = " ".join(part for part in (query.text, *query.turns) if part)
    if words:
        return f"“{one_line(words)}”"
    return f"Like {asked(query)}"


def _facts(shown: Search) -> Iterator[str]:
    if shown.query.composed:
        yield f"reference: {asked(Query(image=shown.query.image, video=shown.query.video))}"
    yield from shown.conditions
    if isinstance(shown, Shown):
        took = f" in {duration(shown.seconds)}" if shown.seconds is not None else ""
        yield f"{count(len(shown.ranking), 'hit')}{took}"


def _troubles(ranking: Ranking) -> Iterator[str]:
    for record in ranking.records:
        if record.status != "ok":
            said = f"{record.stage}: {record.status}" + (f" ({record.error})" if record.error else "")
            yield f'<li class="trouble">{escaped(said)}</li>'


def _footer() -> str:
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return f"<footer>Written by mmrank {escape(__version__)} on {now}. This page loads nothing from anywhere.</footer>"
