"""Bench a build by Ray workers against the same build by threads of one process.

    python scripts/bench_cluster.py --work /somewhere/with/3GB --json cluster.json

Both have two cores: here one thread runs the model and another decodes, there two processes do both, one torch thread
each. What Ray takes to start is measured by a build of nothing, and told beside the rate after it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch are loaded: one thread for every contender

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
from _bench import Row, environment, save, show, timed
from _bench_data import photographs, random_open_clip

GOAL = 0.7
"""Of the local rate; see docs/results.md."""

HERE, THERE = "threads of this process", "Ray workers"


def main(
    *,
    work: Annotated[Path, typer.Option(help="Folder for pictures, model and indexes; pictures are used again.")],
    count: Annotated[int, typer.Option(min=10, help="JPEGs of 1 to 12 megapixels.")] = 500,
    workers: Annotated[int, typer.Option(min=1, help="Ray workers, of one CPU each.")] = 2,
    model: Annotated[str, typer.Option(help="open_clip architecture, random weights.")] = "ViT-B-32",
    rounds: Annotated[int, typer.Option(min=1, help="Each runs this often, in turn; its best counts.")] = 2,
    to: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Pictures per second, the time to start, and whether all rows are the same."""
    import mmrank as mm
    from mmrank.index import ray_crew

    paths = photographs(work / "photos", count)[:count]
    embedder = mm.load_embedder(str(random_open_clip(work / model, model).resolve()), device="cpu", threads=1)
    facts = environment()
    ray_crew.LITTLE = -1  # nothing is too little for a cluster: its start is what a build of nothing measures
    there = mm.RayWorkers(count=workers, device="cpu", threads=1)
    contenders: dict[str, Any] = {HERE: None, THERE: there}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    starts: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders) if number % 2 == 0 else list(reversed(contenders)):
            index = mm.Index.create(_fresh(work / name.replace(" ", "-")), embedder)
            starts[name].append(
                timed(lambda index=index, name=name: index.add([], workers=contenders[name]))[1].seconds
            )
            report, took = timed(lambda index=index, name=name: index.add(_items(paths), workers=contenders[name]))
            if report.added != count:
                raise SystemExit(f"{report.added} of {count} pictures were added: {report.failed[:3]}")
            seconds[name].append(took.seconds)
            print(f"round {number + 1}, {name}: {took.seconds:.1f} s", file=sys.stderr)
    same = _tables(work / HERE.replace(" ", "-")) == _tables(work / THERE.replace(" ", "-"))
    _report(count, seconds, starts, same, facts, to)


def _report(  # noqa: PLR0917 - what a table is made of
    count: int,
    seconds: dict[str, list[float]],
    starts: dict[str, list[float]],
    same: bool,
    facts: dict[str, Any],
    to: Path | None,
) -> None:
    started = {name: min(took) for name, took in starts.items()}
    rates = {name: count / (min(took) - started[name]) for name, took in seconds.items()}
    rows = []
    for name, took in seconds.items():
        share = rates[name] / rates[HERE]
        cells = (f"{min(took):.1f}", f"{started[name]:.1f}", f"{rates[name]:.2f}", f"{share:.2f}")
        equal = ("yes" if same else "no") if name == THERE else ""
        rows.append(Row(name, (*cells, equal), share >= GOAL and same if name == THERE else None))
    columns = ("s in all", "s to start", "images/s then", "of here", "same rows")
    title = f"{count} JPEGs of 1 to 12 megapixels, two cores (goal: {GOAL} of the rate here, all rows the same)"
    results = {"seconds": seconds, "start": started, "images_per_second": rates, "same_rows": same}
    save(to, "cluster", facts, results, [show(title, columns, rows, facts)])


def _items(paths: Sequence[Path]) -> list[Any]:
    import mmrank as mm

    return [mm.Item(id=path.name, kind="image", uri=str(path)) for path in paths]


def _tables(folder: Path) -> dict[str, pa.Table]:
    """Every table of an index, in the order its rows were written."""
    import lancedb

    connection = lancedb.connect(str(folder))
    names = ("items", "thumbnails", "frames")
    return {name: connection.open_table(name).to_arrow() for name in names}


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


if __name__ == "__main__":
    typer.run(main)
