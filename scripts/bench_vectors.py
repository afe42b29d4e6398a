"""Bench the vector stages: SuperGlobal beside bare numpy, MaxSim beside scoring everything, token vectors read from
an index's table beside memory, and R@1 on the toybox.

python scripts/bench_vectors.py speed --json vectors_speed.json
python scripts/bench_vectors.py late --json vectors_late.json
python scripts/bench_vectors.py table --work FOLDER --json vectors_table.json
python scripts/bench_vectors.py toybox --work FOLDER --json vectors_toybox.json
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: one thread for every contender

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import lancedb
import numpy as np
import typer
from _bench import Row, environment, interleaved, medians, ratio, save, show, timed
from _bench_data import Floats, clustered
from _bench_tokens import pooled, tokens

from mmrank.index.schema import tokens_schema
from mmrank.index.tokens import index_tokens, put_tokens, read_tokens
from mmrank.pipeline import Stage
from mmrank.rerank import vectors as mv
from mmrank.rerank.vectors.late import max_sim, scored_early
from mmrank.rerank.vectors.pooling import pooled_tokens
from mmrank.rerank.vectors.super_global import super_global_scores
from mmrank.types import Hit, Item, Query, Ranking

DEPTH, DIMENSION, K = 400, 512, 10
SPEED_GOAL = 2.0
SAME_GOAL, SCORED_GOAL = 0.95, 0.5
READ = (4, 50, 300)
GROUP = 350
"""Pages of one commit, about what a build writes at once."""

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Json = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]


@app.command()
def speed(*, json: Json = None, rounds: Annotated[int, typer.Option(min=3)] = 40) -> None:
    """SuperGlobal on a shortlist of 400 x 512: the function, the stage, and the matrix products alone."""
    facts = environment()
    rows, queries = clustered(20_000, DIMENSION, rounds)
    shortlists = [np.argpartition(-(rows @ query), DEPTH)[:DEPTH] for query in queries]
    source = mv.GivenVectors(
        items={f"i{n}": rows[n] for n in np.unique(np.concatenate(shortlists))},
        queries={str(n): query for n, query in enumerate(queries)},
    )
    rankings = [
        Ranking(query=Query(id=str(n)), hits=[Hit(item=Item(id=f"i{i}", kind="image"), score=0.0) for i in some])
        for n, some in enumerate(shortlists)
    ]
    stage = mv.super_global(source, depth=DEPTH)

    def bare(number: int) -> Floats:
        """Similarities, refined vectors, both scores: the products that nobody gets around."""
        x = rows[shortlists[number]]
        mixed = (x @ x.T) @ x
        return mixed @ queries[number] + mixed @ mixed[:K].max(axis=0)

    contenders: dict[str, Callable[[int], Any]] = {
        "matrix products alone, numpy": bare,
        "super_global_scores": lambda n: super_global_scores(queries[n], rows[shortlists[n]]),
        "the stage, vectors in memory": lambda n: stage.process([rankings[n]]),
    }
    for work in contenders.values():
        work(0)
    seconds = interleaved(contenders, rounds)
    base = next(iter(contenders))
    middle = medians(seconds)
    ratios = {name: ratio(name, seconds, base) for name in contenders}
    lines = [
        Row(
            name,
            (f"{middle[name] * 1e3:.2f} ms", f"{ratios[name]:.2f}"),
            None if name == base else ratios[name] <= SPEED_GOAL,
        )
        for name in contenders
    ]
    table = show(f"SuperGlobal of {DEPTH} x {DIMENSION}, {rounds} queries in turn", ("median", "ratio"), lines, facts)
    save(json, "vectors_speed", facts, {"seconds": middle, "ratio": ratios}, [table])


class Way(NamedTuple):
    """How candidates are ordered before MaxSim, and how early it stops."""

    few: bool
    alpha: float | None
    patience: int | None

    @property
    def name(self) -> str:
        order = "8 pooled tokens" if self.few else "one pooled vector"
        rules = [f"alpha {self.alpha}"] if self.alpha is not None else []
        rules += [f"patience {self.patience}"] if self.patience is not None else []
        return f"{order}, {', '.join(rules) or 'everything scored'}"


WAYS = (
    Way(False, None, None),
    Way(False, 0.05, 4),
    Way(False, None, 4),
    Way(False, None, 24),
    Way(True, None, 4),
    Way(True, 0.3, 12),
    Way(True, None, 12),
)


@app.command()
def late(
    *,
    json: Json = None,
    pages: Annotated[int, typer.Option(help="Pages, of 60 tokens on average.")] = 3_000,
    queries: Annotated[int, typer.Option(help="Queries.")] = 200,
    candidates: Annotated[int, typer.Option(help="First-stage candidates of each.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the tokens.")] = 0,
) -> None:
    """How often pruned MaxSim gives the exhaustive top 10, what share of candidates it scores, and how fast it is."""
    facts = environment()
    made = tokens(pages, queries, seed=seed)
    few = [pooled_tokens(page, 8) for page in made.pages]
    first = pooled(made.queries) @ pooled(made.pages).T
    chosen = np.argsort(-first, axis=1, kind="stable")[:, :candidates]
    exact = [max_sim(query, [made.pages[i] for i in some]) for query, some in zip(made.queries, chosen, strict=True)]
    best = [set(some[np.argsort(-scores, kind="stable")[:K]]) for some, scores in zip(chosen, exact, strict=True)]

    def rescored(way: Way, n: int) -> tuple[set[int], float, int]:
        query, some = made.queries[n], chosen[n]
        scores = max_sim(query, [few[i] for i in some]) if way.few else first[n][some]
        order = np.argsort(-scores, kind="stable")
        some, scores = some[order], scores[order]
        found = scored_early(
            lambda places: max_sim(query, [made.pages[some[p]] for p in places]).tolist(),
            candidates,
            k=K,
            alpha=way.alpha,
            patience=way.patience,
            batch=4 if way.patience else 1,
            first=scores.tolist(),
        )
        ranked = some[np.argsort(-found, kind="stable")]  # NaN last
        return set(ranked[:K]), float(np.mean(~np.isnan(found))), int(ranked[0])

    got = {way.name: [rescored(way, n) for n in range(queries)] for way in WAYS}
    # The fastest of three in a row: the pages are warm in a cache then, and a moment without the processor is left out.
    seconds: dict[str, list[float]] = {way.name: [] for way in WAYS}
    for n in range(queries):
        for way in WAYS:
            seconds[way.name].append(min(timed(lambda: rescored(way, n))[1].seconds for _ in range(3)))  # noqa: B023
    base, middle, figures, lines = WAYS[0].name, medians(seconds), {}, []
    for name, answers in got.items():
        same = float(np.mean([answer[0] == want for answer, want in zip(answers, best, strict=True)]))
        overlap = float(np.mean([len(answer[0] & want) / K for answer, want in zip(answers, best, strict=True)]))
        share = float(np.mean([answer[1] for answer in answers]))
        right = float(np.mean([answer[2] == target for answer, target in zip(answers, made.targets, strict=True)]))
        took = middle[name] / middle[base]
        figures[name] = {"same": same, "overlap": overlap, "scored": share, "R@1": right, "ratio": took}
        reached = None if name == base else same >= SAME_GOAL and share < SCORED_GOAL
        cells = (f"{100 * same:.1f} %", f"{100 * overlap:.1f} %", f"{100 * share:.1f} %", f"{100 * right:.1f}")
        lines.append(Row(name, (*cells, f"{took:.2f}"), reached))
    title = f"MaxSim over {candidates} candidates, {queries} queries, {pages} pages: the exhaustive top {K}"
    table = show(title, ("same set", "overlap", "scored", "R@1", "time"), lines, facts)
    save(json, "vectors_late", facts, figures, [table])


@app.command()
def table(
    *,
    work: Annotated[Path, typer.Option(help="A folder for the table; it is made anew.")],
    json: Json = None,
    pages: Annotated[int, typer.Option(help="Pages.")] = 2_000,
    per_page: Annotated[int, typer.Option(help="Token vectors of a page, on average.")] = 700,
    rounds: Annotated[int, typer.Option(min=3, help="Reads of each kind.")] = 20,
) -> None:
    """Token vectors by content from the table an index keeps, beside the same pages in memory; warm in the file cache.

    Both end in float32, as MaxSim takes them.
    """
    facts = environment()
    made = tokens(pages, 1, per_page=per_page).pages
    contents = [f"{number:064x}" for number in range(pages)]
    kept = lancedb.connect(work).create_table("tokens", schema=tokens_schema(made[0].shape[1]), mode="overwrite")
    for start in range(0, pages, GROUP):
        group = slice(start, start + GROUP)
        put_tokens(kept, dict(zip(contents[group], made[group], strict=True)))
    index_tokens(kept)
    held = dict(zip(contents, made, strict=True))
    raw = sum(page.nbytes for page in made)
    figures: dict[str, Any] = {"bytes": raw, "bytes on disk": kept.stats()["total_bytes"]}
    rng = np.random.default_rng(0)
    lines = [
        Row(
            "bytes on disk, and over those of the numbers",
            (f"{figures['bytes on disk']:,}", f"{figures['bytes on disk'] / raw:.3f}"),
        )
    ]
    for count in READ:
        some = [[contents[i] for i in rng.choice(pages, count, replace=False)] for _ in range(rounds)]
        contenders: dict[str, Callable[[int], Any]] = {
            f"{count} pages from memory": lambda n: {name: held[name].astype(np.float32) for name in some[n]},  # noqa: B023
            f"{count} pages from the table": lambda n: dict(read_tokens(kept, some[n])),  # noqa: B023
        }
        memory, disk = (work(0) for work in contenders.values())
        assert all(np.array_equal(memory[name], disk[name]) for name in some[0])
        seconds = interleaved(contenders, rounds)
        base, middle = next(iter(contenders)), medians(seconds)
        for name in contenders:
            figures[name] = {"seconds": middle[name], "ratio": ratio(name, seconds, base)}
            lines.append(Row(name, (f"{middle[name] * 1e3:.1f} ms", f"{figures[name]['ratio']:.1f}")))
    shown = show(f"Token vectors of {pages} pages of {per_page}", ("median", "ratio"), lines, facts)
    save(json, "vectors_table", facts, figures, [shown])


@app.command()
def toybox(*, work: Annotated[Path, typer.Option(help="A folder for the index.")], json: Json = None) -> None:
    """R@1 of every stage on the bundled sample collection, behind toybox-clip's first 50, task by task."""
    import mmrank as mm
    from mmrank.media.uri import item_id
    from mmrank.toybox.assets import sample_media_folder, sample_queries_file
    from mmrank.toybox.manifest import read_queries

    facts = environment()
    media = sample_media_folder()
    index = mm.Index.create(work / "sample.index", embedder="toybox")
    index.add(mm.scan(media))
    asked = read_queries(sample_queries_file())
    table: dict[str, dict[str, float]] = {}
    tasks = list(dict.fromkeys(one.task for one in asked))
    for task in tasks:
        own = [one for one in asked if one.task == task]
        compose = "sum" if task == "composed" else None
        queries = [
            Query(text=one.text, id=one.id)
            if one.reference is None
            else Query(
                text=one.text,
                image=str(media / one.reference),
                id=one.id,
                exclude=(item_id(str(media / one.reference)),),
            )
            for one in own
        ]
        found = index.search_many(queries, k=50, kinds=[own[0].kind], compose=compose, strict=True)
        right = [item_id(str(media / one.answer)) for one in own]
        table.setdefault("first stage", {})[task] = _first(found, right)
        for name, stage in _stages(index, compose).items():
            after = stage.process(found)
            if all(ranking.outcome in ("ok", "repaired") for ranking in after):
                table.setdefault(name, {})[task] = _first(after, right)
    lines = [
        Row(name, tuple(f"{figures[task]:.1f}" if task in figures else "-" for task in tasks))
        for name, figures in table.items()
    ]
    counts = {task: sum(one.task == task for one in asked) for task in tasks}
    shown = show("R@1 (%) on the bundled toybox, by task", tuple(f"{t} ({counts[t]})" for t in tasks), lines, facts)
    save(json, "vectors_toybox", facts, table, [shown])


def _first(rankings: list[Ranking], right: list[str]) -> float:
    return 100 * float(np.mean([r.ids[:1] == (one,) for r, one in zip(rankings, right, strict=True)]))


def _stages(index: Any, compose: str | None) -> dict[str, Stage]:
    common = {"compose": compose}
    return {
        "super_global": mv.super_global(index, **common),
        "super_global, first step only": mv.super_global(index, expand=False, **common),
        "super_global, 3 neighbours": mv.super_global(index, neighbours=3, **common),
        "clip_rerank": mv.clip_rerank(index, **common),
        "clip_rerank, alpha 0.8": mv.clip_rerank(index, alpha=0.8, **common),
        "rocchio, 3 hits": mv.rocchio(index, feedback=3, **common),
        "rocchio, 3 hits at weight 0.2": mv.rocchio(index, feedback=3, weights=(1.0, 0.2, 0.0), **common),
        "query_expansion, 3 hits": mv.query_expansion(index, feedback=3, **common),
        "e2rank, 5 hits": mv.e2rank(index, feedback=5, **common),
        "mmr, trade 0.7": mv.mmr(index),
        "near_duplicates, 0.95": mv.near_duplicates(index),
    }


if __name__ == "__main__":
    app()
