"""Lists of item ids as submission files want them: for every query of the task, checked, of a fixed length."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mmrank.errors import UsageError
from mmrank.evaluation.checks import check_run
from mmrank.evaluation.dataset import Task
from mmrank.run import Run
from mmrank.types import Query


def best_ids(
    task: Task, run: Run, k: int | None = None, *, only: Mapping[str, Sequence[str]] | None = None
) -> dict[str, list[str]]:
    """The first `k` items of each query of the task, in the task's order; excluded items and those outside `among` out.

    `only`: query id to the items that alone count; a list may then have fewer than `k`.

    Raises `UsageError` when a query is not in the Run, or its list has fewer than `k` items left.
    """
    check_run(task, run)
    queries = {query.id: query for query in task.queries}
    found: dict[str, list[str]] = {}
    for name, ids, _ in run:
        allowed = _allowed(queries[name], None if only is None else only.get(name, ()))
        found[name] = list(islice((i for i in ids if i not in queries[name].exclude and i in allowed), k))
    lost = [name for name in queries if name not in found]
    if lost:
        raise UsageError(
            f"{len(lost):,} of {len(queries):,} queries are not in run {run.name!r}, such as {lost[0]!r}; a test "
            "server wants an answer to every query. Run all of them."
        )
    short = [name for name in queries if only is None and k is not None and len(found[name]) < k]
    if short:
        raise UsageError(
            f"{len(short):,} lists of run {run.name!r} have fewer than the {k} items that a submission holds, such as "
            f"that of query {short[0]!r} with {len(found[short[0]])}; let the pipeline return more (k=, depth=)."
        )
    return {name: found[name] for name in queries}


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True


def _allowed(query: Query, only: Sequence[str] | None) -> set[str] | _Everything:
    if query.among is None:
        return _Everything() if only is None else set(only)
    return set(query.among) if only is None else set(only).intersection(query.among)


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
