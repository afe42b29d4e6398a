"""The toybox as a data set: its own queries, and its parts under names that are not the originals'."""

from __future__ import annotations

import shutil

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.registry import load_dataset
from mmrank.toybox import write_toybox


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return write_toybox(folder, images=24, videos=2, pages=2, notes=2, seed=5)


def test_every_sort_of_query_is_a_task_over_the_whole_collection(written) -> None:
    dataset = load_dataset("toybox", written.folder)
    assert {task.name for task in dataset.tasks} == {query.task for query in written.queries}
    assert all(len(task.gallery) == len(written.items) == 30 for task in dataset.tasks)
    assert sum(len(task.queries) for task in dataset.tasks) == len(written.queries)
    assert dataset.protocol == "Toybox test, whole collection, 30 gallery"


def test_every_query_has_its_answer_and_its_reference_is_excluded(written) -> None:
    dataset = load_dataset("toybox", written.folder)
    for asked in written.queries:
        task = dataset.task(asked.task)
        query = next(query for query in task.queries if query.id == asked.id)
        assert task.relevant[asked.id] == {asked.answer: 1.0}
        assert query.text == asked.text
        assert query.exclude == ((asked.reference,) if asked.reference else ())
        assert (query.image is None) == (asked.reference is None)


def test_items_tell_nothing_but_where_they_lie(written) -> None:
    items = load_dataset("toybox", written.folder).tasks[0].gallery
    assert {item.kind for item in items} == {"image", "video", "page", "text"}
    assert all(item.text is None and not item.meta for item in items)
    page = next(item for item in items if item.kind == "page")
    assert page.uri.endswith(".pdf#page=1")
    assert page.id.startswith("reports/")


def test_items_of_one_kind(written) -> None:
    dataset = load_dataset("toybox", written.folder, gallery="kind")
    assert {item.kind for item in dataset.task("text_to_video").gallery} == {"video"}
    assert "items of the answer's kind" in dataset.protocol


def test_missing_files(written, tmp_path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(written.folder, root)
    (root / "media/clips/clip-0001.mp4").unlink()
    with pytest.raises(DatasetError, match=r"1 media files of the toybox are not there:\n  clips/clip-0001.mp4"):
        load_dataset("toybox", root)
    dataset = load_dataset("toybox", root, media="allow_missing")
    assert len(dataset.dropped) == 1
    assert "NOT OFFICIAL" in dataset.protocol


@pytest.mark.parametrize("below", ["", "cirr"])
def test_the_cirr_layout_does_not_print_under_the_official_name(written, below) -> None:
    dataset = load_dataset("toybox-cirr", written.folder / below)
    assert dataset.protocol == "Toybox (CIRR layout) val, hard targets, 24 gallery"
    assert dataset.name == "toybox-cirr"
    assert len(dataset.tasks[0].queries) == 20
    assert load_dataset("toybox-cirr", written.folder, "test").tasks[0].relevant == {}
    official = load_dataset("cirr", written.folder)
    assert "NOT THE OFFICIAL FILES: 20 queries and a gallery of 24, officially 4,181 and 2,297" in official.protocol


@pytest.mark.parametrize("below", ["", "msrvtt"])
def test_the_msrvtt_layout(written, below) -> None:
    dataset = load_dataset("toybox-msrvtt", written.folder / below)
    assert dataset.protocol.startswith("Toybox (MSR-VTT layout) 1k-A, ")
    assert [len(task.queries) for task in dataset.tasks] == [2, 2]
    assert dataset.name == "toybox-msrvtt"
