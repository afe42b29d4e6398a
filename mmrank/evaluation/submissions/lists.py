"""Lists of item ids as submission files want them: for every query of the task, checked, of a fixed length."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrank.errors import UsageError
from mmrank.evaluation.checks import check_run
from mmrank.evaluation.dataset import Task
from mmrank.run import Run


def best_ids(task: Task, run: Run, k: int | None = None) -> dict[str, list[str]]:
    """The first `k` items of each query of the task, in the task's order; excluded items and those outside `among` out.

    Raises `UsageError` when a query is not in the Run, or its list has fewer than `k` items left.
    """
    check_run(task, run)
    found = {query_id: ids for query_id, ids, _ in run}
    lost = [query.id for query in task.queries if query.id not in found]
    if lost:
        raise UsageError(
            f"{len(lost):,} of {len(task.queries):,} queries are not in run {run.name!r}, such as {lost[0]!r}; a test "
            "server wants an answer to every query. Run all of them."
        )
    lists: dict[str, list[str]] = {}
    for query in task.queries:
        allowed = None if query.among is None else set(query.among)
        kept = [name for name in found[query.id] if name not in query.exclude and (allowed is None or name in allowed)]
        lists[query.id] = kept[:k]
    short = [name for name, ids in lists.items() if k is not None and len(ids) < k]
    if short:
        raise UsageError(
            f"{len(short):,} lists of run {run.name!r} have fewer than the {k} items that a submission holds, such as "
            f"that of query {short[0]!r} with {len(lists[short[0]])}; let the pipeline return more (k=, depth=)."
        )
    return lists


def run_of(lists: Mapping[str, Sequence[str]], name: str) -> Run:
    """Lists of ids as a Run; scores are made from the ranks."""
    return Run.from_lists([(query, ids, range(len(ids), 0, -1)) for query, ids in lists.items()], name)


def read_object(path: Path, what: str) -> dict[str, Any]:
    """A JSON file that holds an object. Raises `UsageError` when it does not."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{path} cannot be read as {what}: {error}.") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds a {type(content).__name__}; {what} is one JSON object of query ids and lists.")
    return content


def names_in(value: object, query: str, path: Path) -> list[str]:
    """One query's list as item ids. Raises `UsageError` when it is none, or names an item twice."""
    if not isinstance(value, list) or not all(isinstance(each, str | int) for each in value):
        raise UsageError(f"{path}: query {query!r} has {str(value)[:60]!r}; it needs a list of item ids.")
    names = [str(each) for each in value]
    if len(set(names)) != len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise UsageError(f"{path}: query {query!r} lists the item {twice!r} twice; list every item once.")
    return names


def write_json(content: object, path: Path, *, most: int | None = None) -> Path:
    """Write JSON without spaces; `most`: the bytes that the server takes, else `UsageError`."""
    text = json.dumps(content, separators=(",", ":"))
    if most is not None and len(text) > most:
        raise UsageError(f"{path.name} would have {len(text):,} bytes; the test server takes {most:,}.")
    path.write_text(text, encoding="utf-8")
    return path
