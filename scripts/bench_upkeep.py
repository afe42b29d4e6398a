"""Bench keeping an index true: a second run over unchanged files, and one changed price in a table.

    python scripts/bench_upkeep.py files --work /somewhere/with/1GB
    python scripts/bench_upkeep.py prices --work /somewhere/with/1GB

Both count what is hashed, embedded and written, and time the walk (or the reading of the table) alone beside it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch are loaded: one thread for every contender

import csv
import io
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from _bench import Row, Timed, environment, peak_memory, save, show, timed

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, rich_markup_mode=None)

Work = Annotated[Path, typer.Option(help="Folder for made files and indexes; they are kept and used again.")]
Rounds = Annotated[int, typer.Option(help="Second runs; the fastest counts.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]

BEYOND_WALK_GOAL = 15.0
"""Seconds a second run over 50,000 files may take beyond the walk."""

SETTLED = 3.0
"""Seconds after which a new file is told by its time."""


class Counted:
    """An embedder with what goes through it counted."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.embedded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def embed(self, prepared: Sequence[Any]) -> Any:
        self.embedded += len(prepared)
        return self._inner.embed(prepared)


@app.command()
def files(
    *,
    work: Work,
    count: Annotated[int, typer.Option(help="Small JPEGs, a thousand a folder.")] = 50_000,
    rounds: Rounds = 3,
    to: Json = None,
) -> None:
    """The same folder again: the walk alone, then a second run with and without --verify."""
    import mmrank as mm

    folder = _pictures(work / f"pictures-{count}", count)
    index, embedder = _index(work / f"index-{count}")
    facts = environment()
    rows = [_first(index, mm.scan(folder), count)]
    walks, runs = [], []
    for _ in range(rounds):
        walks.append(timed(lambda: sum(1 for _ in mm.scan(folder)))[1])
        runs.append(_again(index, embedder, mm.scan(folder, kinds="image")))
    walk = min(walks, key=lambda took: took.seconds)
    best = min(runs, key=lambda run: run["took"].seconds)
    beyond = best["took"].seconds - walk.seconds
    rows += [
        Row("walk alone", _cells(walk)),
        Row("second run", (*_cells(best["took"]), *_work_done(best))),
        Row("second run beyond the walk", (f"{beyond:.1f}",), beyond < BEYOND_WALK_GOAL),
        Row("second run, --verify", _verified(index, embedder, mm.scan(folder))),
    ]
    table = show(f"{count:,} unchanged files", ("s", "CPU s", "hashed", "embedded", "written"), rows, facts)
    results = {"files": count, "walk_s": walk.seconds, "second_s": best["took"].seconds, "beyond_s": beyond}
    save(to, "upkeep files", facts, {**results, "peak_bytes": peak_memory(), **_plain(best)}, [table])


@app.command()
def prices(
    *,
    work: Work,
    count: Annotated[int, typer.Option(help="Rows of the CSV file.")] = 10_000,
    rounds: Rounds = 3,
    to: Json = None,
) -> None:
    """One changed price in a table of texts: how many rows are written, and what it takes."""
    import mmrank as mm

    path = work / f"goods-{count}.csv"
    index, embedder = _index(work / f"goods-index-{count}")
    facts = environment()
    made = [100 + number % 900 for number in range(count)]
    _write_goods(path, made)
    rows = [_first(index, mm.scan(path), count)]
    reads, runs = [], []
    for number in range(rounds):
        made[number * 7 % count] += 1_000
        _write_goods(path, made)
        reads.append(timed(lambda: sum(1 for _ in mm.scan(path)))[1])
        runs.append(_again(index, embedder, mm.scan(path)))
    read = min(reads, key=lambda took: took.seconds)
    best = min(runs, key=lambda run: run["took"].seconds)
    right = all(run["embedded"] == 0 and run["written"] == 1 for run in runs)
    rows += [
        Row("reading the table alone", _cells(read)),
        Row("second run, one price changed", (*_cells(best["took"]), *_work_done(best)), right),
    ]
    table = show(f"A table of {count:,} rows", ("s", "CPU s", "hashed", "embedded", "written"), rows, facts)
    save(to, "upkeep prices", facts, {"rows": count, "read_s": read.seconds, **_plain(best)}, [table])


def _index(place: Path) -> tuple[Any, Counted]:
    """An index of the bundled model, which is small: the first run is not what is measured."""
    import mmrank as mm

    embedder = Counted(mm.load_embedder("toybox", device="cpu", threads=1))
    return mm.Index.create(place, embedder), embedder


def _first(index: Any, items: Iterable[Any], count: int) -> Row:
    """The first run, or what is left of it: an index that is there is used again."""
    before = len(index)
    _, took = timed(lambda: index.add(items, thumbnails=False))
    return Row(f"first run ({len(index) - before:,} of {count:,} rows were missing)", _cells(took))


def _again(index: Any, embedder: Counted, items: Iterable[Any], *, verify: bool = False) -> dict[str, Any]:
    embedder.embedded = 0
    with _hashing() as hashed:
        report, took = timed(lambda: index.add(items, thumbnails=False, verify=verify))
    assert not report.failed, report.failed[:3]
    written = report.added + report.updated
    return {"took": took, "hashed": len(hashed), "embedded": embedder.embedded, "written": written}


def _verified(index: Any, embedder: Counted, items: Iterable[Any]) -> tuple[str, ...]:
    run = _again(index, embedder, items, verify=True)
    return (*_cells(run["took"]), *_work_done(run))


@contextmanager
def _hashing() -> Iterator[list[Path]]:
    """The files that are read to be hashed."""
    from mmrank.media import load  # noqa: F401 - so that the module is there

    module = __import__("sys").modules["mmrank.media.load"]
    real, hashed = module._file_digest, []

    def noted(path: Path) -> bytes:
        hashed.append(path)
        return bytes(real(path))

    module._file_digest = noted
    try:
        yield hashed
    finally:
        module._file_digest = real


def _pictures(folder: Path, count: int) -> Path:
    """Small JPEGs, no two alike, made once."""
    from PIL import Image

    last = folder / f"{(count - 1) // 1000:04d}" / f"{count - 1:07d}.jpg"
    if last.exists():
        return folder
    for number in range(count):
        place = folder / f"{number // 1000:04d}"
        place.mkdir(parents=True, exist_ok=True)
        picture = io.BytesIO()
        Image.new("RGB", (32, 32), (number % 256, number // 256 % 256, number // 65_536)).save(picture, "JPEG")
        (place / f"{number:07d}.jpg").write_bytes(picture.getvalue() + number.to_bytes(4, "big"))
    time.sleep(SETTLED)
    return folder


def _write_goods(path: Path, made: Sequence[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "price", "colour"])
        for number, price in enumerate(made):
            writer.writerow([f"good-{number}", f"the good of number {number}", price, ("red", "green")[number % 2]])


def _cells(took: Timed) -> tuple[str, str]:
    return f"{took.seconds:.1f}", f"{took.cpu:.1f}"


def _work_done(run: dict[str, Any]) -> tuple[str, str, str]:
    return f"{run['hashed']:,}", f"{run['embedded']:,}", f"{run['written']:,}"


def _plain(run: dict[str, Any]) -> dict[str, Any]:
    return {"second_s": run["took"].seconds, "second_cpu_s": run["took"].cpu} | {
        key: run[key] for key in ("hashed", "embedded", "written")
    }


if __name__ == "__main__":
    app()
