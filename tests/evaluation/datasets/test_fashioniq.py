"""FashionIQ: three categories, two galleries, three ways to join captions, blanks, missing images."""

from __future__ import annotations

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets import fashioniq

ROWS = [
    {"target": "B002", "candidate": "B001", "captions": [" is Red. ", "has long sleeves?"]},
    {"target": "B003", "candidate": "B001", "captions": ["", "is longer\nand wider"]},
]


@pytest.fixture
def root(tmp_path, write, draw):
    for name in fashioniq.CATEGORIES:
        write(tmp_path / f"captions/cap.{name}.val.json", ROWS)
        write(tmp_path / f"image_splits/split.{name}.val.json", ["B004", "B002", "B001", "B003"])
        bare = [{"candidate": row["candidate"], "captions": row["captions"]} for row in ROWS]
        write(tmp_path / f"captions/cap.{name}.test.json", bare)
        write(tmp_path / f"image_splits/split.{name}.test.json", ["B001", "B004"])
    for number in range(1, 5):
        draw(tmp_path / f"images/B00{number}.jpg")
    return tmp_path


def test_one_task_for_each_category(root) -> None:
    dataset = fashioniq.read(root, "val", "required")
    assert [task.name for task in dataset.tasks] == ["dress", "shirt", "toptee"]
    task = dataset.task("shirt")
    assert [item.id for item in task.gallery] == ["B004", "B002", "B001", "B003"]
    assert [query.id for query in task.queries] == ["shirt-0", "shirt-1"]
    assert all(query.exclude == () for query in task.queries)
    assert task.relevant == {"shirt-0": {"B002": 1.0}, "shirt-1": {"B003": 1.0}}
    assert dataset.protocol == "FashionIQ val, original gallery, captions joined as CLIP4Cir, 4 gallery"
    figures = {name: {"R@10": 10.0 * number, "R@50": 50.0} for number, name in enumerate(fashioniq.CATEGORIES)}
    assert dataset.combine(figures) == {"R@10": 10.0, "R@50": 50.0, "Avg": 30.0}


@pytest.mark.parametrize(
    ("rule", "first", "second"),
    [
        ("clip4cir", "Is red and has long sleeves", " and is longer\nand wider"),
        ("searle", "is Red and has long sleeves", " and is longer\nand wider"),
        ("magiclens", " is Red.  and has long sleeves?", " and is longer\nand wider"),
    ],
)
def test_captions_are_joined_as_named(root, rule, first, second) -> None:
    dataset = fashioniq.read(root, "val", "required", captions=rule)
    assert [query.text for query in dataset.tasks[0].queries] == [first, second]
    assert any("dress: queries with a blank caption: 1, such as dress-1" in note for note in dataset.notes)


def test_the_union_gallery_is_labelled(root) -> None:
    dataset = fashioniq.read(root, "val", "required", split_gallery="union")
    assert [item.id for item in dataset.tasks[0].gallery] == ["B001", "B002", "B003"]
    assert "union (easier) gallery" in dataset.protocol
    with pytest.raises(DatasetError, match="has no targets"):
        fashioniq.read(root, "test", "required", split_gallery="union")


def test_without_targets_nothing_is_measured(root) -> None:
    dataset = fashioniq.read(root, "test", "required")
    assert all((task.relevant, task.metrics) == ({}, ()) for task in dataset.tasks)
    assert dataset.combine is None


def test_some_categories_give_no_official_mean(root) -> None:
    dataset = fashioniq.read(root, "val", "required", categories="toptee, dress")
    assert [task.name for task in dataset.tasks] == ["dress", "toptee"]
    assert dataset.combine is None
    assert any("Only dress, toptee" in note for note in dataset.notes)
    with pytest.raises(DatasetError, match="it takes some of dress, shirt, toptee"):
        fashioniq.read(root, "val", "required", categories="shoes")


def test_missing_images_in_any_layout(root, draw) -> None:
    (root / "images/B001.jpg").unlink()
    (root / "images/B004.jpg").unlink()
    with pytest.raises(DatasetError, match="2 media files of FashionIQ dress val"):
        fashioniq.read(root, "val", "required")
    for name in fashioniq.CATEGORIES:
        draw(root / f"resized_images/{name}/B001.png")
    draw(root / "images/B004.png")
    dataset = fashioniq.read(root, "val", "required")
    assert dataset.task("shirt").queries[0].image.endswith("resized_images/shirt/B001.png")


def test_a_missing_reference_drops_its_queries(root) -> None:
    (root / "images/B002.jpg").unlink()
    dataset = fashioniq.read(root, "val", "allow_missing")
    assert dataset.dropped == ("dress-0", "shirt-0", "toptee-0")
    (root / "images/B001.jpg").unlink()
    with pytest.raises(DatasetError, match="No query is left in dress of 2: their media are missing"):
        fashioniq.read(root, "val", "allow_missing")


def test_ids_that_are_twice_in_a_split_file_count_once(root, write) -> None:
    write(root / "image_splits/split.dress.val.json", ["B001", "B002", "B001", "B003"])
    dataset = fashioniq.read(root, "val", "required")
    assert len(dataset.task("dress").gallery) == 3
    assert any("dress: 1 image ids" in note for note in dataset.notes)


def test_a_split_file_that_is_none(root, write) -> None:
    write(root / "image_splits/split.dress.val.json", {"B001": 1})
    with pytest.raises(DatasetError, match="no list of image ids"):
        fashioniq.read(root, "val", "required")


@pytest.mark.compare
@pytest.mark.parametrize(("gallery", "size"), [("original", 3817), ("union", 2628)])
def test_the_real_files(real, gallery, size) -> None:
    dataset = fashioniq.read(real("fashioniq"), "val", "none", split_gallery=gallery)
    task = dataset.task("dress")
    assert (len(task.queries), len(task.gallery)) == (2017, size)
