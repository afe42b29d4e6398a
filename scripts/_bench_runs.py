"""Many queries over one gallery: the run that evaluation makes, and what the order of the words does to it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from _bench import Row, Timed, save, show, timed
from _bench_judges import (
    CLOSE,
    Bench,
    Device,
    Json,
    Side,
    Size,
    Threads,
    Work,
    difference,
    facts_of,
    judged,
    loaded,
    loop,
    scores_of,
    total_cost,
)
from _bench_vl import pictures, sentences

from mmrank.types import Query, Ranking

RUN_GOAL, EXIT_GOAL, EXIT_SAME = 6.0, 10.0, 0.95
"""A run over many queries that begins cold, without and with early exit; the share of queries with the same top 10."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A model, queries with a picture and a text each, and the candidates of each."""

    bench: Bench
    queries: list[Query]
    lists: list[list[Path]]

    @property
    def pairs(self) -> list[tuple[int, Path]]:
        """(number of the query, candidate)."""
        return [(i, path) for i, some in enumerate(self.lists) for path in some]

    def scores(self, rankings: Sequence[Ranking]) -> list[list[float]]:
        """In the order of `lists`."""
        return [scores_of(ranking, some) for ranking, some in zip(rankings, self.lists, strict=True)]


def _asked(bench: Bench, paths: list[Path], queries: int, depth: int, rng: random.Random) -> Asked:
    made = [Query(text=text, image=str(rng.choice(paths))) for text in sentences(queries, seed=1)]
    return Asked(bench, made, [rng.sample(paths, depth) for _ in made])


def compare_runs(
    *,
    work: Work,
    json: Json = None,
    size: Size = "mid",
    device: Device = "cpu",
    threads: Threads = 1,
    side: Side = 224,
    queries: Annotated[int, typer.Option(help="Queries, each a picture and a text.")] = 200,
    depth: Annotated[int, typer.Option(help="Candidates of each.")] = 50,
    images: Annotated[int, typer.Option(help="Pictures that candidates and references are drawn from.")] = 300,
    sample: Annotated[int, typer.Option(help="Pairs the loop is timed on, half before and half after.")] = 64,
    noise: Annotated[float, typer.Option(help="Of the first stage, in deviations of the judge's scores.")] = 0.3,
    patience: Annotated[int, typer.Option(help="Of the early exit.")] = 10,
) -> None:
    """Many queries over one gallery, beginning cold; the loop over pairs extrapolated from a sample.

    A model of random weights has no first stage that suits it, so one is made up: the judge's own scores with normal
    noise. How often an early exit keeps the top 10 depends on it; how fast it is does not.
    """
    bench = loaded(work, size, device, threads)
    rng = random.Random(0)
    facts = facts_of(bench, threads)
    run = _asked(bench, pictures(work / "pictures", images, side), queries, depth, rng)
    halves = [rng.sample(run.pairs, sample // 2) for _ in range(2)]
    before, expected = timed(lambda: _looped(run, halves[0]))[::-1]
    every, cold = timed(lambda: judged(bench.fresh(), run.queries, run.lists))
    bench.done()
    after, more = timed(lambda: _looped(run, halves[1]))[::-1]
    expected |= more
    scores = run.scores(every)
    apart = max(abs(said - scores[i][run.lists[i].index(path)]) for (i, path), said in expected.items())
    first = [_first_stage(some, own, noise, rng) for some, own in zip(run.lists, scores, strict=True)]
    k = min(10, depth)
    exits, short = timed(
        lambda: judged(bench.fresh(), run.queries, first, schedule="early_exit", k=k, patience=patience)
    )
    bench.done()
    same = sum(a.ids[:k] == b.ids[:k] for a, b in zip(every, exits, strict=True)) / queries
    scale = len(run.pairs) / (2 * (sample // 2))
    whole = Timed(scale * (before.seconds + after.seconds), scale * (before.cpu + after.cpu))
    goals = (None, None)
    if device == "cpu":
        all_reached = whole.seconds / cold.seconds >= RUN_GOAL and apart <= CLOSE
        goals = (all_reached, whole.seconds / short.seconds >= EXIT_GOAL and same >= EXIT_SAME)
    pairs = f"{len(run.pairs):,}"
    rows = [
        Row("loop over pairs, extrapolated", (*_cells(whole, whole), f"{2 * len(run.pairs):,}", pairs, "")),
        Row("mmrank, all candidates", (*_cells(whole, cold), *_counts(every), f"{apart:.1e}"), goals[0]),
        Row(
            f"mmrank, early exit (patience {patience})",
            (*_cells(whole, short), *_counts(exits), f"top {k} same for {same:.0%}"),
            goals[1],
        ),
    ]
    shape = f"{queries} queries (picture and text) x {depth} candidates from {images} pictures of {side} px"
    columns = ("s", "times loop", "by CPU time", "pictures through tower", "pairs", "difference")
    table = show(f"{shape}, {size}, beginning cold", columns, rows, facts)
    seconds = {"loop": whole, "all": cold, "exit": short}
    figures: dict[str, Any] = {name: taken._asdict() for name, taken in seconds.items()}
    figures |= {"same_top": same, "apart": apart, "noise": noise, "patience": patience}
    save(json, "rerank-cirr", facts, figures, [table])


def compare_orders(
    *,
    work: Work,
    json: Json = None,
    size: Size = "mid",
    device: Device = "cpu",
    threads: Threads = 1,
    side: Side = 224,
    queries: Annotated[int, typer.Option(help="Queries.")] = 40,
    depth: Annotated[int, typer.Option(help="Candidates of each.")] = 20,
    images: Annotated[int, typer.Option(help="Pictures that candidates and references are drawn from.")] = 60,
    kind: Annotated[
        Literal["text", "composed"], typer.Option(help="Queries: a text, or a picture and a text.")
    ] = "text",
) -> None:
    """The same words with the query first and with the candidate first: what is kept is then the candidate's.

    Once with all queries in one call, as an evaluation asks, and once one after another, as people do. Scores of the
    two orders are those of two prompts and say nothing beside each other; the difference is between the two ways of
    asking the same prompts.
    """
    bench = loaded(work, size, device, threads)
    facts = facts_of(bench, threads)
    paths = pictures(work / "pictures", images, side)
    run = _asked(bench, paths, queries, depth, random.Random(0))
    if kind == "text":
        run = replace(run, queries=[Query(text=query.text) for query in run.queries])
    judged(bench.fresh(), run.queries[:1], run.lists[:1], prompt="pair")  # the first call pays for lazy parts
    rows, results = [], {}
    base: Timed | None = None
    for name, prompt in (("query first", "pair"), ("candidate first", "pair_document_first")):
        together, single = bench.fresh(), bench.fresh()
        at_once, all_took = timed(lambda m=together, p=prompt: judged(m, run.queries, run.lists, prompt=p))
        one_by_one, single_took = timed(
            lambda m=single, p=prompt: [
                judged(m, [query], [some], prompt=p)[0] for query, some in zip(run.queries, run.lists, strict=True)
            ]
        )
        both = zip(run.scores(at_once), run.scores(one_by_one), strict=True)
        apart = max(difference(a, b) for a, b in both)
        for how, taken, mllm in (("all at once", all_took, together), ("one by one", single_took, single)):
            base = base or taken
            cells = (f"{taken.seconds:.1f}", f"{taken.cpu:.1f}", f"{base.cpu / taken.cpu:.2f}")
            rows.append(Row(f"{name}, {how}", (*cells, f"{mllm.prefix_bytes / 1e6:.0f}", f"{apart:.1e}")))
            results[f"{name}, {how}"] = {**taken._asdict(), "bytes": mllm.prefix_bytes, "apart": apart}
    shape = f"{queries} {kind} queries x {depth} candidates from {images} pictures of {side} px"
    columns = ("s", "CPU s", "times query first", "MB of prefixes", "largest difference")
    save(json, "rerank-orders", facts, results, [show(f"{shape}, {size}, beginning cold", columns, rows, facts)])


def _looped(run: Asked, pairs: Sequence[tuple[int, Path]]) -> dict[tuple[int, Path], float]:
    scores = {(i, path): loop(run.bench, run.queries[i], [path])[0] for i, path in pairs}
    run.bench.done()
    return scores


def _first_stage(paths: Sequence[Path], scores: Sequence[float], noise: float, rng: random.Random) -> list[Path]:
    mean = sum(scores) / len(scores)
    spread = (sum((score - mean) ** 2 for score in scores) / len(scores)) ** 0.5
    blurred = [score + rng.gauss(0, noise * spread) for score in scores]
    return [path for _, path in sorted(zip(blurred, paths, strict=True), reverse=True)]


def _cells(whole: Timed, taken: Timed) -> tuple[str, str, str]:
    return f"{taken.seconds:.1f}", f"{whole.seconds / taken.seconds:.2f}", f"{whole.cpu / taken.cpu:.2f}"


def _counts(rankings: Sequence[Ranking]) -> tuple[str, str]:
    cost = total_cost(rankings)
    return f"{cost.images_encoded:,}", f"{cost.model_calls:,}"
