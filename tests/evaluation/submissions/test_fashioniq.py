"""FashionIQ's prediction files: the rows of the captions, and a ranking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.submissions.fashioniq import read_fashioniq, submit_fashioniq
from mmrank.run import Run
from mmrank.types import Item, Query

ROWS = [
    {"target": "B1", "candidate": "B0", "captions": ["is red", " has sleeves"]},
    {"target": "B2", "candidate": "B0", "captions": ["is longer", ""]},
]
TASK = Task(
    name="dress",
    queries=tuple(Query(id=f"dress-{n}", text="x") for n in range(2)),
    gallery=tuple(Item(id=f"B{n}", kind="image") for n in range(3)),
    relevant={},
    metrics=(),
)
RUN = Run.from_lists([("dress-1", ["B2", "B0", "B1"], [3, 2, 1]), ("dress-0", ["B1", "B0", "B2"], [3, 2, 1])])


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    path = tmp_path / "cap.dress.val.json"
    path.write_text(json.dumps(ROWS))
    return path


def test_each_row_gets_its_ranking(tmp_path: Path, captions: Path) -> None:
    (made,) = submit_fashioniq({"dress": TASK}, {"dress": captions}, {"dress": RUN}, tmp_path)
    assert made.name == "dress.val.pred.json"
    assert json.loads(made.read_text()) == [
        {**ROWS[0], "ranking": ["B1", "B0", "B2"]},
        {**ROWS[1], "ranking": ["B2", "B0", "B1"]},
    ]
    again = read_fashioniq(made, "dress")
    assert again.query_ids == ("dress-0", "dress-1")
    assert again.ids("dress-1") == ("B2", "B0", "B1")


def test_a_row_without_a_list_is_refused(tmp_path: Path, captions: Path) -> None:
    captions.write_text(json.dumps([*ROWS, ROWS[0]]))
    with pytest.raises(UsageError, match="1 of 3 rows .* such as row 2"):
        submit_fashioniq({"dress": TASK}, {"dress": captions}, {"dress": RUN}, tmp_path)


def test_other_files_are_refused(tmp_path: Path, captions: Path) -> None:
    with pytest.raises(UsageError, match="row 0 has no ranking"):
        read_fashioniq(captions, "dress")
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(UsageError, match="no list of rows"):
        read_fashioniq(tmp_path / "x.json", "dress")
    with pytest.raises(UsageError, match="cannot be read"):
        read_fashioniq(tmp_path / "absent.json", "dress")
