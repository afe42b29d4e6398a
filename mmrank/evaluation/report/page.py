"""The report: one HTML file that opens anywhere, loads nothing, and holds every picture that it shows."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path

from mmrank import __version__
from mmrank.errors import UsageError
from mmrank.evaluation.report.head import head
from mmrank.evaluation.report.lines import of_task
from mmrank.evaluation.report.rows import Rows
from mmrank.evaluation.report.sides import sides
from mmrank.evaluation.report.words import html
from mmrank.evaluation.results import Evaluation

QUERIES = 300
"""Queries shown where nobody says otherwise: some 15 MB of thumbnails at most, and more than a person looks through."""


def write_report(
    evaluation: Evaluation,
    path: str | Path,
    *,
    queries: int = QUERIES,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the report of an evaluation as one HTML file, UTF-8.

    Args:
        evaluation: from `mmrank.evaluate`.
        path: the file; a report that is there is replaced once the new one is whole.
        queries: how many queries get a row, over all tasks: those with the biggest gains and losses, those that did not
            end ok, and an even sample of the rest. The page says which. 0: none.
        progress: told how many pictures are read, and of how many.

    Media that cannot be read give a placeholder with the cause. Raises `UsageError` for a negative `queries`, `OSError`
    when the file cannot be written.

    >>> import tempfile
    >>> from mmrank.evaluation.dataset import Dataset, Task
    >>> from mmrank.evaluation.results import Evaluation
    >>> from mmrank.types import Item, Query
    >>> task = Task(queries=(Query(text="a cat", id="q"),), gallery=(Item(id="cat", kind="text", text="cat"),),
    ...     relevant={}, metrics=())
    >>> pets = Dataset(name="pets", title="Pets", split="test", tasks=(task,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "report.html"
    ...     write_report(Evaluation(dataset=pets, systems=()), file)
    ...     "Pets test, 1 gallery" in file.read_text(encoding="utf-8")
    True
    """
    if queries < 0:
        raise UsageError(f"queries is {queries}; give how many queries the report shows, 0 for none.")
    target = Path(path)
    unfinished = target.with_name(f"{target.name}.part")
    with unfinished.open("w", encoding="utf-8", newline="\n") as file:
        for part in _page(evaluation, queries, progress):
            file.write(part)
            file.write("\n")
    unfinished.replace(target)


def _page(evaluation: Evaluation, queries: int, progress: Callable[[int, int], None] | None) -> Iterator[str]:
    dataset = evaluation.dataset
    looked = {task.name: sides(task, of_task(evaluation, task)) for task in dataset.tasks}
    rows = Rows()
    measured = [task for task in dataset.tasks if looked[task.name]]
    for task, budget in zip(measured, _shares(queries, [len(task.queries) for task in measured]), strict=True):
        if budget:
            rows.add(task, looked[task.name], budget)
    data, pictures = rows.data(progress)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{html(dataset.protocol)}</title>\n<style>\n{_file('report.css')}</style>\n</head>\n<body>"
    yield from head(evaluation, looked)
    if data["tasks"]:
        yield _file("rows.html")
    yield f"<footer>Written by mmrank {escape(__version__)} on {_now()}. "
    yield "This page loads nothing from anywhere.</footer>"
    if data["tasks"]:
        yield _json("rows-data", data)
        yield _json("pictures-data", pictures)
        yield f"<script>{_script()}</script>"
    yield "</body>\n</html>"


def _shares(total: int, sizes: Sequence[int]) -> list[int]:
    """`total` split over tasks as evenly as their sizes allow.

    >>> _shares(300, [10, 1000, 1000])
    [10, 145, 145]
    """
    shares = [0] * len(sizes)
    left = total
    for done, place in enumerate(sorted(range(len(sizes)), key=lambda number: sizes[number])):
        shares[place] = min(sizes[place], left // (len(sizes) - done))
        left -= shares[place]
    return shares


def _json(name: str, value: object) -> str:
    """A data block: no ``<`` is left in it, so that no text can close the element; ASCII, lone surrogates included."""
    coded = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{coded}</script>'


def _policy() -> str:
    """No request goes anywhere, and no script runs but the page's own, by its digest."""
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode("ascii")
    allowed = f"script-src 'sha256-{digest}'; img-src data:; style-src 'unsafe-inline'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _script() -> str:
    return _file("report.js")


@cache
def _file(name: str) -> str:
    return resources.files("mmrank.evaluation.report").joinpath(name).read_text(encoding="utf-8")


def _now() -> str:
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
