"""Bench the judge: the bundled toybox-vl on near-duplicates, every recipe with two judges, and schedules under noise.

    python scripts/bench_judge.py toybox --work FOLDER --json toybox_vl.json
    python scripts/bench_judge.py recipes --work FOLDER --json recipes.json
    python scripts/bench_judge.py noise --work FOLDER --json noise.json --plot docs/noise.svg

The gallery are families of near-duplicates from held-out scenes; the first stage is toybox-clip's top 20 of it. R@1 of
the first stage is what a CLIP makes of near-duplicates, its R@20 is the most a judge can reach.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from _bench import Row, TableText, environment, save, show

import mmrank as mm
from mmrank.rerank.asks import ask_class
from mmrank.rerank.recipe import Recipe
from mmrank.toybox.families import Sort, family_sort, write_families
from mmrank.toybox.judge import Noise, serve_truth
from mmrank.toybox.manifest import ToyQuery
from mmrank.types import Query, Ranking

DEPTH = 20

MOST_LISTED = 10

SHORT = {"max_tokens": 160}
"""The tokens toybox-vl may write: it was never taught to reason, and its texts end by themselves or not at all."""

GOALS = {"yes_no": 0.93, "first": 0.90, "relations": 0.85}
"""R@1 on objects and grounds by recipe, and on relations."""

WORDINGS = ("seen", "unseen", "composed")

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Work = Annotated[Path, typer.Option(help="A folder for the collection and its index.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]
Families = Annotated[int, typer.Option(help="Families of near-duplicates; a third of each sort.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, what the first stage found for it, and the id of its right answer."""

    sort: Sort
    wording: str
    ranking: Ranking
    right: str

    def rank_in(self, ranking: Ranking) -> int | None:
        """Where the right answer is, from 1."""
        return ranking.ids.index(self.right) + 1 if self.right in ranking.ids else None


def first_stage(work: Path, families: int) -> list[Asked]:
    """The families written and indexed with toybox-clip, and its top 20 for every query."""
    made = write_families(work / f"families-{families}", families=families)
    index = mm.Index.create(work / f"families-{families}.index", embedder="toybox")
    report = index.add(mm.scan(made.media))
    if report.failed:
        raise SystemExit(f"{report.failed[0]}")
    queries = [_query(asked, made.media) for asked in made.queries]
    text = [i for i, asked in enumerate(made.queries) if asked.reference is None]
    composed = [i for i, asked in enumerate(made.queries) if asked.reference is not None]
    found: dict[int, Ranking] = {}
    for positions, compose in ((text, None), (composed, "sum")):
        rankings = index.search_many([queries[i] for i in positions], k=DEPTH, compose=compose, strict=True)
        found |= dict(zip(positions, rankings, strict=True))
    return [
        Asked(family_sort(asked.id), asked.id.rpartition("-")[2], found[i], mm_id(made.media / asked.answer))
        for i, asked in enumerate(made.queries)
    ]


def _query(asked: ToyQuery, media: Path) -> Query:
    if asked.reference is None:
        return Query(text=asked.text, id=asked.id)
    reference = media / asked.reference
    return Query(text=asked.text, image=str(reference), id=asked.id, exclude=(mm_id(reference),))


def mm_id(path: Path) -> str:
    """The id a file has in an index."""
    from mmrank.media.uri import item_id

    return item_id(str(path))


def share(asked: Sequence[Asked], rankings: Sequence[Ranking], k: int) -> float:
    """Recall at k."""
    if not asked:
        return float("nan")
    hits = [(rank := a.rank_in(r)) is not None and rank <= k for a, r in zip(asked, rankings, strict=True)]
    return sum(hits) / len(hits)


@app.command()
def toybox(
    *, work: Work, json: Json = None, families: Families = 300, model: Annotated[str, typer.Option()] = "toybox-vl"
) -> None:
    """toybox-vl on held-out near-duplicates: R@1 by sort of near-duplicate and by wording."""
    facts = environment()
    every = first_stage(work, families)
    mllm = mm.load_mllm(model, threads=1)
    tables: list[TableText] = []
    results: dict[str, Any] = {}
    for wording in WORDINGS:
        asked = [a for a in every if a.wording == wording]
        before = [a.ranking for a in asked]
        rows = [_by_sort("toybox-clip alone", asked, before), _by_sort("most a judge can reach", asked, before, DEPTH)]
        for recipe in ("yes_no", "first"):
            judge = mm.load_reranker(recipe, model=mllm, depth=DEPTH)
            started = time.perf_counter()
            after = judge.process(before)
            seconds = time.perf_counter() - started
            row = _by_sort(f"{recipe}@{model}", asked, after)
            results[f"{recipe}/{wording}"] = {
                "objects and grounds": share(*_of(asked, after, ("objects", "grounds")), 1),
                "relations": share(*_of(asked, after, ("relations",)), 1),
                "outcomes": Counter(r.outcome for r in after),
                "seconds": seconds,
            }
            reached = None
            if wording == "seen":
                figures = results[f"{recipe}/{wording}"]
                reached = figures["objects and grounds"] >= GOALS[recipe]
            cells = (*row.cells[:-1], f"{1000 * seconds / len(asked):.0f}")
            rows.append(row._replace(cells=cells, reached=reached))
        title = f"{len(asked)} {wording} queries, {DEPTH} candidates each, R@1 in percent"
        columns = ("objects", "grounds", "both", "relations", "ms a query")
        tables.append(show(title, columns, rows, facts))
    save(json, "toybox-vl", facts, results, tables)


def _of(
    asked: Sequence[Asked], rankings: Sequence[Ranking], sorts: Sequence[Sort]
) -> tuple[list[Asked], list[Ranking]]:
    chosen = [(a, r) for a, r in zip(asked, rankings, strict=True) if a.sort in sorts]
    return [a for a, _ in chosen], [r for _, r in chosen]


def _by_sort(what: str, asked: Sequence[Asked], rankings: Sequence[Ranking], k: int = 1) -> Row:
    groups: tuple[tuple[Sort, ...], ...] = (("objects",), ("grounds",), ("objects", "grounds"), ("relations",))
    cells = [f"{100 * share(*_of(asked, rankings, sorts), k):.1f}" for sorts in groups]
    return Row(what, (*cells, ""))


@app.command()
def recipes(
    *,
    work: Work,
    json: Json = None,
    families: Families = 60,
    only: Annotated[list[str] | None, typer.Option(help="Recipes; all when left out.")] = None,
) -> None:
    """Every recipe on the same queries, with toybox-vl and with the judge that knows the truth."""
    from mmrank.errors import RecipeError
    from mmrank.rerank.recipe import list_recipes

    facts = environment()
    every = first_stage(work, families)
    asked = [a for a in every if a.wording == "seen"]
    composed = [a for a in every if a.wording == "composed"]
    mllm = mm.load_mllm("toybox-vl", threads=1)
    results: dict[str, Any] = {}
    rows = [
        Row(
            "toybox-clip alone",
            (f"{100 * share(asked, [a.ranking for a in asked], 1):.0f}",
             f"{100 * share(asked, [a.ranking for a in asked], 5):.0f}", "", "", "", "", ""),
        )
    ]  # fmt: skip
    with serve_truth(work / f"families-{families}") as url:
        truth = mm.load_mllm(f"openai:{url}#toybox-truth")
        for recipe in list_recipes():
            if only and recipe.name not in only:
                continue
            chosen = composed if recipe.tasks == ("composed",) else asked
            cells: list[str] = []
            for name, judge_model in (("toybox-vl", mllm), ("truth", truth)):
                options = dict(SHORT) if name == "toybox-vl" and "max_tokens" in settings_of(recipe) else {}
                if recipe.max_slots and name == "toybox-vl":
                    options["max_slots"] = MOST_LISTED
                depth = min(DEPTH, recipe.depth or DEPTH, MOST_LISTED if whole_list(recipe) else DEPTH)
                try:
                    judge = mm.load_reranker(recipe.name, model=judge_model, depth=depth, **options)
                except RecipeError as error:
                    results[f"{recipe.name}@{name}"] = {"error": str(error)}
                    cells += ["-", "-", "cannot", ""] if name == "toybox-vl" else ["-", "cannot"]
                    continue
                figures = _judged(judge, chosen)
                results[f"{recipe.name}@{name}"] = figures
                outcomes = ", ".join(f"{count} {status}" for status, count in figures["outcomes"].items())
                if name == "toybox-vl":
                    cells += [f"{100 * figures['R@1']:.0f}", f"{100 * figures['R@5']:.0f}", outcomes]
                    cells += [f"{1000 * figures['seconds']:.0f}"]
                else:
                    cells += [f"{100 * figures['R@1']:.0f} of {100 * figures['ceiling']:.0f}", outcomes]
                    cells += [f"{figures['calls']:.0f}"]
            rows.append(Row(recipe.name, tuple(cells)))
    columns = ("R@1", "R@5", "outcomes", "ms", "R@1 (truth)", "outcomes (truth)", "calls")
    title = f"Every recipe on {len(asked)} held-out queries: toybox-vl, and the judge that knows the truth"
    save(json, "recipes", facts, results, [show(title, columns, rows, facts)])


def settings_of(recipe: Recipe) -> tuple[str, ...]:
    """The settings of a recipe's ask."""
    return tuple(field.name for field in fields(ask_class(recipe.ask.kind)))


def whole_list(recipe: Recipe) -> bool:
    """Whether a recipe shows all its candidates in one prompt; toybox-vl was trained on ten at most."""
    return recipe.layout.kind != "pair" and recipe.schedule.kind in ("single", "shuffles")


def _judged(judge: Any, asked: Sequence[Asked]) -> dict[str, Any]:
    """One recipe with one model over all queries; `ceiling` is the first stage's recall at the judge's depth."""
    before = [a.ranking for a in asked]
    started = time.perf_counter()
    after = judge.process(before)
    seconds = time.perf_counter() - started
    return {
        "R@1": share(asked, after, 1),
        "R@5": share(asked, after, 5),
        "ceiling": share(asked, before, judge.depth),
        "calls": sum(r.records[-1].calls for r in after) / len(after),
        "seconds": seconds / len(after),
        "outcomes": Counter(r.outcome for r in after),
        "causes": sorted({r.records[-1].error for r in after if r.records[-1].error})[:3],
    }


TWICE = {"kind": "blocks", "size": 5, "repeats": 2}
FOUR_TIMES = {"kind": "blocks", "size": 5, "repeats": 4}
SHUFFLED = {"kind": "shuffles", "times": 3}

STUDIES: dict[str, tuple[str, dict[str, Any]]] = {
    "one list": ("first", {"schedule": "single", "aggregator": "borda"}),
    "sliding 10/5": ("first", {}),
    "blocks 5 x 2, win rate": ("first", {"schedule": TWICE, "aggregator": "win_rate"}),
    "blocks 5 x 2, PageRank": ("first", {"schedule": TWICE, "aggregator": "pagerank"}),
    "blocks 5 x 2 and a last one": ("first", {"schedule": {**TWICE, "final": True}, "aggregator": "win_rate"}),
    "blocks 5 x 4, Bradley-Terry": ("first", {"schedule": FOUR_TIMES, "aggregator": "bradley_terry"}),
    "3 shuffles, Borda": ("first", {"schedule": SHUFFLED, "aggregator": "borda"}),
    "3 shuffles, Kemeny": ("first", {"schedule": SHUFFLED, "aggregator": "kemeny"}),
    "each alone": ("yes_no", {}),
}
"""Schedules and aggregators that are compared under noise, all on the same judge."""


@app.command()
def noise(
    *,
    work: Work,
    json: Json = None,
    families: Families = 60,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves into this SVG file.")] = None,
    levels: Annotated[str, typer.Option(help="Noise of the judge, comma separated.")] = "0,0.05,0.1,0.2,0.3,0.5",
    bias: Annotated[float, typer.Option(help="How much the judge likes early places.")] = 0.5,
) -> None:
    """Which schedule and aggregator hold best when the judge errs: the truth-reading judge with its noise turned up."""
    facts = environment()
    asked = [a for a in first_stage(work, families) if a.wording == "seen"]
    scales = [float(level) for level in levels.split(",")]
    curves: dict[str, list[float]] = {name: [] for name in STUDIES}
    calls: dict[str, float] = {}
    for scale in scales:
        with serve_truth(work / f"families-{families}", noise=Noise(swap=scale, position_bias=bias * scale)) as url:
            model = mm.load_mllm(f"openai:{url}#toybox-truth")
            for name, (recipe, options) in STUDIES.items():
                judge = mm.load_reranker(recipe, model=model, depth=DEPTH, **options)
                figures = _judged(judge, asked)
                curves[name].append(figures["R@1"])
                calls[name] = figures["calls"]
    rows = [Row(name, (f"{calls[name]:.0f}", *(f"{100 * r:.0f}" for r in curve))) for name, curve in curves.items()]
    title = f"R@1 over {len(asked)} queries of {DEPTH} candidates by noise of the judge (position bias {bias} of it)"
    table = show(title, ("calls", *(f"{scale:g}" for scale in scales)), rows, facts)
    save(json, "noise", facts, {"levels": scales, "R@1": curves, "calls": calls}, [table])
    if plot is not None:
        _draw(plot, scales, curves, calls)


def _draw(path: Path, scales: Sequence[float], curves: dict[str, list[float]], calls: dict[str, float]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "mmrank"
    figure, axes = pyplot.subplots(figsize=(9.0, 4.2), layout="constrained")
    for name, curve in curves.items():
        axes.plot(scales, [100 * r for r in curve], marker="o", markersize=3, label=f"{name} ({calls[name]:.0f} calls)")
    axes.set(xlabel="noise of the judge", ylabel="R@1 (%)", title="Which schedule holds when the judge errs")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    app()
