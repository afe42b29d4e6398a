"""Bench what a query costs as the gallery grows: exact and approximate search over 1,000 to 200,000 vectors.

    python scripts/bench_growth.py --work /somewhere/with/2GB --json growth.json --plot docs/growth.svg
    python scripts/bench_growth.py --work FOLDER --rows 1000,10000

Medians over single queries; exact and approximate in turn for each query, numpy's product and partial sort beside them.
The exponent is the slope between two sizes in a plot of logarithms: 1 where twice the rows cost twice the time.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: one thread for every contender

import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from _bench import Row, environment, interleaved, medians, save, show, timed
from _bench_data import clustered
from bench_search import ANN_RECALL_GOAL, WARM_UP, GivenVectors, K, _ids, _numpy_top, fill

ROWS = "1000,10000,100000,200000"

CONTENDERS = ("numpy", "mmrank, exact", "mmrank, approximate")

Results = dict[str, Any]


def growth(
    *,
    work: Annotated[Path, typer.Option(help="Folder for the indexes; made anew.")],
    rows: Annotated[str, typer.Option(help="Vectors in the galleries, comma separated.")] = ROWS,
    dimension: Annotated[int, typer.Option(help="Dimensions.")] = 512,
    queries: Annotated[int, typer.Option(min=10, help="Single queries per contender and size.")] = 60,
    ann: Annotated[Literal["hnsw_sq", "ivf_rq"], typer.Option(help="The approximate index.")] = "hnsw_sq",
    to: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves into this SVG file.")] = None,
) -> None:
    """Milliseconds of a query by size, and how they grow."""
    facts = environment()
    sizes = sorted({int(size) for size in rows.split(",")})
    found: dict[int, Results] = {}
    for size in sizes:
        print(f"{size:,} rows ...", file=sys.stderr)
        found[size] = _measured(work / f"growth-{size}", size, dimension, queries, ann)
    table = show(
        f"One query over galleries of {dimension}-dimensional clustered vectors, k = {K} ({ann}): milliseconds",
        [*(f"{size:,}" for size in sizes), "exponent, last step"],
        _rows(found, sizes),
        facts,
    )
    save(to, "growth", facts, {"dimension": dimension, "ann": ann, "sizes": found}, [table])
    if plot is not None:
        _draw(plot, sizes, found)


def _measured(folder: Path, size: int, dimension: int, queries: int, ann: str) -> Results:
    import mmrank as mm

    matrix, asked = clustered(size, dimension, queries + WARM_UP)
    embedder = GivenVectors(asked)
    fill(folder, matrix, embedder)
    index = mm.Index.open(str(folder), embedder)
    index.optimize()
    _, built = timed(lambda: index.optimize(ann=ann))
    seconds = interleaved(
        {
            "numpy": lambda n: _numpy_top(matrix, asked[n]),
            "mmrank, exact": lambda n: index.search(f"q{n}", k=K, exact=True),
            "mmrank, approximate": lambda n: index.search(f"q{n}", k=K, exact=False),
        },
        queries + WARM_UP,
    )
    hits = [set(index.search(f"q{n}", k=K, exact=False).ids) for n in range(queries)]
    right = sum(len(some & _ids(_numpy_top(matrix, asked[n]))) for n, some in enumerate(hits))
    return {
        "ms": {name: 1000 * s for name, s in medians({n: s[WARM_UP:] for n, s in seconds.items()}).items()},
        "recall": right / (K * queries),
        "build seconds": built.seconds,
    }


def _rows(found: dict[int, Results], sizes: list[int]) -> list[Row]:
    rows = []
    for name in CONTENDERS:
        times = [found[size]["ms"][name] for size in sizes]
        slope = _slope(sizes, times)
        reached = None if slope is None or name != "mmrank, approximate" else slope < 1
        cells = (*(f"{ms:.2f}" for ms in times), "" if slope is None else f"{slope:.2f}")
        rows.append(Row(name, cells, reached))
    recalls = [found[size]["recall"] for size in sizes]
    enough = min(recalls) >= ANN_RECALL_GOAL
    rows.append(Row("approximate: recall@10", tuple(f"{recall:.3f}" for recall in recalls), enough))
    rows.append(Row("approximate: index built in s", tuple(f"{found[size]['build seconds']:.1f}" for size in sizes)))
    return rows


def _slope(sizes: list[int], times: list[float]) -> float | None:
    """Between the last two sizes; None where there is one."""
    if len(sizes) < 2:
        return None
    return math.log(times[-1] / times[-2]) / math.log(sizes[-1] / sizes[-2])


def _draw(path: Path, sizes: list[int], found: dict[int, Results]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "mmrank"
    figure, axes = pyplot.subplots(figsize=(7.0, 4.2), layout="constrained")
    for name in CONTENDERS:
        axes.loglog(sizes, [found[size]["ms"][name] for size in sizes], marker="o", markersize=4, label=name)
    axes.set_xlabel("vectors in the gallery")
    axes.set_ylabel("milliseconds a query")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    typer.run(growth)
