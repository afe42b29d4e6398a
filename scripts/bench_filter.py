"""Bench filtered search: 200,000 clustered vectors of 512 dimensions, filters that let 0.1, 1 and 50 % through.

    python scripts/bench_filter.py --work /somewhere/with/2GB

The yardstick has the matrix in memory and does the whole job: the filter is evaluated by Lance (the metadata lie in
its table), the rows that pass are gathered and multiplied (or all multiplied and masked, whichever is faster), and the
ten items are read. "again": the same filter was asked before, as when paging; the yardstick is then given its rows.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: one thread for every contender

import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from _bench import Row, TableText, environment, interleaved, medians, ratio, save, show, timed
from _bench_data import Floats, clustered
from bench_search import WARM_UP, GivenVectors, K, fill

RATIO_GOAL = 1.5
RECALL_GOAL = 0.97
FILTERS = {"0.1 %": 0.1, "1 %": 1.0, "50 %": 50.0}
"""Share of the rows that pass, and the limit of ``price``, which is even between 0 and 100."""

DENSE_SHARE = 0.25
COLUMNS = ["id", "kind", "uri", "parent", "text", "price"]

Results = dict[str, Any]


class Given(NamedTuple):
    """What every measurement works on: the vectors, the queries, the prices, and how many queries to ask."""

    matrix: Floats
    asked: Floats
    price: Any
    queries: int
    batch: int


def filtered(
    *,
    work: Annotated[Path, typer.Option(help="Folder for the index; made anew unless --keep.")],
    rows: Annotated[int, typer.Option(min=20_000, help="Vectors in the index: a thousandth must hold ten.")] = 200_000,
    queries: Annotated[int, typer.Option(min=5, help="Single queries per filter and contender.")] = 30,
    batch: Annotated[int, typer.Option(help="Queries in the batch.")] = 200,
    ann: Annotated[bool, typer.Option(help="Also with an approximate index (built in minutes).")] = True,
    keep: Annotated[bool, typer.Option("--keep", help="Use the index that an earlier run left.")] = False,
    to: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Filtered search, exact and approximate, against exact search over the filtered rows."""
    import mmrank as mm

    facts = environment()
    matrix, asked = clustered(rows, 512, max(queries + WARM_UP, batch))
    price = np.random.default_rng(3).uniform(0, 100, rows)
    given = Given(matrix, asked, price, queries, batch)
    folder, embedder = work / "index-filtered", GivenVectors(asked)
    if not (keep and folder.exists()):
        fill(folder, matrix, embedder, price)
    index = mm.Index.open(str(folder), embedder)
    results: Results = {"rows": rows}
    tables = []
    if index.stats()["search"] == "exact":
        _, upkeep = timed(index.optimize)
        print(f"compacted and indexed in {upkeep.seconds:.1f} s", file=sys.stderr)
        results["exact"], table = _measured(index, given, facts, "exact")
        tables.append(table)
    if ann:
        if index.stats()["search"] == "exact":
            _, built = timed(lambda: index.optimize(ann="hnsw_sq"))
            print(f"approximate index built in {built.seconds:.0f} s", file=sys.stderr)
        results["hnsw_sq"], table = _measured(index, given, facts, "hnsw_sq")
        tables.append(table)
    save(to, "filter", facts, results, tables)


def _measured(index: Any, given: Given, facts: Results, how: str) -> tuple[Results, TableText]:
    results: Results = {}
    lines: list[Row] = []
    for share, limit in FILTERS.items():
        found = results[share] = _one_filter(index, given, limit)
        for name in ("new", "again", "batch"):
            one = found[name]
            cells = (f"{one['numpy_ms']:.1f}", f"{one['mmrank_ms']:.1f}", f"{one['ratio']:.2f}")
            lines.append(Row(f"{share}, {name}", cells, one["ratio"] <= RATIO_GOAL))
        cells = ("", f"{found['recall']:.3f}", f"{found['fewest']}")
        lines.append(Row(f"{share}, recall@10 and fewest hits", cells, found["recall"] >= RECALL_GOAL))
    title = f"Filtered search ({how}), {len(given.matrix):,} x 512 clustered, k = {K} (goal: {RATIO_GOAL} of numpy)"
    return results, show(title, ("numpy ms", "mmrank ms", "ratio"), lines, facts)


def _one_filter(index: Any, given: Given, limit: float) -> Results:
    import lancedb

    table = lancedb.connect(index.uri).open_table("items")
    places = _places(table)
    matrix, asked, batch = given.matrix, given.asked, given.batch
    rows = np.flatnonzero(given.price < limit)

    def where(number: int) -> str:
        return f"price < {limit + number * 1e-9:.12f}"  # another text each time, the same rows

    def numpy_new(number: int) -> None:
        hits = table.search().where(where(number)).select(["kind"]).with_row_id(True).to_arrow()["_rowid"].to_numpy()
        _read(table, places, _top(matrix, np.sort(np.searchsorted(places, hits)), asked[number]))

    runs = given.queries + WARM_UP
    new = interleaved(
        {"numpy": numpy_new, "mmrank": lambda n: index.search(f"q{n}", k=K, where=where(n))},
        runs,
    )
    again = interleaved(
        {
            "numpy": lambda n: _read(table, places, _top(matrix, rows, asked[n])),
            "mmrank": lambda n: index.search(f"q{n}", k=K, where=where(0)),
        },
        runs,
    )
    texts = [f"q{n}" for n in range(batch)]
    index.search_many(texts[:8], k=K, where=where(0))  # FAISS is loaded by the first batch of a process
    rankings, took = timed(lambda: index.search_many(texts, k=K, where=where(1_000)))
    _, numpy_took = timed(lambda: _numpy_batch(table, places, matrix, rows, asked[:batch]))
    truth = [{f"row-{p:07d}" for p in _top(matrix, rows, query)} for query in asked[:batch]]
    shared = [len(set(r.ids) & t) / K for r, t in zip(rankings, truth, strict=True)]
    return {
        "new": _compared({name: seconds[WARM_UP:] for name, seconds in new.items()}),
        "again": _compared({name: seconds[WARM_UP:] for name, seconds in again.items()}),
        "batch": {
            "numpy_ms": 1000 * numpy_took.seconds / batch,
            "mmrank_ms": 1000 * took.seconds / batch,
            "ratio": took.seconds / numpy_took.seconds,
        },
        "recall": float(np.mean(shared)),
        "fewest": min(len(r.ids) for r in rankings),
    }


def _compared(seconds: dict[str, list[float]]) -> Results:
    middle = medians(seconds)
    return {
        "numpy_ms": 1000 * middle["numpy"],
        "mmrank_ms": 1000 * middle["mmrank"],
        "ratio": ratio("mmrank", seconds, "numpy"),
    }


def _places(table: Any) -> Any:
    """The row id of every row of the matrix, rising: rows were written in the order of their numbers."""
    found = table.search().select(["id"]).with_row_id(True).to_arrow().sort_by("id")
    return found["_rowid"].to_numpy()


def _top(matrix: Floats, rows: Any, query: Floats) -> Any:
    """Positions of the ten best among `rows`, best first."""
    if len(rows) > DENSE_SHARE * len(matrix):
        scores = np.full(len(matrix), -2, np.float32)
        scores[rows] = (matrix @ query)[rows]
        top = np.argpartition(scores, -K)[-K:]
        return top[np.argsort(-scores[top])]
    scores = matrix[rows] @ query
    top = np.argpartition(scores, -K)[-K:]
    return rows[top[np.argsort(-scores[top])]]


def _read(table: Any, places: Any, positions: Any) -> list[dict[str, Any]]:
    """The items at these positions."""
    found: list[dict[str, Any]] = table.take_row_ids(places[positions].tolist()).select(COLUMNS).to_arrow().to_pylist()
    return found


def _numpy_batch(table: Any, places: Any, matrix: Floats, rows: Any, queries: Floats) -> None:
    """One product for the batch, the ten best of each, and one reading of all items."""
    scores = queries @ matrix[rows].T
    top = np.argpartition(scores, -K, axis=1)[:, -K:]
    _read(table, places, np.unique(rows[top]))


if __name__ == "__main__":
    typer.run(filtered)
