"""CIRCO's file: image numbers, 50 a query, queries without a gap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.submissions.circo import read_circo, submit_circo
from mmrank.run import Run
from mmrank.types import Item, Query

IMAGES = [str(100_000 + n) for n in range(55)]


def task(*queries: str, images: list[str] = IMAGES) -> Task:
    return Task(
        queries=tuple(Query(id=query, text="x") for query in queries),
        gallery=tuple(Item(id=name, kind="image") for name in images),
        relevant={},
        metrics=(),
    )


def run(*queries: str, images: list[str] = IMAGES) -> Run:
    return Run.from_lists([(query, images, list(range(len(images), 0, -1))) for query in queries])


def test_the_file_holds_whole_numbers_under_keys_of_text(tmp_path: Path) -> None:
    (path,) = submit_circo(task("0", "1"), {"": run("1", "0")}, tmp_path)
    assert json.loads(path.read_text()) == {"0": [int(i) for i in IMAGES[:50]], "1": [int(i) for i in IMAGES[:50]]}
    again = read_circo(path)
    assert again.ids("1") == tuple(IMAGES[:50])
    (same,) = submit_circo(task("0", "1"), {"": again}, tmp_path)
    assert same.read_bytes() == path.read_bytes()


def test_numbers_written_as_text_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"0": ["12", "7"]}')
    assert read_circo(tmp_path / "s.json").ids("0") == ("12", "7")


def test_a_gap_in_the_queries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 is not among them"):
        submit_circo(task("0", "2"), {"": run("0", "2")}, tmp_path)
    (tmp_path / "s.json").write_text('{"1": [12]}')
    with pytest.raises(UsageError, match="0 is not among them"):
        read_circo(tmp_path / "s.json")


def test_short_lists_and_other_items_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fewer than the 50"):
        submit_circo(task("0"), {"": run("0", images=IMAGES[:49])}, tmp_path)
    names = [f"img{n}" for n in range(50)]
    with pytest.raises(UsageError, match="'img0' is no COCO image number"):
        submit_circo(task("0", images=names), {"": run("0", images=names)}, tmp_path)


def test_an_image_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"0": [12, 7, 12]}')
    with pytest.raises(UsageError, match="'12' twice"):
        read_circo(tmp_path / "s.json")
