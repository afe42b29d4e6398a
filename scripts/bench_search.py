"""Bench searching: 200,000 vectors of 512 dimensions, mmrank beside numpy, FAISS and bare LanceDB in one run.

    python scripts/bench_search.py --work /somewhere/with/2GB
    python scripts/bench_search.py --work /somewhere/with/2GB --data random

Medians over queries, every contender in turn for each query. Prints tables and, with --json FILE, writes the figures
with the versions and the machine behind them.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: one thread for every contender

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import numpy as np
import typer
from _bench import Row, TableText, environment, interleaved, medians, ratio, save, show, timed
from _bench_data import Floats, batches, clustered, plain_random

K = 10
EXACT_GOAL = 1.5
ANN_RECALL_GOAL = 0.98
ANN_GOAL = 1.3
BATCH_GOAL = 1 / 3
"""What is to be reached; see docs/results.md."""

WARM_UP = 3
"""Queries before the clock starts: caches, lazily loaded parts. The first query is measured on its own."""

WRITE_ROWS = 20_000

FIRST_QUERY = """
import sys, time
import numpy as np
import mmrank as mm
index = mm.Index.open(sys.argv[1])
query = np.zeros((1, index.stats()["dimension"]), np.float32)
query[0, 0] = 1
start = time.perf_counter()
index.search_vectors(query, 10, exact=sys.argv[2] == "True")
print(time.perf_counter() - start)
"""

Results = dict[str, Any]


class GivenVectors:
    """An embedder for texts like ``q17``: gives query vector 17. Nothing of a search's time is a model's."""

    kinds = frozenset({"image"})
    warning = None

    def __init__(self, queries: Floats) -> None:
        from mmrank.embed.base import Fingerprint, MediaNeeds

        self.spec = "bench:given"
        self.dimension = queries.shape[1]
        self.fingerprint = Fingerprint(weights="given", preprocessing="none", dimension=self.dimension)
        self.needs = MediaNeeds()
        self._queries = queries

    def prepare(self, loaded: Any) -> Any:
        raise NotImplementedError("rows are written as vectors")

    def embed(self, prepared: Sequence[Any]) -> list[Any]:
        raise NotImplementedError("rows are written as vectors")

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """The vectors with these numbers."""
        return self._queries[[int(text[1:]) for text in texts]]

    def embed_images(self, images: Sequence[Any]) -> Floats:
        raise NotImplementedError("queries are texts")


def search(
    *,
    work: Annotated[Path, typer.Option(help="Folder for the index; made anew.")],
    rows: Annotated[int, typer.Option(help="Vectors in the index.")] = 200_000,
    dimension: Annotated[int, typer.Option(help="Dimensions.")] = 512,
    queries: Annotated[int, typer.Option(min=10, help="Single queries per contender.")] = 60,
    batch: Annotated[int, typer.Option(help="Queries in the batch.")] = 1_000,
    data: Annotated[Literal["clustered", "random"], typer.Option(help="How the vectors lie.")] = "clustered",
    ann: Annotated[Literal["hnsw_sq", "ivf_rq"], typer.Option(help="The approximate index.")] = "hnsw_sq",
    to: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Exact and approximate search, single and batched, against the bare libraries."""
    import mmrank as mm

    facts = environment()
    make = clustered if data == "clustered" else plain_random
    matrix, asked = make(rows, dimension, max(queries + WARM_UP, batch))
    folder = work / f"index-{data}"
    embedder = GivenVectors(asked)
    _, written = timed(lambda: fill(folder, matrix, embedder))
    index = mm.Index.open(str(folder), embedder)
    _, upkeep = timed(index.optimize)
    title = f"{rows:,} x {dimension} {data}, k = {K}"
    print(f"{title}: written in {written.seconds:.1f} s, scalar indexes {upkeep.seconds:.1f} s", file=sys.stderr)
    results: Results = {"rows": rows, "dimension": dimension, "data": data, "ann": ann}
    results["exact"] = _exact(index, matrix, asked, queries, batch)
    results["exact"]["first_query_seconds"] = _first_query(folder, exact=True)
    tables = [_show_exact(f"Exact search, {title} (goal: {EXACT_GOAL} of numpy)", results["exact"], facts)]
    _, build = timed(lambda: index.optimize(ann=ann))
    results["ann_search"] = _approximate(index, matrix, asked, queries, batch)
    results["ann_search"] |= {"build_seconds": build.seconds, "first_query_seconds": _first_query(folder, exact=False)}
    settings = ", ".join(f"{name} {value}" for name, value in results["ann_search"]["settings"].items())
    title = f"Approximate search ({ann}: {settings}), {title}"
    tables.append(_show_approximate(title, results["ann_search"], facts, judged=data == "clustered"))
    save(to, f"search-{data}", facts, results, tables)


def fill(folder: Path, matrix: Floats, embedder: GivenVectors, prices: Floats | None = None) -> None:
    """Write rows through the index's own store and schema: images with id, uri and vector, maybe a price."""
    import pyarrow as pa

    from mmrank.index.metadata import declare
    from mmrank.index.store import Store

    shutil.rmtree(folder, ignore_errors=True)
    table = Store.create(str(folder), embedder).items
    if prices is not None:
        declare(table, {"price": "float"})
    schema = table.schema
    for start, part in batches(matrix, WRITE_ROWS):
        names = [f"row-{start + number:07d}" for number in range(len(part))]
        given = {
            "id": pa.array(names),
            "kind": pa.array(["image"] * len(part)),
            "uri": pa.array([f"photos/{name}.jpg" for name in names]),
            "content": pa.array(names),
            **({} if prices is None else {"price": pa.array(prices[start : start + len(part)])}),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), part.shape[1]),
        }
        columns = [given.get(field.name, pa.nulls(len(part), field.type)) for field in schema]
        table.add(pa.table(columns, schema=schema))


def _exact(index: Any, matrix: Floats, asked: Floats, queries: int, batch: int) -> Results:
    """Single queries in turn, then a batch; the ten items of every query are fetched where the contender has items."""
    import faiss

    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(matrix.shape[1])
    flat.add(matrix)
    table = _table(index)
    single = interleaved(
        {
            "numpy": lambda n: _numpy_top(matrix, asked[n]),
            "mmrank": lambda n: index.search(f"q{n}", k=K, exact=True),
            "FAISS flat": lambda n: flat.search(asked[n : n + 1], K),
            "LanceDB flat": lambda n: _bare(table, asked[n]).bypass_vector_index().to_list(),
        },
        queries + WARM_UP,
    )
    single = {name: seconds[WARM_UP:] for name, seconds in single.items()}
    texts = [f"q{n}" for n in range(batch)]
    rankings, took = timed(lambda: index.search_many(texts, k=K, exact=True))
    _, faiss_took = timed(lambda: flat.search(asked[:batch], K))
    truth = [_ids(_numpy_top(matrix, query)) for query in asked[:queries]]
    agreed = sum(len(set(r.ids) & t) for r, t in zip(rankings, truth, strict=False)) / (K * len(truth))
    return {
        "single_ms": {name: 1000 * seconds for name, seconds in medians(single).items()},
        "ratio_to_numpy": {name: ratio(name, single, "numpy") for name in single},
        "batch_ms_per_query": {"mmrank": 1000 * took.seconds / batch, "FAISS flat": 1000 * faiss_took.seconds / batch},
        "recall": agreed,
    }


def _approximate(index: Any, matrix: Floats, asked: Floats, queries: int, batch: int) -> Results:
    """mmrank beside the bare LanceDB query of the same index with the same parameters and columns."""
    from mmrank.index.nearest import ANN_SETTING, AnnSettings
    from mmrank.index.store import Store

    measured = Store.open(index.uri, None).setting(ANN_SETTING) or {}  # what the build found and keeps
    settings = AnnSettings(**measured["vector"])
    table = _table(index)

    def bare(query: Floats) -> Any:
        builder = _bare(table, query).ef(max(settings.ef, K * settings.refine)).nprobes(settings.nprobes)
        return builder.refine_factor(settings.refine).to_list()

    single = interleaved(
        {
            "LanceDB bare": lambda n: bare(asked[n]),
            "mmrank": lambda n: index.search(f"q{n}", k=K, exact=False),
        },
        queries + WARM_UP,
    )
    single = {name: seconds[WARM_UP:] for name, seconds in single.items()}
    texts = [f"q{n}" for n in range(batch)]
    rankings, took = timed(lambda: index.search_many(texts, k=K, exact=False))
    _, bare_took = timed(lambda: bare(asked[:batch]))
    checked = min(batch, 200)
    truth = [_ids(_numpy_top(matrix, query)) for query in asked[:checked]]
    found = sum(len(set(r.ids) & t) for r, t in zip(rankings[:checked], truth, strict=True))
    return {
        "settings": settings.to_json(),
        "single_ms": {name: 1000 * seconds for name, seconds in medians(single).items()},
        "ratio_to_bare": ratio("mmrank", single, "LanceDB bare"),
        "batch_ms_per_query": {"mmrank": 1000 * took.seconds / batch, "LanceDB bare": 1000 * bare_took.seconds / batch},
        "recall": found / (K * checked),
        "queries_checked": checked,
    }


def _table(index: Any) -> Any:
    import lancedb

    return lancedb.connect(index.uri).open_table("items")


def _bare(table: Any, query: Floats) -> Any:
    """LanceDB's own query for the same columns; a matrix asks for a batch."""
    columns = ["id", "kind", "uri", "parent", "text", "_distance"]
    return table.search(query, vector_column_name="vector").distance_type("cosine").limit(K).select(columns)


def _numpy_top(matrix: Floats, query: Floats) -> Any:
    """Positions of the ten best by one matrix-vector product and a partial sort, best first."""
    scores = matrix @ query
    top = np.argpartition(scores, len(scores) - K)[-K:]
    return top[np.argsort(-scores[top])]


def _ids(positions: Any) -> set[str]:
    return {f"row-{position:07d}" for position in positions}


def _first_query(folder: Path, *, exact: bool) -> float:
    """Seconds of the first query of a fresh process on an opened index (files may be in the system's page cache)."""
    command = [sys.executable, "-c", FIRST_QUERY, str(folder), str(exact)]
    runs = [subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    return median(float(run.stdout.splitlines()[-1]) for run in runs)


def _show_exact(title: str, found: Results, facts: Results) -> TableText:
    rows = []
    for name, milliseconds in found["single_ms"].items():
        share = found["ratio_to_numpy"][name]
        batched = found["batch_ms_per_query"].get(name)
        cells = (f"{milliseconds:.1f}", f"{share:.2f}", f"{batched:.2f}" if batched else "")
        rows.append(Row(name, cells, share <= EXACT_GOAL if name == "mmrank" else None))
    cost = found["batch_ms_per_query"]["mmrank"] / found["single_ms"]["mmrank"]
    rows.append(Row("mmrank: batched over single", ("", f"{cost:.3f}"), cost <= BATCH_GOAL))
    rows.append(Row("mmrank: recall@10 of numpy's", ("", f"{found['recall']:.3f}"), found["recall"] == 1.0))
    rows.append(Row("mmrank: first query of a process", (f"{1000 * found['first_query_seconds']:.0f}",)))
    return show(title, ("ms single", "ratio", "ms batched"), rows, facts)


def _show_approximate(title: str, found: Results, facts: Results, *, judged: bool) -> TableText:
    """`judged`: the goals are meant for this data."""
    rows = []
    for name, milliseconds in found["single_ms"].items():
        share = found["ratio_to_bare"] if name == "mmrank" else 1.0
        cells = (f"{milliseconds:.2f}", f"{share:.2f}", f"{found['batch_ms_per_query'][name]:.2f}")
        rows.append(Row(name, cells, share <= ANN_GOAL if name == "mmrank" and judged else None))
    cost = found["batch_ms_per_query"]["mmrank"] / found["single_ms"]["mmrank"]
    rows.append(Row("mmrank: batched over single", ("", f"{cost:.3f}"), cost <= BATCH_GOAL if judged else None))
    enough = found["recall"] >= ANN_RECALL_GOAL if judged else None
    rows.append(Row("mmrank: recall@10", ("", f"{found['recall']:.3f}"), enough))
    rows.append(Row("mmrank: first query of a process", (f"{1000 * found['first_query_seconds']:.0f}",)))
    rows.append(Row("index built and tuned: seconds", (f"{found['build_seconds']:.0f}",)))
    return show(title, ("ms single", "ratio", "ms batched"), rows, facts)


if __name__ == "__main__":
    typer.run(search)
