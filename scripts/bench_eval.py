"""Bench metrics: from lists and matrices in memory to figures, beside ir-measures and plain loops.

    python scripts/bench_eval.py --json eval.json

Two parts. *Side by side*: the same small work for every contender, which must agree with each other: ranks of the right
item, R@1, R@5, R@10, median and mean rank. mmrank's times hold its checks as well (unknown ids, items twice, NaN), and
of a matrix the best hundred of each query. *At size*: MSR-VTT's whole test set, 59,800 captions x 2,990 videos, as a
Run and as a float32 matrix on disk, by mmrank alone, with the memory it allocates on top of its input.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: one thread for every contender

import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import ir_measures
import numpy as np
import numpy.typing as npt
import typer
from _bench import Row, environment, interleaved, medians, ratio, save, show, timed

from mmrank.evaluation.dataset import Task
from mmrank.evaluation.judged import judge_matrix, judge_run
from mmrank.evaluation.matrices import load_matrix
from mmrank.evaluation.protocols import PAIRED
from mmrank.run import Run
from mmrank.types import Item, Query

SMALL = (1_000, 1_000)
LARGE = (59_800, 2_990)
GOAL_RUN_SECONDS, GOAL_MATRIX_SECONDS = 20.0, 0.5
MEASURES = [ir_measures.parse_measure(name) for name in ("Success@1", "Success@5", "Success@10", "RR")]
GIB = 1 << 30

Scores = npt.NDArray[np.floating]


def main(
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    share: Annotated[float, typer.Option(min=0.01, max=1.0, help="Of the queries of the large part.")] = 1.0,
) -> None:
    """Seconds from lists and matrices to figures."""
    facts = environment()
    small, small_rows = _side_by_side(rounds)
    large, large_rows = _at_size(int(LARGE[0] * share))
    tables = [
        show(
            f"Side by side: {SMALL[0]:,} queries x {SMALL[1]:,} items",
            ("seconds", "ratio to mmrank"),
            small_rows,
            facts,
        ),
        show(
            f"At size: {large['queries']:,} queries x {LARGE[1]:,} items",
            ("seconds", "GiB allocated"),
            large_rows,
            facts,
        ),
    ]
    save(json, "eval", facts, {"side_by_side": small, "at_size": large}, tables)


def _task(queries: int, items: int) -> tuple[Task, npt.NDArray[np.int64]]:
    own = np.random.default_rng(1).integers(0, items, queries)
    names = [f"video{number}" for number in range(items)]
    task = Task(
        queries=tuple(Query(id=f"q{number}", text="x") for number in range(queries)),
        gallery=tuple(Item(id=name, kind="video") for name in names),
        relevant={f"q{number}": {names[item]: 1.0} for number, item in enumerate(own)},
        metrics=PAIRED,
    )
    return task, own


def _side_by_side(rounds: int) -> tuple[dict[str, Any], list[Row]]:
    task, own = _task(*SMALL)
    scores = np.random.default_rng(0).normal(size=SMALL)
    scores[np.arange(SMALL[0]), own] += 1.0
    queries, items = [query.id for query in task.queries], [item.id for item in task.gallery]
    run = Run.from_matrix(scores, queries, items)
    lists = {query: list(ids) for query, ids, _ in run}
    right = {query: next(iter(task.relevant[query])) for query in queries}
    as_dicts = {query: {item: float(len(ids) - at) for at, item in enumerate(ids)} for query, ids in lists.items()}
    qrels = {query: {item: 1} for query, item in right.items()}
    contenders: dict[str, Callable[[], Any]] = {
        "mmrank, a Run": lambda: judge_run(task, run).figures(),
        "a loop over lists of ids": lambda: _figures(np.array([ids.index(right[q]) + 1 for q, ids in lists.items()])),
        "ir-measures, dicts made before": lambda: ir_measures.calc_aggregate(MEASURES, qrels, as_dicts),
        "mmrank, a matrix": lambda: judge_matrix(task, scores).figures(),
        "numpy, sorting every row": lambda: _figures(_by_sorting(scores, own)),
        "a loop over rows": lambda: _figures(_by_rows(scores, own)),
    }
    _agree(contenders)
    seconds = interleaved({name: lambda _, work=work: work() for name, work in contenders.items()}, rounds + 1)
    seconds = {name: values[1:] for name, values in seconds.items()}  # the first round warms up
    middle = medians(seconds)
    base = {name: "mmrank, a Run" if at < 3 else "mmrank, a matrix" for at, name in enumerate(contenders)}
    shares = {name: ratio(name, seconds, base[name]) for name in contenders}
    rows = [
        Row(
            name,
            (f"{value:.3f}", f"{shares[name]:.1f}"),
            value < GOAL_MATRIX_SECONDS if name == "mmrank, a matrix" else None,
        )
        for name, value in middle.items()
    ]
    return {"median_seconds": middle, "ratio_to_mmrank": shares, "rounds": rounds}, rows


def _figures(ranks: npt.NDArray[np.integer]) -> dict[str, float]:
    hits = {f"R@{k}": float(100 * (ranks <= k).mean()) for k in (1, 5, 10)}
    return {**hits, "MdR": float(np.median(ranks)), "MnR": float(ranks.mean())}


def _by_sorting(scores: Scores, own: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    ordered = np.argsort(-scores, axis=1)
    return np.argmax(ordered == own[:, None], axis=1) + 1


def _by_rows(scores: Scores, own: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.array(
        [sum(value > row[item] for value in row.tolist()) + 1 for row, item in zip(scores, own, strict=True)]
    )


def _agree(contenders: dict[str, Callable[[], Any]]) -> None:
    """The work must be the same: R@1, R@5 and R@10 of every contender."""
    found = {}
    for name, work in contenders.items():
        figures = work()
        wanted = MEASURES[:3] if MEASURES[0] in figures else ("R@1", "R@5", "R@10")
        scale = 100 if MEASURES[0] in figures else 1
        found[name] = tuple(round(scale * float(figures[key]), 6) for key in wanted)
    if len(set(found.values())) > 1:
        raise SystemExit(f"The contenders disagree: {found}")


def _at_size(queries: int) -> tuple[dict[str, Any], list[Row]]:
    task, _ = _task(queries, LARGE[1])
    results: dict[str, Any] = {"queries": queries}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scores.npy")
        _write_scores(path, queries)
        scores = load_matrix(path, task)
        results["matrix"] = _measured(lambda: judge_matrix(task, scores).figures())
        run = _run(task)
        results["run"] = _measured(lambda: judge_run(task, run).figures())
    rows = [
        Row(what, (f"{part['seconds']:.1f}", f"{part['allocated'] / GIB:.2f}"), goal)
        for what, part, goal in (
            ("mmrank, a Run in memory", results["run"], results["run"]["seconds"] < GOAL_RUN_SECONDS),
            ("mmrank, a float32 matrix on disk", results["matrix"], None),
        )
    ]
    return results, rows


def _measured(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds, and in a second run the most bytes that were allocated at once."""
    _, took = timed(work)
    tracemalloc.start()
    work()
    allocated = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"seconds": took.seconds, "cpu_seconds": took.cpu, "allocated": allocated}


def _write_scores(path: Path, queries: int) -> None:
    rng = np.random.default_rng(2)
    matrix = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(queries, LARGE[1]))
    for first in range(0, queries, 1_000):
        matrix[first : first + 1_000] = rng.standard_normal(matrix[first : first + 1_000].shape, dtype=np.float32)
    matrix.flush()


def _run(task: Task) -> Run:
    rng = np.random.default_rng(3)
    codes = np.empty((len(task.queries), LARGE[1]), dtype=np.int32)
    for row in codes:
        row[:] = rng.permutation(LARGE[1])
    return Run(
        query_ids=tuple(query.id for query in task.queries),
        offsets=np.arange(len(codes) + 1, dtype=np.int64) * LARGE[1],
        items=tuple(item.id for item in task.gallery),
        codes=codes.ravel(),
        scores=np.broadcast_to(np.arange(LARGE[1], 0, -1.0), codes.shape).ravel(),
    )


if __name__ == "__main__":
    typer.run(main)
