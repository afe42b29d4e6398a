"""Bench fusing: how fast Runs are fused, and how flat the chosen settings are on real score matrices.

    python scripts/bench_fusion.py speed --json fusion_speed.json
    python scripts/bench_fusion.py flatness --scores FOLDER --json fusion_flatness.json

`speed`: 1,000 queries, 4 lists, 1,000 items each, beside a bare numpy floor in the same run that does the least any
product of experts must: scale, sum of logarithms, sort, on dense matrices that are aligned already and without ties.
`flatness`: R@1 over a range of epsilon and of the kinship threshold. FOLDER holds ``msrvtt/`` and ``didemo/`` with
``{InternVideo2,GRAM,clip4clip,VAST}_{data set}.npy``, square, the right item of a row on the diagonal; what is not
there is left out, and said. The rules see no labels, but epsilon and threshold were looked at on these test sets.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: one thread for every contender

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from _bench import Row, environment, interleaved, medians, ratio, save, show, timed

from mmrank.aggregate import PRODUCT_EPSILON, Groups, Table
from mmrank.kinship import KIN_THRESHOLD, groups_above, kinship
from mmrank.run import Run
from mmrank.run_fusion import fuse_runs

QUERIES, LISTS, ITEMS, GALLERY = 1_000, 4, 1_000, 50_000
GOAL_SECONDS = 1.0
EPSILONS = (0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
THRESHOLDS = (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.55, 0.6, 0.7)
MODELS = ("InternVideo2", "GRAM", "clip4clip", "VAST")
CASES = (("msrvtt", "t2v"), ("msrvtt", "v2t"), ("didemo", "t2v"), ("didemo", "v2t"))

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Json = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]


@app.command()
def speed(json: Json = None, rounds: Annotated[int, typer.Option(min=1)] = 7) -> None:
    """Seconds to fuse 1,000 queries x 4 lists x 1,000 items, everything in memory."""
    facts = environment()
    random = np.random.default_rng(0)
    dense = random.normal(size=(LISTS, QUERIES, ITEMS))
    sparse = np.where(random.random(dense.shape) < 0.9, 0.0, np.abs(dense))
    full, tied, wide = _runs(dense), _runs(sparse), _wide_runs(random)
    _agree(dense, full)
    contenders: dict[str, Callable[[], Any]] = {
        "numpy floor: product, aligned": lambda: _floor(dense),
        "product": lambda: fuse_runs(full),
        "product, two groups": lambda: fuse_runs(full, groups=[[0, 1], [2, 3]]),
        "combmnz": lambda: fuse_runs(full, "combmnz"),
        "weighted_sum, z_score": lambda: fuse_runs(full, "weighted_sum", normalise="z_score"),
        "rrf": lambda: fuse_runs(full, "rrf"),
        "product, nine of ten scores 0 (ties)": lambda: fuse_runs(tied),
        f"product, gallery of {GALLERY:,} (3.9 M items out)": lambda: fuse_runs(wide),
        "kinship": lambda: kinship(full),
    }
    seconds = interleaved({name: lambda _, work=work: work() for name, work in contenders.items()}, rounds + 1)
    seconds = {name: values[1:] for name, values in seconds.items()}  # the first round warms up
    busy = {name: timed(work)[1].cpu for name, work in contenders.items()}
    base = next(iter(contenders))
    shares = {name: ratio(name, seconds, base) for name in contenders}
    results = {"median_seconds": medians(seconds), "cpu_seconds": busy, "ratio_to_floor": shares, "rounds": rounds}
    rows = [
        Row(
            name,
            (f"{value:.3f}", f"{busy[name]:.2f}", f"{shares[name]:.2f}"),
            None if name in (base, "kinship") else value < GOAL_SECONDS,
        )
        for name, value in results["median_seconds"].items()
    ]
    title = f"Fusing {QUERIES:,} queries x {LISTS} lists x {ITEMS:,} items"
    table = show(title, ("seconds", "CPU seconds", "ratio to floor"), rows, facts)
    save(json, "fusion-speed", facts, results, [table])


def _runs(stacked: Table) -> list[Run]:
    queries = [f"q{number:04d}" for number in range(stacked.shape[1])]
    items = [f"i{number:04d}" for number in range(stacked.shape[2])]
    return [Run.from_matrix(matrix, queries, items) for matrix in stacked]


def _wide_runs(random: np.random.Generator) -> list[Run]:
    """Lists of 1,000 from a gallery of 50,000, hardly overlapping: as many items come out as go in."""
    queries = tuple(f"q{number:04d}" for number in range(QUERIES))
    items = tuple(f"i{number:05d}" for number in range(GALLERY))
    runs = []
    for _ in range(LISTS):
        codes = np.concatenate([random.choice(GALLERY, ITEMS, replace=False) for _ in range(QUERIES)])
        scores = -np.sort(-random.normal(size=(QUERIES, ITEMS)), axis=1).ravel()
        offsets = np.arange(QUERIES + 1, dtype=np.int64) * ITEMS
        runs.append(Run(query_ids=queries, offsets=offsets, items=items, codes=codes.astype(np.int32), scores=scores))
    return runs


def _floor(dense: Table) -> Any:
    low, high = dense.min(axis=2, keepdims=True), dense.max(axis=2, keepdims=True)
    fused = np.log((dense - low) / (high - low) + PRODUCT_EPSILON).sum(axis=0)
    return np.argsort(-fused, axis=1)


def _agree(dense: Table, runs: Sequence[Run]) -> None:
    """The floor must do the same work: same order for every query."""
    if not (fuse_runs(runs).codes.reshape(QUERIES, ITEMS) == _floor(dense)).all():
        raise SystemExit("mmrank and the numpy floor disagree about the order.")


@app.command()
def flatness(
    scores: Annotated[Path, typer.Option(help="The folder with msrvtt/ and didemo/ in it.")], json: Json = None
) -> None:
    """R@1 (a tie counts as a miss) over epsilon and over the threshold of kinship."""
    facts = environment()
    by_epsilon: dict[str, dict[str, dict[str, float]]] = {}
    by_threshold: dict[str, dict[str, Any]] = {}
    pairs: dict[str, list[list[float]]] = {}
    for data, direction in CASES:
        case = f"{data} {direction}"
        runs = _load(scores / data, data, direction)
        if len(runs) < 2:
            print(f"{case}: fewer than two matrices in {scores / data}; left out.")
            continue
        by_epsilon[case] = {
            name: {str(e): _recall(fuse_runs([runs[m] for m in chosen], epsilon=e, groups=groups)) for e in EPSILONS}
            for name, chosen, groups in _choices(runs)
        }
        if len(runs) == len(MODELS):
            alike = kinship(list(runs.values()))
            pairs[case] = alike.tolist()
            by_threshold[case] = {
                str(t): [groups_above(alike, t), _recall(fuse_runs(list(runs.values()), groups=groups_above(alike, t)))]
                for t in THRESHOLDS
            }
    results = {"epsilon": by_epsilon, "threshold": by_threshold, "kinship": pairs, "models": MODELS}
    tables = [_epsilon_table(by_epsilon, facts)] if by_epsilon else []
    if by_threshold:
        tables.append(_threshold_table(by_threshold, facts))
    save(json, "fusion-flatness", facts, results, tables)


def _load(folder: Path, data: str, direction: str) -> dict[str, Run]:
    runs = {}
    for model in MODELS:
        path = folder / f"{model}_{data}.npy"
        if path.is_file():
            matrix = np.load(path, allow_pickle=False)
            ids = [f"{number:05d}" for number in range(len(matrix))]
            runs[model] = Run.from_matrix(matrix if direction == "t2v" else matrix.T, ids, ids, name=model)
    return runs


def _choices(runs: dict[str, Run]) -> list[tuple[str, list[str], Groups | None]]:
    models = list(runs)
    chosen: list[tuple[str, list[str], Groups | None]] = [
        (f"{count} lists", models[:count], None) for count in range(2, len(models) + 1)
    ]
    if len(models) == len(MODELS):
        groups = groups_above(kinship(list(runs.values())), KIN_THRESHOLD)
        chosen.append((f"{len(models)} lists, kin groups", models, groups))
    return chosen


def _recall(run: Run) -> float:
    """R@1 in percent; the right item has its query's id, and a tie counts as a miss."""
    best = 0
    for query_id, ids, scores in run:
        best += int((scores >= scores[ids.index(query_id)]).sum() == 1)
    return 100 * best / len(run)


def _epsilon_table(found: dict[str, dict[str, dict[str, float]]], facts: dict[str, Any]) -> Any:
    rows = [
        Row(f"{case}: {name}", tuple(f"{value:.1f}" for value in of_epsilon.values()))
        for case, of_lists in found.items()
        for name, of_epsilon in of_lists.items()
    ]
    return show("R@1 of product by epsilon", [str(e) for e in EPSILONS], rows, facts)


def _threshold_table(found: dict[str, dict[str, Any]], facts: dict[str, Any]) -> Any:
    rows = [
        Row(case, tuple(f"{recall:.1f} ({len(groups)})" for groups, recall in of_threshold.values()))
        for case, of_threshold in found.items()
    ]
    return show("R@1 of product on four lists by kinship threshold (groups)", [str(t) for t in THRESHOLDS], rows, facts)


if __name__ == "__main__":
    app()
