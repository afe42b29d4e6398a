"""A hit as people read it (name, place, words) and as programs do (JSON)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from mmrank.cli.output import one_line, printable, shorten_end, shorten_middle
from mmrank.errors import MediaError
from mmrank.media.uri import printable as show_path
from mmrank.media.uri import split_uri
from mmrank.types import Hit, ImageSource, Item, Query, Ranking

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

MIN_NAME = 16
"""Columns that name and place keep even in a narrow terminal."""

MIN_WORDS = 12
"""Fewer columns than this say nothing about a text: the column is left out."""


def name_and_place(item: Item) -> tuple[str, str]:
    """The file name of an item and where in that file it is, safe to print.

    >>> name_and_place(Item(id="x", kind="page", uri="docs/report.pdf#page=3"))
    ('report.pdf', 'page 3')
    >>> name_and_place(Item(id="x", kind="video", uri="/a/clip.mp4#t=65,70.5"))
    ('clip.mp4', '1:05 to 1:10.5')
    """
    if not item.uri:
        return item.id, ""
    try:
        where = split_uri(item.uri)
        span = where.span
    except MediaError:  # not a local file, or a span that cannot be read: shown as it is
        return printable(_last_part(item.uri)), ""
    name = printable(_last_part(show_path(where.path)))
    if where.page is not None:
        return name, f"page {where.page}"
    if span is not None:
        return name, f"{_clock(span[0])} to {_clock(span[1]) if math.isfinite(span[1]) else 'the end'}"
    if where.chunk is not None:
        return name, f"part {where.chunk}"
    return name, where.fragment.replace("=", " ")


def _last_part(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] or path


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{f'{rest:04.1f}'.removesuffix('.0')}"


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
    words_room = width - spent - max((where.cell_len for where in wheres), default=5) - 4
    with_words = words_room >= MIN_WORDS and any(hit.item.text for hit in hits)
    if with_words:
        table.add_column("text", no_wrap=True)
    for hit, score, where in zip(hits, scores, wheres, strict=True):
        cells: list[str | Text] = [str(hit.rank), score, hit.item.kind, where]
        if right is not None:
            cells.insert(0, Text("✓", style="bold green") if hit.item.id in right else Text("·", style="dim"))
        if with_words:
            cells.append(Text(shorten_end(one_line(hit.item.text or ""), words_room), style="dim"))
        table.add_row(*cells)
    return table


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
    """A hit with the keys the contract names, and the item's metadata, parent and sources where it has them."""
    item = hit.item
    more: Mapping[str, Any] = {
        "parent": item.parent,
        "meta": dict(item.meta),
        "sources": [asdict(source) for source in hit.sources],
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
    return printable(_last_part(show_path(str(source))))
