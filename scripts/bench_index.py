"""Bench building: images per second, peak memory.

    python scripts/bench_index.py images --work /somewhere/with/2GB
    python scripts/bench_index.py memory --work /somewhere/with/2GB

Every command prints a table and, with --json FILE, writes the figures with the versions and the machine behind them.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch are loaded: one thread for every contender

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from _bench import Row, Timed, environment, peak_memory, save, show, timed
from _bench_data import Floats, photographs, random_open_clip, small_pictures, unit

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, rich_markup_mode=None)

Work = Annotated[Path, typer.Option(help="Folder for made files; they are kept and used again.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]

IMAGES_GOAL = 0.85
MEMORY_GOAL = 1.15
"""What is to be reached; see docs/results.md."""


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


# ---------------------------------------------------------------- images per second


@dataclass(frozen=True, slots=True)
class Attempt:
    """One contender's run over all images: what it took, and the unit vectors (n, d) it made, if any."""

    took: Timed
    vectors: Floats | None = None


@app.command()
def images(
    *,
    work: Work,
    count: Annotated[int, typer.Option(help="JPEGs of 1 to 12 megapixels.")] = 500,
    model: Annotated[str, typer.Option(help="open_clip architecture, random weights.")] = "ViT-B-32",
    batch: Annotated[int, typer.Option(help="Batch of the bare model and the loop; mmrank has its own.")] = 16,
    rounds: Annotated[int, typer.Option(help="Each contender runs this often, in turn; its best counts.")] = 2,
    to: Json = None,
) -> None:
    """Index.add against the bare model, LanceDB's own embedding function and a plain loop; one torch thread each."""
    import torch

    torch.set_num_threads(1)
    paths = photographs(work / "photos", count)[:count]
    folder = random_open_clip(work / model, model)
    facts = environment()
    contenders = _image_contenders(paths, folder, batch, work)
    attempts: dict[str, list[Attempt]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders) if number % 2 == 0 else list(reversed(contenders))
        for name in names:
            attempts[name].append(contenders[name]())
            print(f"round {number + 1}, {name}: {attempts[name][-1].took.seconds:.1f} s", file=sys.stderr)
    _report_images(attempts, count, facts, to)


def _image_contenders(paths: Sequence[Path], folder: Path, batch: int, work: Path) -> dict[str, Callable[[], Attempt]]:
    import open_clip

    import mmrank as mm

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder.resolve()}")
    model.eval()
    embedder = mm.load_embedder(str(folder.resolve()), device="cpu", precision="float32", threads=1)
    return {
        "bare model, batches in memory": _bare(paths, model, preprocess, batch),
        "mmrank Index.add": lambda: _mmrank(paths, embedder, _fresh(work / "index-mmrank")),
        "plain loop": lambda: _plain_loop(paths, model, preprocess, batch, _fresh(work / "index-loop")),
        "LanceDB's open-clip function": _lancedb(paths, folder, work / "index-lancedb"),
        "mmrank Index.add without the model": lambda: _mmrank(
            paths, WithoutModel(embedder), _fresh(work / "index-no-model")
        ),
    }


def _bare(paths: Sequence[Path], model: Any, preprocess: Any, batch: int) -> Callable[[], Attempt]:
    import torch
    from PIL import Image

    pixels = torch.stack([preprocess(Image.open(path)) for path in paths])

    def run() -> Attempt:
        with torch.inference_mode():
            vectors, took = timed(lambda: [model.encode_image(part).numpy() for part in pixels.split(batch)])
        return Attempt(took, unit(np.concatenate(vectors)))

    return run


def _mmrank(paths: Sequence[Path], embedder: Any, folder: Path) -> Attempt:
    """From paths to a finished, searchable index: scan, decode, embed, thumbnails, write, search index."""
    import mmrank as mm

    index = mm.Index.create(str(folder), embedder)
    report, took = timed(lambda: index.add(mm.scan([str(path) for path in paths])))
    if report.added != len(paths):
        raise SystemExit(f"{report.added} of {len(paths)} images were added: {report}")
    ids = [item.id for item in mm.scan([str(path) for path in paths])]
    return Attempt(took, index.vectors(ids))


class WithoutModel:
    """An embedder that prepares pictures as another does and gives each its own made-up vector: decoding alone."""

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder
        self._rng = np.random.default_rng(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed(self, prepared: Sequence[Any]) -> list[Any]:
        """Random unit vectors, one for each."""
        from mmrank.embed.base import Embedded

        rows = unit(self._rng.standard_normal((len(prepared), self._embedder.dimension), dtype=np.float32))
        return [Embedded(vector=row) for row in rows]


def _plain_loop(paths: Sequence[Path], model: Any, preprocess: Any, batch: int, folder: Path) -> Attempt:
    """What one writes in twenty lines: open, transform, encode a batch, add it to a table."""
    import lancedb
    import pyarrow as pa
    import torch
    from PIL import Image

    def run() -> list[Floats]:
        dimension = model.visual.output_dim
        schema = pa.schema([pa.field("uri", pa.string()), pa.field("vector", pa.list_(pa.float32(), dimension))])
        table = lancedb.connect(str(folder)).create_table("images", schema=schema)
        made = []
        for start in range(0, len(paths), batch):
            some = paths[start : start + batch]
            pixels = torch.stack([preprocess(Image.open(path)) for path in some])
            with torch.inference_mode():
                vectors = unit(model.encode_image(pixels).numpy())
            made.append(vectors)
            table.add([{"uri": str(path), "vector": vector} for path, vector in zip(some, vectors, strict=True)])
        return made

    vectors, took = timed(run)
    return Attempt(took, np.concatenate(vectors))


def _lancedb(paths: Sequence[Path], model: Path, folder: Path) -> Callable[[], Attempt]:
    """As LanceDB's documentation writes it: a model class with a source and a vector field, one `add` of uris.

    Its function opens six threads by itself and sends pictures through the model one by one.
    """
    import lancedb
    from lancedb.embeddings import get_registry
    from lancedb.pydantic import LanceModel, Vector

    clip = get_registry().get("open-clip").create(name=f"local-dir:{model.resolve()}", pretrained="", device="cpu")

    class Photo(LanceModel):
        uri: str = clip.SourceField()
        vector: Vector(clip.ndims()) = clip.VectorField()  # type: ignore[valid-type]

    def run() -> Attempt:
        table = lancedb.connect(str(_fresh(folder))).create_table("images", schema=Photo)
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
            _, took = timed(lambda: table.add([{"uri": str(path)} for path in paths]))
        found = table.to_arrow()
        vectors = found["vector"].combine_chunks().flatten().to_numpy().reshape(len(paths), -1)
        return Attempt(took, vectors[np.argsort([paths.index(Path(uri)) for uri in found["uri"].to_pylist()])])

    return run


def _report_images(attempts: dict[str, list[Attempt]], count: int, facts: dict[str, Any], to: Path | None) -> None:
    best = {name: min(runs, key=lambda run: run.took.seconds) for name, runs in attempts.items()}
    bare = count / best["bare model, batches in memory"].took.seconds
    reference = best["plain loop"].vectors
    assert reference is not None
    rows, results = [], {}
    for name, attempt in best.items():
        rate = count / attempt.took.seconds
        modelled = attempt.vectors is not None and "without" not in name
        cosines = np.einsum("nd,nd->n", unit(attempt.vectors), reference) if modelled else None
        reached = rate / bare >= IMAGES_GOAL if name == "mmrank Index.add" else None
        agreement = f"{cosines.min():.4f} / {cosines.mean():.4f}" if cosines is not None else ""
        cells = (f"{rate:.2f}", f"{rate / bare:.2f}", f"{attempt.took.cores:.2f}", agreement)
        rows.append(Row(name, cells, reached))
        results[name] = {
            "images_per_second": rate,
            "ratio_to_bare": rate / bare,
            "seconds": [run.took.seconds for run in attempts[name]],
            "cores": attempt.took.cores,
            "cosine_min": float(cosines.min()) if cosines is not None else None,
            "cosine_mean": float(cosines.mean()) if cosines is not None else None,
        }
    columns = ("images/s", "of bare", "cores busy", "cosine to plain loop (min / mean)")
    title = f"{count} JPEGs of 1 to 12 megapixels (goal: {IMAGES_GOAL} of the bare model)"
    save(to, "images", facts, results, [show(title, columns, rows, facts)])


# ---------------------------------------------------------------- peak memory


@app.command()
def memory(
    *,
    work: Work,
    sizes: Annotated[str, typer.Option(help="Two collection sizes, comma-separated.")] = "5000,40000",
    model: Annotated[str, typer.Option(help="Embedder spec.")] = "toybox",
    to: Json = None,
) -> None:
    """Peak resident memory of building a small and a large collection, each in a process of its own."""
    facts = environment()
    small, large = (int(size) for size in sizes.split(","))
    measured = {size: _peak_of(size, model, work) for size in (small, large)}
    growth = measured[large]["peak"] / measured[small]["peak"]
    rows = [
        Row(
            f"{size:,} JPEGs",
            (
                f"{found['peak'] / 2**20:.0f}",
                f"{found['peak'] / measured[small]['peak']:.3f}",
                f"{found['before'] / 2**20:.0f}",
                f"{size / found['seconds']:.0f}",
            ),
            growth <= MEMORY_GOAL if size == large else None,
        )
        for size, found in measured.items()
    ]
    columns = ("peak MiB", "ratio", "MiB before add", "images/s")
    table = show(f"Peak resident memory of a build (goal: ratio at most {MEMORY_GOAL})", columns, rows, facts)
    results = {"ratio": growth, "sizes": {str(size): found for size, found in measured.items()}}
    save(to, "memory", facts, results, [table])


def _peak_of(size: int, model: str, work: Path) -> dict[str, float]:
    folder = small_pictures(work / f"small-{size}", size)
    database = _fresh(work / f"index-{size}")
    command = [sys.executable, __file__, "build-and-tell", str(folder), str(database), model]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if found["added"] != size:
        raise SystemExit(f"{found['added']} of {size} pictures were added")
    return found


@app.command(hidden=True)
def build_and_tell(folder: Path, database: Path, model: str) -> None:
    """Build one index and print its peak memory as JSON: the body of `memory`, in a process of its own."""
    import mmrank as mm

    embedder = mm.load_embedder(model, device="cpu", threads=1)
    index = mm.Index.create(str(database), embedder)
    before = peak_memory()
    report, took = timed(lambda: index.add(mm.scan(str(folder))))
    facts = {"peak": peak_memory(), "before": before, "seconds": took.seconds, "added": report.added}
    print(json.dumps(facts))


if __name__ == "__main__":
    app()
