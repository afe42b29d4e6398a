"""What the bench scripts share: the facts of the machine, timing, and results as a table and as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypedDict

from rich.console import Console
from rich.table import Table
from rich.text import Text

LIBRARIES = ("torch", "open_clip_torch", "lancedb", "pylance", "pyarrow", "numpy", "pillow", "faiss-cpu", "av")

PLAIN_WIDTH = 118
"""Columns of a table that goes into a file."""

VERDICTS = {None: "", True: "reached", False: "missed"}


class Row(NamedTuple):
    """One line of a table: what was measured, the cells behind it, and whether a goal on it was reached."""

    what: str
    cells: tuple[str, ...]
    reached: bool | None = None


class TableText(TypedDict):
    """A table as it was printed; `rows` hold the first column, the cells and the verdict."""

    title: str
    columns: list[str]
    rows: list[list[str]]


class Timed(NamedTuple):
    """Seconds on the clock, and seconds of processor time (all threads, and processes that were waited for)."""

    seconds: float
    cpu: float

    @property
    def cores(self) -> float:
        """How many cores were busy on average."""
        return self.cpu / self.seconds


def environment(threads: int = 1, device: str = "cpu") -> dict[str, Any]:
    """What a reader must know to judge a figure; no host names, no paths."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "device": device,
        "torch_threads": threads,
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": {name: _version(name) for name in LIBRARIES if _version(name)},
        "mmrank": _version("mmrank"),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def timed(work: Callable[[], Any]) -> tuple[Any, Timed]:
    """What `work` gave, and what it took."""
    start, cpu = time.perf_counter(), _processor_seconds()
    value = work()
    return value, Timed(time.perf_counter() - start, _processor_seconds() - cpu)


def _processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    return sum(os.times()[:4])


def interleaved(contenders: dict[str, Callable[[int], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round, all contenders in turn within a round.

    A contender is called with the number of the round. In turn, so that a busy neighbour hits all of them; the order
    is reversed in every second round, so that none always follows the same one (and its state of the caches).
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders) if number % 2 == 0 else list(reversed(contenders))
        for name in order:
            start = time.perf_counter()
            contenders[name](number)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """The median of each contender."""
    return {name: median(values) for name, values in seconds.items()}


def ratio(name: str, seconds: dict[str, list[float]], base: str) -> float:
    """Median over the rounds of this contender's time over the base's in the same round."""
    return median(mine / theirs for mine, theirs in zip(seconds[name], seconds[base], strict=True))


def show(title: str, columns: Sequence[str], rows: Iterable[Row], facts: dict[str, Any]) -> TableText:
    """Print a table, and under it where it was measured; the table as text, for `save`."""
    listed = list(rows)
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("goal")
    colours = {None: "", True: "green", False: "red"}
    filled = [[row.what, *row.cells, *[""] * (len(columns) - len(row.cells)), VERDICTS[row.reached]] for row in listed]
    for row, cells in zip(listed, filled, strict=True):
        table.add_row(*cells[:-1], Text(cells[-1], style=colours[row.reached]))
    console.print(table)
    console.print(where_and_when(facts), style="dim", highlight=False)
    return {"title": title, "columns": ["", *columns, "goal"], "rows": filled}


def where_and_when(facts: dict[str, Any]) -> str:
    """One line about a run."""
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['load_average'][0]} busy when it began, {facts['device']}, "
        f"torch threads {facts['torch_threads']}, Python {facts['python']}, {facts['date']}"
    )


def save(
    path: Path | None, bench: str, facts: dict[str, Any], results: dict[str, Any], tables: Sequence[TableText]
) -> None:
    """Write one bench's results with the facts of the machine and the tables; nothing when no path was given."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"bench": bench, "environment": facts, "results": results, "tables": list(tables)}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def peak_memory() -> int:
    """The most resident memory this process has had, in bytes.

    From Linux's VmHWM, which starts anew with the program; `ru_maxrss` also counts what the parent had when it
    forked, so that a large parent would hide a small child.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024
