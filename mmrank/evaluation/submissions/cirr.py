"""CIRR's test server: two JSON files, the first 50 of the whole gallery and the first 3 of each subset.

Format: github Cuberick-Orion/CIRR, "Test-split server"; keys are pair ids as text, beside "version" and "metric".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.submissions.lists import best_ids, names_in, read_object, run_of, write_json
from mmrank.run import Run

Metric = Literal["recall", "recall_subset"]

VERSION = "rc2"
LENGTHS: Mapping[Metric, int] = {"recall": 50, "recall_subset": 3}

MOST_BYTES = 5_000_000
"""The server refuses larger files."""

RECALL, SUBSET, NOTES = "recall.json", "recall_subset.json", "notes.txt"

SUBSET_RUN = "subset"
"""The name of a second Run, of the subsets ranked on their own; without it they are filtered from the whole lists."""


def submit_cirr(task: Task, runs: Mapping[str, Run], folder: Path) -> list[Path]:
    """Write ``recall.json`` and ``recall_subset.json`` for the task's queries.

    Args:
        task: CIRR test1, with its members.
        runs: the Run of the task by its name and, where subsets were ranked on their own, one named "subset".
        folder: where to write.

    A subset's member that the list does not reach stands behind those it does, in the order of the annotation file;
    how often that was needed is written into ``notes.txt``.

    Raises `UsageError` when a query is missing, a list is shorter than 50, an item is unknown or twice, or a file would
    be larger than the server takes.
    """
    if task.name not in runs:
        raise UsageError(
            f"There is no run for the task {task.name!r}; there is {', '.join(map(repr, runs)) or 'none'}."
        )
    run = runs[task.name]
    subsets, filled = _subsets(task, runs.get(SUBSET_RUN, run))
    made = [
        write_json(_content("recall", best_ids(task, run, LENGTHS["recall"])), folder / RECALL, most=MOST_BYTES),
        write_json(_content("recall_subset", subsets), folder / SUBSET, most=MOST_BYTES),
    ]
    if filled:
        note = folder / NOTES
        note.write_text(
            f"{filled:,} of {len(subsets):,} lists did not reach three members of their subset; the others follow in "
            "the order of the annotation file. Longer lists, or subsets ranked on their own, would decide it.\n",
            encoding="utf-8",
        )
        made.append(note)
    return made


def write_cirr(task: Task, run: Run, metric: Metric, path: Path) -> Path:
    """Write one of the two files from a Run that holds exactly its lists, such as one that `read_cirr` gave."""
    lists = best_ids(task, run, LENGTHS[metric])
    for query, names in lists.items() if metric == "recall_subset" else ():
        _check_members(task, query, names)
    return write_json(_content(metric, lists), path, most=MOST_BYTES)


def read_cirr(path: str | Path) -> Run:
    """A submission file as a Run named after its metric.

    Raises `UsageError` when it is not of version rc2, or a list is not of the length of its metric.
    """
    path = Path(path)
    content = read_object(path, "a CIRR submission")
    version, metric = content.pop("version", None), content.pop("metric", None)
    if version != VERSION or metric not in LENGTHS:
        raise UsageError(
            f"{path} has version {version!r} and metric {metric!r}; CIRR's are {VERSION!r} and "
            f"{' or '.join(map(repr, LENGTHS))}."
        )
    lists = {query: names_in(value, query, path) for query, value in content.items()}
    for query, names in lists.items():
        if len(names) != LENGTHS[metric]:
            raise UsageError(f"{path}: query {query!r} has {len(names)} items; {metric} has {LENGTHS[metric]}.")
    return run_of(lists, str(metric))


def _content(metric: Metric, lists: Mapping[str, list[str]]) -> dict[str, object]:
    return {"version": VERSION, "metric": metric, **lists}


def _subsets(task: Task, run: Run) -> tuple[dict[str, list[str]], int]:
    """Three members of each query, best first, and for how many queries the list did not say which."""
    if task.members is None:
        raise UsageError("The task has no members; CIRR's submission needs each query's subset (Task.members).")
    lists: dict[str, list[str]] = {}
    filled = 0
    for query, ranked in best_ids(task, run, only=task.members).items():
        members = task.members.get(query, ())
        filled += len(ranked) < LENGTHS["recall_subset"]
        ranked += [name for name in members if name not in ranked]
        lists[query] = ranked[: LENGTHS["recall_subset"]]
        _check_members(task, query, lists[query])
    return lists, filled


def _check_members(task: Task, query: str, names: list[str]) -> None:
    members = (task.members or {}).get(query, ())
    if len(names) != LENGTHS["recall_subset"] or not set(names) <= set(members):
        raise UsageError(
            f"Query {query!r} has {names!r} for its subset; it takes {LENGTHS['recall_subset']} of {list(members)!r}."
        )
