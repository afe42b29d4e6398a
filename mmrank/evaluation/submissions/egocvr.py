"""Lists as a CSV in the manner of EgoCVR's annotations: a row for each query, its clips as a Python list.

EgoCVR has no server; the file joins ``egocvr_annotations.csv`` row by row, as pandas and `ast.literal_eval` read it.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Mapping
from pathlib import Path

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.submissions.lists import best_ids, names_in, run_of
from mmrank.run import Run

COLUMNS = ("query", "instruction", "predicted_clip_ids")

MOST = 50
"""Clips that are kept a query; the protocol looks at ten."""


def write_lists(task: Task, run: Run, path: Path, *, k: int = MOST) -> Path:
    """Write the first `k` clips of each query of the task. Raises `UsageError` when a query is not in the Run."""
    lists = best_ids(task, run)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        out.writerows((query.id, query.text or "", repr(lists[query.id][:k])) for query in task.queries)
    return path


def submit_egocvr(tasks: Mapping[str, Task], runs: Mapping[str, Run], folder: Path) -> list[Path]:
    """Write ``egocvr_TASK.csv`` for each task."""
    return [write_lists(task, runs[name], folder / f"egocvr_{name}.csv") for name, task in tasks.items()]


def read_lists(path: str | Path) -> Run:
    """Such a file as a Run. Raises `UsageError` when a column is missing or a cell is no list."""
    path = Path(path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not set(COLUMNS) <= set(rows[0]):
        raise UsageError(f"{path} has the columns {list(rows[0]) if rows else []}; it needs {', '.join(COLUMNS)}.")
    return run_of(
        {row["query"]: names_in(_listed(row["predicted_clip_ids"]), row["query"], path) for row in rows}, "csv"
    )


def _listed(cell: str) -> object:
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return cell
