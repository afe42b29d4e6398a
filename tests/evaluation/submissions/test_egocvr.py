"""Lists as a CSV that pandas and ast.literal_eval read, instructions with commas, quotes and line breaks included."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import pytest

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.submissions.egocvr import read_lists, submit_egocvr
from mmrank.run import Run
from mmrank.types import Item, Query

TASK = Task(
    name="local",
    queries=(
        Query(id="0", text='Wash it, "slowly"\nand well.', among=("v_0_9", "v_9_18")),
        Query(id="1", text="Shake it."),
    ),
    gallery=tuple(Item(id=name, kind="video") for name in ("v_0_9", "v_9_18", "w_0_9")),
    relevant={},
    metrics=(),
)
RUN = Run.from_lists([("0", ["w_0_9", "v_9_18", "v_0_9"], [3, 2, 1]), ("1", ["v_0_9", "w_0_9"], [2, 1])])


def test_a_row_for_each_query_with_its_clips_as_a_python_list(tmp_path: Path) -> None:
    (made,) = submit_egocvr({"local": TASK}, {"local": RUN}, tmp_path)
    assert made.name == "egocvr_local.csv"
    with made.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [ast.literal_eval(row["predicted_clip_ids"]) for row in rows] == [["v_9_18", "v_0_9"], ["v_0_9", "w_0_9"]]
    assert [row["instruction"] for row in rows] == [query.text for query in TASK.queries]
    assert read_lists(made).ids("0") == ("v_9_18", "v_0_9")


def test_files_of_another_form_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("query,clips\n0,a\n")
    with pytest.raises(UsageError, match=r"columns \['query', 'clips'\]"):
        read_lists(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("query,instruction,predicted_clip_ids\n0,do it,v_0_9\n")
    with pytest.raises(UsageError, match="'v_0_9'; it needs a list"):
        read_lists(tmp_path / "x.csv")
