"""A query in several forms of composition, side by side: one table, one page, one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmrank.cli.hits import query_json, ranking_json, score_text
from mmrank.cli.output import shorten_end, shorten_middle
from mmrank.cli.places import name_and_place
from mmrank.errors import UsageError
from mmrank.types import Query, Ranking

if TYPE_CHECKING:
    from rich.table import Table

    from mmrank.cli.html_shown import SideBySide
    from mmrank.index.index import Index

DEFAULT = "default"
"""What the form is called that a query gets when none is named."""

WORDS = {
    DEFAULT: "what suits the query and the embedder",
    "image": "the picture alone",
    "text": "the words alone",
    "sum": "both vectors, mixed",
    "slerp": "both vectors, mixed along the arc",
    "whole": "picture and words in one look of the model",
    "intersection": "what both sides agree on",
    "intersection:min": "the side that agrees less counts",
    "caption": "a caption of what is sought",
    "sqaf": "both vectors, and a caption of what is sought",
    "weighted": "weights and minus signs in the words",
}
"""What each form is, for a caption; forms with a model go by what stands before the @."""

MIN_NAME = 12
"""Columns of the terminal that a name keeps."""

WITH_SCORE = 22
"""Columns from which a cell has room for the score beside the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForm:
    """What a query found in one form. `compose` is the form as it was asked for, None the default one."""

    compose: str | None
    ranking: Ranking

    @property
    def name(self) -> str:
        """The form's name, a model's long name left out."""
        return (self.compose or DEFAULT).partition("@")[0]

    @property
    def small(self) -> list[str]:
        """What the form is and, where one was written, the caption it searched with."""
        return [WORDS.get(self.name, ""), *(record.note for record in self.ranking.records if record.note)]


def forms_named(given: Sequence[str] | None) -> list[str | None]:
    """The forms of repeated ``--compose`` options, each a name or several with commas; one None when there is none.

    >>> forms_named(["image,text", "sum", "text"]), forms_named(None)
    (['image', 'text', 'sum'], [None])
    """
    from mmrank.compose import FORMS, named_form

    named = [name.strip() for names in given or () for name in names.split(",")]
    if not all(named):
        raise UsageError(f"--compose {','.join(given or ())!r} names no form; it takes {', '.join(FORMS)}.")
    for name in named:
        named_form(name)  # a wrong one is said before a model is loaded
    return list(dict.fromkeys(named)) or [None]


def forms_table(found: Sequence[InForm], *, width: int, right: frozenset[str] | None = None) -> Table:
    """A row for each rank and a column for each form, in at most `width` columns; the names give way.

    `right`: ids known to be right; their cells have a tick.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("rank", justify="right", no_wrap=True, min_width=4)
    room = max(MIN_NAME, (width - 4) // max(len(found), 1) - 2)
    for one in found:
        table.add_column(Text(shorten_end(one.name, room)), no_wrap=True)
    for place in range(max((len(one.ranking) for one in found), default=0)):
        cells = [_cell(one.ranking, place, room, right) for one in found]
        table.add_row(str(place + 1), *cells)
    return table


def _cell(ranking: Ranking, place: int, room: int, right: frozenset[str] | None) -> Any:
    from rich.text import Text

    if place >= len(ranking):
        return Text("")
    hit = ranking.hits[place]
    mark = "" if right is None else "✓ " if hit.id in right else "· "
    score = f" {score_text(hit.score)}" if room >= WITH_SCORE else ""
    name, where = name_and_place(hit.item)
    said = shorten_middle(f"{name} {where}".strip(), room - len(mark) - len(score))
    cell = Text(mark, style="bold green" if mark.startswith("✓") else "dim").append(said, style="default")
    return cell.append(score, style="dim")


def forms_json(query: Query, found: Sequence[InForm]) -> dict[str, Any]:
    """The JSON of `search` with several forms: the query, then for each form what `search` gives for one."""
    rows = ({"form": one.compose or DEFAULT, **ranking_json(one.ranking)} for one in found)
    return {
        "query": query_json(query),
        "forms": [{key: value for key, value in row.items() if key != "query"} for row in rows],
    }


def forms_shown(
    index: Index,
    found: Sequence[InForm],
    *,
    label: str = "",
    conditions: Sequence[str] = (),
    right: frozenset[str] | None = None,
) -> SideBySide:
    """The same for the page: one column a form."""
    from mmrank.cli.html_shown import SideBySide
    from mmrank.cli.show import show

    columns = [show(index, one.ranking, label=one.name, conditions=one.small, right=right) for one in found]
    return SideBySide(columns=columns, label=label, conditions=conditions)
