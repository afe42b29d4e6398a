"""Bench yes/no reranking: a loop over pairs, sentence-transformers' CrossEncoder and mmrank, on the same weights.

    python scripts/bench_rerank.py pairs --work FOLDER --json rerank.json
    python scripts/bench_rerank.py cirr --work FOLDER --json rerank_cirr.json
    python scripts/bench_rerank.py orders --work FOLDER --json rerank_orders.json
    python scripts/bench_rerank.py profile --work FOLDER --json rerank_profile.json
    python scripts/bench_rerank.py pairs --work FOLDER --real-size 2b --device cuda --side 512 --candidates 100

A Qwen3-VL of random weights: speed does not depend on what they are. Every contender writes the same prompt and sees
the same pictures, and the largest difference of its log-odds from the loop's is printed. *Cold*: mmrank begins with
nothing kept. *Warm*: the features of all pictures are kept, nothing of this query is. mmrank is measured through its
judge, files and all; the others are given pictures that are open already.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from _bench import Row, Timed, save, show, timed
from _bench_floor import profile_warm
from _bench_judges import (
    CLOSE,
    Bench,
    Device,
    Json,
    Side,
    Size,
    Threads,
    Work,
    cross_encoder,
    difference,
    facts_of,
    judged,
    loaded,
    loop,
    scores_of,
)
from _bench_runs import compare_orders, compare_runs
from _bench_vl import pictures, sentences

from mmrank.mllm.local.backend import LocalMLLM
from mmrank.types import Query

GOALS = {
    ("text", "cold"): 1.4,
    ("text", "warm"): 4.2,
    ("composed", "cold"): 1.9,
    ("composed", "warm"): 6.5,
}
"""Times the loop over pairs; against the CrossEncoder the goal is `OVER_CROSS_ENCODER`, warm."""

OVER_CROSS_ENCODER = 4.0

BATCHES = (1, 8, 32)
"""Of the CrossEncoder; the fastest counts."""

LOOP, COLD, WARM = "loop over pairs", "mmrank, cold", "mmrank, warm"

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
app.command("cirr")(compare_runs)
app.command("orders")(compare_orders)
app.command("profile")(profile_warm)


@app.command("pairs")
def compare_pairs(
    *,
    work: Work,
    json: Json = None,
    size: Size = "mid",
    device: Device = "cpu",
    threads: Threads = 1,
    candidates: Annotated[int, typer.Option(help="Candidates of a query.")] = 32,
    side: Side = 224,
    rounds: Annotated[int, typer.Option(help="Rounds, each with a query of its own.")] = 3,
) -> None:
    """One query and its candidates: loop, CrossEncoder, mmrank cold and warm, in turn within each round."""
    bench = loaded(work, size, device, threads)
    facts = facts_of(bench, threads)
    paths = pictures(work / "pictures", candidates + rounds, side)
    tables, results = [], {}
    for kind in ("text", "composed"):
        rows, results[kind] = _pairs_of(bench, kind, paths, candidates, rounds)
        title = (
            f"{kind} queries, {candidates} candidates of {side} px, {size} Qwen3-VL of random weights; medians of "
            f"{rounds} rounds"
        )
        columns = ("s", "times loop", "by CPU time", "times ST", "pictures through tower", "largest difference")
        tables.append(show(title, columns, rows, facts))
    save(json, "rerank", facts, results, tables)


def _pairs_of(
    bench: Bench, kind: str, paths: Sequence[Path], count: int, rounds: int
) -> tuple[list[Row], dict[str, Any]]:
    shown, references = paths[:count], paths[count:]
    texts = sentences(rounds + 1, seed=len(kind))
    images = [str(path) if kind == "composed" else None for path in references]
    queries = [Query(text=text, image=image) for text, image in zip(texts, images, strict=False)]
    encoded: dict[str, int] = {}
    warm = bench.fresh()
    judged(warm, [Query(text=texts[-1])], [paths])  # all features kept, of references too
    contenders = _contenders(bench, warm, shown, encoded)
    spent: dict[str, list[Timed]] = {name: [] for name in contenders}
    apart = dict.fromkeys(contenders, 0.0)
    for number, query in enumerate(queries):
        said: dict[str, list[float]] = {}
        for name in list(contenders) if number % 2 == 0 else list(reversed(contenders)):
            said[name], taken = timed(lambda name=name, query=query: _waited(bench, contenders[name], query))
            spent[name].append(taken)
        for name in contenders:
            apart[name] = max(apart[name], difference(said[name], said[LOOP]))
    best = min((name for name in spent if name.startswith("Cross")), key=lambda name: _median(spent[name]))
    rows = []
    for name, taken in spent.items():
        goal = GOALS.get((kind, name.removeprefix("mmrank, "))) if bench.device == "cpu" else None
        over_loop, over_best = _times(spent[LOOP], taken), _times(spent[best], taken)
        reached = None if goal is None else over_loop >= goal and apart[name] <= CLOSE
        if reached and name == WARM:
            reached = over_best >= OVER_CROSS_ENCODER
        by_cpu = median(b.cpu / a.cpu for a, b in zip(taken, spent[LOOP], strict=True))
        cells = (f"{_median(taken):.2f}", f"{over_loop:.2f}", f"{by_cpu:.2f}", f"{over_best:.2f}")
        rows.append(Row(name, (*cells, str(encoded.get(name, "")), f"{apart[name]:.1e}"), reached))
    return rows, {"spent": {name: [one._asdict() for one in some] for name, some in spent.items()}, "apart": apart}


def _contenders(
    bench: Bench, warm: LocalMLLM, shown: Sequence[Path], encoded: dict[str, int]
) -> dict[str, Callable[[Query], list[float]]]:
    """By name, what scores `shown` for a query; how many pictures passed the tower is noted in `encoded`."""
    encoder = cross_encoder(bench)

    def ours(mllm: Callable[[], LocalMLLM], name: str) -> Callable[[Query], list[float]]:
        def run(query: Query) -> list[float]:
            (ranking,) = judged(mllm(), [query], [shown])
            encoded[name] = ranking.records[-1].cost.images_encoded
            return scores_of(ranking, shown)

        return run

    return {
        LOOP: lambda query: loop(bench, query, shown),
        **{f"CrossEncoder, batches of {n}": lambda query, n=n: encoder(query, shown, n) for n in BATCHES},
        COLD: ours(bench.fresh, COLD),
        WARM: ours(lambda: warm, WARM),
    }


def _median(taken: Sequence[Timed]) -> float:
    return median(one.seconds for one in taken)


def _times(base: Sequence[Timed], taken: Sequence[Timed]) -> float:
    """How many times as fast as `base`, in the median over the rounds."""
    return median(b.seconds / a.seconds for a, b in zip(taken, base, strict=True))


def _waited(bench: Bench, run: Callable[[Query], list[float]], query: Query) -> list[float]:
    scores = run(query)
    bench.done()
    return scores


if __name__ == "__main__":
    app()
