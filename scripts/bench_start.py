"""Bench start-up: `import mmrank` and `mmrank --help` in fresh processes, and what they import.

    python scripts/bench_start.py

Prints a table and, with --json FILE, writes the figures with the versions and the machine behind them.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch are loaded: one thread for everything

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from _bench import Row, Timed, environment, save, show, timed

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)

Json = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]

IMPORT_GOAL, HELP_GOAL = 0.3, 0.7
"""Seconds to be reached; see docs/results.md."""


@app.command()
def start(
    *,
    rounds: Annotated[int, typer.Option(help="Fresh processes per figure; the best counts.")] = 10,
    to: Json = None,
) -> None:
    """Wall time of `import mmrank` and of `mmrank --help`, in fresh processes, and what they import."""
    facts = environment()
    program = "import sys; sys.argv = ['mmrank', '--help']; from mmrank.cli.app import main; main()"
    console = Path(sys.executable).with_name("mmrank")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import mmrank": [sys.executable, "-c", "import mmrank"],
        "mmrank --help": [str(console), "--help"] if console.exists() else [sys.executable, "-c", program],
    }
    runs: dict[str, list[Timed]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(timed(lambda c=command: subprocess.run(c, check=True, capture_output=True))[1])
    goals = {"import mmrank": IMPORT_GOAL, "mmrank --help": HELP_GOAL}
    imports = {"import mmrank": _imports("import mmrank"), "mmrank --help": _imports(program)}
    rows, results = [], {}
    for name, taken in runs.items():
        best, cpu = min(run.seconds for run in taken), min(run.cpu for run in taken)
        slowest, torch = imports.get(name, ([], False))
        goal = goals.get(name)
        listed = ", ".join(f"{module} {spent * 1000:.0f} ms" for module, spent in slowest[:3])
        cells = (f"{best:.3f}", f"{cpu:.2f}", f"{goal}" if goal else "", "yes" if torch else "no", listed)
        rows.append(Row(name, cells, best < goal and not torch if goal else None))
        results[name] = {"best": best, "cpu": cpu, "goal": goal, "imports_torch": torch, "slowest": slowest}
    columns = ("best s", "CPU s", "goal s", "torch", "slowest imports (cumulative)")
    table = show(f"Start-up, whole processes, best of {rounds}", columns, rows, facts)
    save(to, "start", facts, results, [table])


def _imports(code: str) -> tuple[list[tuple[str, float]], bool]:
    """The slowest imports of a program (module, cumulative seconds), and whether torch is among them."""
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], check=True, capture_output=True, text=True)
    spent: dict[str, float] = {}
    for line in done.stderr.splitlines():
        if line.startswith("import time:") and "[us]" not in line:
            _, cumulative, module = line.removeprefix("import time:").split("|")
            spent[module.strip()] = int(cumulative) / 1e6
    ours = sorted(spent.items(), key=lambda pair: -pair[1])[:12]
    return ours, "torch" in spent


if __name__ == "__main__":
    app()
