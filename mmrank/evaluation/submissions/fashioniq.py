"""FashionIQ's start kit: the rows of the caption file, each with its "ranking", as ``CATEGORY.SPLIT.pred.json``.

The challenge's server is gone; the start kit's own evaluation still reads these files.
Format: github XiaoxiaoGuo/fashion-iq, "start_kit".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.submissions.lists import best_ids, names_in, run_of, write_json
from mmrank.run import Run


def write_fashioniq(task: Task, run: Run, captions: Path, path: Path, *, k: int | None = None) -> Path:
    """Write the rows of a caption file with the rankings of the queries ``CATEGORY-ROW`` of the task.

    Args:
        task: one category; its name is the category.
        run: its lists.
        captions: ``cap.CATEGORY.SPLIT.json``.
        path: the file to write.
        k: how many items of each list; None: all of them.

    Raises `UsageError` when a row has no list.
    """
    rows = _rows(captions)
    lists = best_ids(task, run, k)
    lost = [number for number in range(len(rows)) if f"{task.name}-{number}" not in lists]
    if lost:
        raise UsageError(
            f"{len(lost):,} of {len(rows):,} rows of {captions} have no list, such as row {lost[0]}; a submission "
            "answers all of them."
        )
    return write_json([{**row, "ranking": lists[f"{task.name}-{n}"]} for n, row in enumerate(rows)], path)


def submit_fashioniq(
    tasks: Mapping[str, Task], captions: Mapping[str, Path], runs: Mapping[str, Run], folder: Path
) -> list[Path]:
    """Write one file for each category, named after its caption file (``cap.dress.val.json``: dress.val.pred.json)."""
    made = []
    for name, task in tasks.items():
        split = captions[name].name.removesuffix(".json").rpartition(".")[2]
        made.append(write_fashioniq(task, runs[name], captions[name], folder / f"{name}.{split}.pred.json"))
    return made


def read_fashioniq(path: str | Path, category: str) -> Run:
    """A prediction file as a Run with the query ids ``CATEGORY-ROW``. Raises `UsageError` when it is none."""
    path = Path(path)
    lists = {}
    for number, row in enumerate(_rows(path)):
        if "ranking" not in row:
            raise UsageError(f"{path}: row {number} has no ranking; this may be a caption file.")
        lists[f"{category}-{number}"] = names_in(row["ranking"], str(number), path)
    return run_of(lists, category)


def _rows(path: Path) -> list[dict[str, object]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{path} cannot be read as rows of FashionIQ: {error}.") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path} is no list of rows; give a caption or prediction file of FashionIQ.")
    return rows
