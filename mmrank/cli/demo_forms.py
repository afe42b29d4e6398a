"""The part of `mmrank demo` about composed queries: one in several forms, and two lists fused into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.aggregate import Method
from mmrank.cli.demo_searches import answer_id, truth_query
from mmrank.cli.output import count, out
from mmrank.toybox.manifest import ToyQuery
from mmrank.types import Ranking

if TYPE_CHECKING:
    from mmrank.cli.forms import InForm
    from mmrank.cli.html_shown import SideBySide
    from mmrank.index.index import Index
    from mmrank.run import Run

FORMS = ("image", "text", "sum", "intersection")
"""The sides alone, the toybox's default, and the form that differs most from it."""

EXAMPLE = ("image", "text", "sum")
"""Those of one query that are shown side by side."""

FUSED = (("image", "text"), ("sum", "intersection"))
"""Lists that are fused: two sides that know different things, two forms that know much the same."""

METHOD: Method = "product"
TASK = "composed"
LABEL = "Image and a change: each alone, and both in one query"

SHOWN, ON_PAGE = 3, 5
"""Hits of each form in the terminal, and on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListScore:
    """How one list does over all composed queries: shares of queries, 0 to 1."""

    name: str
    queries: int
    first: float
    in_ten: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FormsShown:
    """A composed query in the forms of `EXAMPLE`, the id of its right answer, and the scores of all lists.

    `why`: how the query was chosen, in words.
    """

    example: Sequence[InForm]
    right: frozenset[str]
    why: str
    scores: Sequence[ListScore]


def in_forms(index: Index, truth: Sequence[ToyQuery], media: Path) -> FormsShown:
    """Every composed query in every form, whole lists, and fused.

    The example is the first query that both sides together get right and neither alone does: where composing has
    something to do. The scores are those of all queries.
    """
    from mmrank.cli.forms import InForm
    from mmrank.run import Run
    from mmrank.run_fusion import fuse_runs

    asked = [question for question in truth if question.task == TASK]
    queries = [truth_query(question, media) for question in asked]
    right = {question.id: answer_id(question, media) for question in asked}
    found: dict[str, list[Ranking]] = {
        form: index.search_many(queries, k=len(index), compose=form, strict=True) for form in FORMS
    }
    runs = {form: Run.from_rankings(rankings) for form, rankings in found.items()}
    fused = {f"{' + '.join(names)}, fused": fuse_runs([runs[name] for name in names], METHOD) for names in FUSED}
    answers = [right[question.id] for question in asked]
    first = {form: [r.ids[:1] == (a,) for r, a in zip(found[form], answers, strict=True)] for form in EXAMPLE}
    picked = [i for i in range(len(asked)) if [first[form][i] for form in EXAMPLE] == [False, False, True]]
    chosen = picked[0] if picked else 0
    return FormsShown(
        example=[InForm(compose=form, ranking=_cut(found[form][chosen], ON_PAGE)) for form in EXAMPLE],
        right=frozenset([answers[chosen]]),
        why="the first query that neither side finds alone" if picked else "the first query",
        scores=[_score(name, run, right) for name, run in {**runs, **fused}.items()],
    )


def _cut(ranking: Ranking, k: int) -> Ranking:
    return ranking.with_hits(ranking.hits[:k])


def _score(name: str, run: Run, right: dict[str, str]) -> ListScore:
    places = [run.ids(query_id)[:10] for query_id in right]
    first = sum(answer in ids[:1] for answer, ids in zip(right.values(), places, strict=True))
    in_ten = sum(answer in ids for answer, ids in zip(right.values(), places, strict=True))
    return ListScore(name=name, queries=len(right), first=first / len(right), in_ten=in_ten / len(right))


def print_forms(shown: FormsShown, number: int) -> None:
    """The example side by side, numbered `number`, and the table of all lists."""
    from rich import box
    from rich.table import Table

    from mmrank.cli.forms import InForm, forms_table
    from mmrank.cli.hits import asked

    console = out()
    console.print(f"\n{number}. {LABEL}", style="bold", markup=False)
    console.print(asked(shown.example[0].ranking.query), style="cyan", markup=False)
    console.print(f"image index; {shown.why}", style="dim", markup=False)
    cut = [InForm(compose=one.compose, ranking=_cut(one.ranking, SHOWN)) for one in shown.example]
    console.print(forms_table(cut, width=console.width, right=shown.right))
    queries = count(shown.scores[0].queries, "composed query", "composed queries")
    console.print(f"\nAll {queries} by form, and two lists fused by {METHOD}, in percent", style="bold", markup=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("list")
    for heading in ("right first", "in first ten"):
        table.add_column(heading, justify="right")
    for score in shown.scores:
        table.add_row(score.name, *(f"{100 * share:.0f}" for share in (score.first, score.in_ten)))
    console.print(table)
    console.print(
        f"One query is {100 / shown.scores[0].queries:.0f} points: differences of one or two queries say nothing.",
        style="dim",
        markup=False,
    )


def forms_on_page(index: Index, shown: FormsShown) -> SideBySide:
    """The example for the page."""
    from mmrank.cli.forms import forms_shown

    return forms_shown(index, shown.example, label=LABEL, conditions=["image index", shown.why], right=shown.right)


def scores_json(shown: FormsShown) -> list[dict[str, Any]]:
    """The table as plain rows."""
    return [asdict(score) for score in shown.scores]
