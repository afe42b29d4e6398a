"""CIRCO's test server: one JSON file, 50 COCO image numbers for each of the queries "0" to "N-1".

Format: github miccunifi/CIRCO, "Test evaluation server".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.submissions.lists import best_ids, names_in, read_object, run_of, write_json
from mmrank.run import Run

LENGTH = 50
FILE = "submission.json"


def submit_circo(task: Task, runs: Mapping[str, Run], folder: Path) -> list[Path]:
    """Write ``submission.json`` for the task's queries, from the Run of the task's name.

    Raises `UsageError` when query ids are not "0" to "N-1", a list is shorter than 50, or an item is not a COCO number.
    """
    if task.name not in runs:
        raise UsageError(
            f"There is no run for the task {task.name!r}; there is {', '.join(map(repr, runs)) or 'none'}."
        )
    lists = best_ids(task, runs[task.name], LENGTH)
    _check_queries(lists, "The task")
    content = {query: [_number(name) for name in names] for query, names in lists.items()}
    return [write_json(content, folder / FILE)]


def read_circo(path: str | Path) -> Run:
    """A submission file as a Run. Raises `UsageError` when it is none: keys, lists, an image twice."""
    path = Path(path)
    content = read_object(path, "a CIRCO submission")
    lists = {query: names_in(value, query, path) for query, value in content.items()}
    _check_queries(lists, str(path))
    return run_of({query: [str(_number(name)) for name in names] for query, names in lists.items()}, "circo")


def _check_queries(lists: Mapping[str, object], where: str) -> None:
    lost = [number for number in range(len(lists)) if str(number) not in lists]
    if lost:
        raise UsageError(
            f"{where} has {len(lists):,} queries, and {lost[0]} is not among them; CIRCO's are numbered from 0 to "
            f"{len(lists) - 1} without a gap. Run all queries."
        )


def _number(name: str) -> int:
    if not name.isdecimal():
        raise UsageError(f"The item {name!r} is no COCO image number; CIRCO's items are numbers such as 347122.")
    return int(name)
