"""``mmrank demo``: the whole engine on the bundled toybox, offline, in under a minute."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrank.cli.command import COULD_NOT
from mmrank.cli.options import Debug, Json, Threads
from mmrank.cli.output import complain, count, duration, err, out, print_json, stdout_for_json
from mmrank.types import Kind, Ranking

if TYPE_CHECKING:
    from mmrank.cli.demo_forms import FormsShown
    from mmrank.cli.demo_judges import Judged
    from mmrank.cli.demo_searches import Wanted
    from mmrank.index.index import Index
    from mmrank.toybox.manifest import ToyQuery

SHOWN, ON_PAGE = 3, 5
"""Hits of each search in the terminal, and on the page (one row of cards)."""

DEEP = 10
"""Hits of each search, so that a right answer further down can be told from one that is not there."""

MODEL = "toybox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one sort of query does over the whole truth file: shares of queries, 0 to 1."""

    task: str
    queries: int
    first: float
    in_ten: float
    first_mixed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One of the dozen: what was wanted, what came, and how long it took in seconds."""

    wanted: Wanted
    ranking: Ranking
    seconds: float

    @property
    def rank(self) -> int | None:
        """Where the right answer came, from 1; None when it did not."""
        return next((hit.rank for hit in self.ranking if hit.id == self.wanted.right), None)

    @property
    def missed(self) -> str:
        """Where the right answer is, when it is not first."""
        if self.rank == 1:
            return ""
        return f"the right answer is {'not in the first ten' if self.rank is None else f'at rank {self.rank}'}"


def demo(
    *,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the indexes and the page go. Default: a temporary folder.")
    ] = None,
    threads: Threads = 1,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """See it work: index a bundled collection, search it in a dozen ways and let a judge reorder, offline, in a minute.

    The collection is made up (emoji on coloured grounds), so the right answers are known: a tick marks them.
    """
    from mmrank.cli.demo_forms import in_forms, print_forms, scores_json
    from mmrank.cli.demo_judges import judged, judged_json, print_judged
    from mmrank.cli.demo_searches import dozen
    from mmrank.embed.registry import load_embedder
    from mmrank.toybox.assets import sample_media_folder, sample_queries_file
    from mmrank.toybox.manifest import read_queries

    started = time.perf_counter()
    folder = to or Path(tempfile.mkdtemp(prefix="mmrank-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    media = sample_media_folder()
    truth = read_queries(sample_queries_file())
    with stdout_for_json(json):
        with err().status("Loading the toybox model ..."):
            embedder = load_embedder(MODEL, device="cpu", threads=threads)
        indexes = _build(folder, media, embedder, json)
        answers = [_answer(indexes[wanted.index], wanted) for wanted in dozen(truth, media, folder)]
        for number, answer in enumerate(answers, 1) if not json else ():
            _print(answer, number)
        scores = _measure(indexes, truth, media)
        forms = in_forms(indexes["image"], truth, media)
        with err().status("Judging ..."):
            rulings = judged(indexes, truth, media)
        page = _write_page(folder, indexes, answers, forms, rulings)
    seconds = time.perf_counter() - started
    if json:
        measured = {"forms": scores_json(forms), "judged": judged_json(rulings)}
        print_json({**_json(answers, scores, page, folder, seconds), **measured})
    else:
        _print_scores(scores)
        print_forms(forms, len(answers) + 1)
        print_judged(rulings, len(answers) + 2)
        found = sum(answer.rank == 1 for answer in answers)
        out().print(
            f"\n{found} of {len(answers)} searches have the right answer first. All of it took {duration(seconds)}.\n"
            f"See the pictures: {page}\n"
            f'Search it yourself: mmrank search {folder / "mixed"} "a dog and a pizza"',
            markup=False,
            soft_wrap=True,
        )


def _build(folder: Path, media: Path, embedder: Any, json: bool) -> dict[str, Index]:
    """One index of everything and one of each kind, under `folder`."""
    from mmrank.cli.demo_searches import INDEXES, MIXED
    from mmrank.cli.progress import BuildProgress
    from mmrank.index.index import Index
    from mmrank.media.scan import scan
    from mmrank.types import KINDS

    indexes: dict[str, Index] = {}
    for name in INDEXES:
        only: list[Kind] | None = None if name == MIXED else [kind for kind in KINDS if kind == name]
        index = Index.create(folder / name, embedder)
        with BuildProgress(f"Indexing: {name}") as progress:
            report = index.add(scan(media, kinds=only), progress=progress)
        if report.failed:
            complain(f"{report.failed[0][0]}: {report.failed[0][1]}")
            raise typer.Exit(COULD_NOT)
        if not json:
            kinds = ", ".join(count(number, kind) for kind, number in index.stats()["kinds"].items())
            out().print(f"Index {name}: {kinds} in {duration(report.seconds)}", markup=False)
        indexes[name] = index
    return indexes


def _answer(index: Index, wanted: Wanted) -> Answer:
    started = time.perf_counter()
    ranking = index.search(wanted.query, k=DEEP, **wanted.options)
    return Answer(wanted=wanted, ranking=ranking, seconds=time.perf_counter() - started)


def _print(answer: Answer, number: int) -> None:
    from mmrank.cli.hits import asked, hits_table

    wanted, console = answer.wanted, out()
    console.print(f"\n{number}. {wanted.label}", style="bold", markup=False)
    console.print(asked(wanted.query), style="cyan", markup=False)
    facts = [", ".join(wanted.conditions), duration(answer.seconds), *([answer.missed] if answer.missed else [])]
    console.print("; ".join(facts), style="dim", markup=False, soft_wrap=True)
    console.print(hits_table(answer.ranking, width=console.width, limit=SHOWN, right=frozenset([wanted.right])))


def _measure(indexes: dict[str, Index], truth: Sequence[ToyQuery], media: Path) -> list[Score]:
    """Every query of the truth file, in the index of its kind and in the mixed one."""
    from mmrank.cli.demo_searches import MIXED, TASKS, answer_id, truth_query

    scores = []
    for task, (label, options) in TASKS.items():
        asked_now = [question for question in truth if question.task == task]
        right = [answer_id(question, media) for question in asked_now]
        queries = [truth_query(question, media) for question in asked_now]
        own = indexes[asked_now[0].kind].search_many(queries, k=10, strict=True, **options)
        mixed = indexes[MIXED].search_many(queries, k=1, strict=True, **options)
        scores.append(
            Score(
                task=label,
                queries=len(queries),
                first=_share([answer in ranking.ids[:1] for answer, ranking in zip(right, own, strict=True)]),
                in_ten=_share([answer in ranking.ids for answer, ranking in zip(right, own, strict=True)]),
                first_mixed=_share([answer in ranking.ids for answer, ranking in zip(right, mixed, strict=True)]),
            )
        )
    return scores


def _share(right: list[bool]) -> float:
    return sum(right) / len(right)


def _print_scores(scores: list[Score]) -> None:
    from rich import box
    from rich.table import Table

    total = sum(score.queries for score in scores)
    out().print(f"\nAll {total} queries whose answer is known, in percent", style="bold", markup=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("sort of query")
    for heading in ("queries", "right first", "in first ten", "right first among all kinds"):
        table.add_column(heading, justify="right")
    for score in scores:
        shares = (f"{100 * share:.0f}" for share in (score.first, score.in_ten, score.first_mixed))
        table.add_row(score.task, str(score.queries), *shares)
    out().print(table)


def _write_page(
    folder: Path, indexes: dict[str, Index], answers: list[Answer], forms: FormsShown, rulings: list[Judged]
) -> Path:
    from mmrank.cli.demo_forms import forms_on_page
    from mmrank.cli.html import Search, results_page
    from mmrank.cli.show import show

    searches: list[Search] = [
        show(
            indexes[answer.wanted.index],
            answer.ranking.with_hits(answer.ranking.hits[:ON_PAGE]),
            label=answer.wanted.label,
            conditions=[*answer.wanted.conditions, *([answer.missed] if answer.missed else [])],
            right=frozenset([answer.wanted.right]),
            seconds=answer.seconds,
        )
        for answer in answers
    ]
    searches.append(forms_on_page(indexes["image"], forms))
    begun: set[str] = set()
    for ruling in rulings:
        asked, before, after, right = ruling.example
        for name, ranking in (("before", before), ("after", after)):
            if name == "before" and asked.id in begun:
                continue  # the same list as before the recipe above
            begun.add(asked.id)
            searches.append(
                show(
                    indexes[asked.kind],
                    ranking.with_hits(ranking.hits[:ON_PAGE]),
                    label=f"{ruling.judging.label}: {name} the judge",
                    conditions=[f"{ruling.judging.recipe}, {ruling.judging.depth} candidates"]
                    if name == "after"
                    else [],
                    right=frozenset([right]),
                    seconds=ruling.seconds if name == "after" else None,
                )
            )
    intro = (
        "A dozen searches over the toybox: made-up photos, report pages, clips and notes, indexed by a tiny model "
        "trained on such scenes; then a picture and a change to it, each alone and both in one query; then queries it "
        "gets wrong, before and after a tiny judge put its best hits in order. "
        "The right answer to each is known; a green tick marks it."
    )
    page = folder / "demo.html"
    page.write_text(results_page(searches, title="mmrank demo", intro=intro), encoding="utf-8")
    return page


def _json(answers: list[Answer], scores: list[Score], page: Path, folder: Path, seconds: float) -> dict[str, Any]:
    from mmrank.cli.hits import asked

    return {
        "folder": str(folder),
        "page": str(page),
        "searches": [
            {"label": a.wanted.label, "index": a.wanted.index, "query": asked(a.wanted.query), "rank": a.rank}
            for a in answers
        ],
        "truth": [asdict(score) for score in scores],
        "seconds": seconds,
    }
