"""A hit as people read it, in a table, and as programs do (JSON)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from mmrank.cli.folded import behind, folded_json
from mmrank.cli.output import one_line, printable, shorten_end, shorten_middle
from mmrank.cli.places import last_part, name_and_place
from mmrank.media.uri import printable as show_path
from mmrank.types import Hit, ImageSource, Query, Ranking

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

MIN_NAME = 16
"""Columns that name and place keep even in a narrow terminal."""

MIN_WORDS = 12
"""Fewer columns than this say nothing about a text: the column is left out."""


def score_text(score: float) -> str:
    """A score with about three digits that tell hits apart.

    >>> score_text(0.28374), score_text(12.5), score_text(0.0161), score_text(-3.2e-6)
    ('0.284', '12.50', '0.0161', '-3.2e-06')
    """
    size = abs(score)
    if size >= 1:
        return f"{score:.2f}"
    if size >= 0.1 or size == 0:
        return f"{score:.3f}"
    return f"{score:.4f}" if size >= 0.0005 else f"{score:.1e}"


def hits_table(
    ranking: Ranking, *, width: int, limit: int | None = None, right: frozenset[str] | None = None, title: str = ""
) -> Table:
    """Rank, score, kind, where and words of each hit, in a table that fits `width` columns. A hit that no stage has
    scored has a dash.

    `right`: ids known to be right; given, each hit has a tick or a dot.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from mmrank.rerank.base import GIVEN

    hits = ranking.hits[:limit]
    # one blank after each cell and one between columns: a gap of two, and nothing at the edges
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.title, table.title_justify = title or None, "left"
    headings = [*([""] if right is not None else []), "rank", "score", "kind", "where"]
    scores = ["-" if hit.stage == GIVEN else score_text(hit.score) for hit in hits]
    widest = {"rank": 4, "score": max(map(len, ["score", *scores])), "kind": 5}
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in ("rank", "score") else "left"
        table.add_column(heading, justify=justify, no_wrap=True, min_width=widest.get(heading))
    places = [name_and_place(hit.item) for hit in hits]
    # tick, rank, score and kind, each with its gap
    spent = (3 if right is not None else 0) + sum(widest.values()) + 6
    room = max(MIN_NAME, (width - spent) * 3 // 5)
    wheres = [_where(name, place, room) for name, place in places]
    behinds = [_behind(hit, room) for hit in hits]
    words_room = width - spent - max((cell.cell_len for cell in (*wheres, *behinds) if cell), default=5) - 4
    with_words = words_room >= MIN_WORDS and any(hit.item.text for hit in hits)
    if with_words:
        table.add_column("text", no_wrap=True)
    for hit, score, where, more in zip(hits, scores, wheres, behinds, strict=True):
        cells: list[str | Text] = [str(hit.rank), score, hit.item.kind, where]
        if right is not None:
            cells.insert(0, Text("✓", style="bold green") if hit.item.id in right else Text("·", style="dim"))
        if with_words:
            cells.append(Text(shorten_end(one_line(hit.item.text or ""), words_room), style="dim"))
        table.add_row(*cells)
        if more is not None:
            table.add_row(*[""] * (len(headings) - 1), more)
    return table


def _behind(hit: Hit, room: int) -> Text | None:
    """What is folded behind a hit, for a line below it, in at most `room` columns."""
    from rich.text import Text

    told = "; ".join(map(str, behind(hit)))
    return Text(shorten_end(f"and {told}", room), style="dim") if told else None


def _where(name: str, place: str, room: int) -> Text:
    """Name and place in at most `room` columns; the name gives way first."""
    from rich.text import Text

    where = Text(shorten_middle(name, max(MIN_NAME // 2, room - len(place) - 2 if place else room)))
    if place:
        where.append(f"  {place}", style="dim")
    return where


def ranking_json(ranking: Ranking) -> dict[str, Any]:
    """The JSON of `search`: query, hits, outcome, records, cost. Images given as bytes or pixels are only counted."""
    return {
        "query": query_json(ranking.query),
        "hits": [hit_json(hit) for hit in ranking.hits],
        "outcome": ranking.outcome,
        "records": [asdict(record) for record in ranking.records],
        "cost": asdict(ranking.cost),
    }


def query_json(query: Query) -> dict[str, Any]:
    """What was asked, without what was not."""
    said: dict[str, Any] = {
        "id": query.id,
        "text": query.text,
        "images": [_image_name(image) for image in query.images],
        "video": str(query.video) if query.video else None,
        "instruction": query.instruction,
        "exclude": query.exclude,
        "among": query.among,
        "turns": query.turns,
    }
    return {key: value for key, value in said.items() if key == "id" or value not in (None, (), [])}


def _image_name(image: ImageSource) -> str:
    return f"{len(image)} bytes" if isinstance(image, bytes) else str(image)


def hit_json(hit: Hit) -> dict[str, Any]:
    """A hit with the keys the contract names, and parent, metadata, sources and what is folded behind it, if any."""
    item = hit.item
    more: Mapping[str, Any] = {
        "parent": item.parent,
        "meta": dict(item.meta),
        "sources": [asdict(source) for source in hit.sources],
        "folded": folded_json(hit),
    }
    return {
        "rank": hit.rank,
        "id": item.id,
        "kind": item.kind,
        "uri": item.uri,
        "score": hit.score,
        "stage": hit.stage,
        "text": item.text,
        "trace": [asdict(earlier) for earlier in hit.trace],
        **{key: value for key, value in more.items() if value},
    }


def asked(query: Query, *, quotes: bool = True) -> str:
    """A query in a few words, for a title.

    >>> asked(Query(text="at night", image="ref.jpg"))
    'ref.jpg + “at night”'
    """
    parts: Sequence[str] = [
        *(_short_name(image) for image in query.images),
        *([_short_name(query.video)] if query.video else []),
        *([f"“{one_line(query.text)}”" if quotes else one_line(query.text)] if query.text else []),
        *(f"“{one_line(turn)}”" for turn in query.turns),
    ]
    return " + ".join(parts)


def _short_name(source: ImageSource) -> str:
    if isinstance(source, bytes) or hasattr(source, "tobytes"):
        return "an image"
    return printable(last_part(show_path(str(source))))
