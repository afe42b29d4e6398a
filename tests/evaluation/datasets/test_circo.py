"""CIRCO: targets and their gains, the gallery of the image info, what stands in for it, missing images."""

from __future__ import annotations

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets import circo

IMAGES = [11, 22, 33, 44, 581781]
ROWS = [
    {
        "reference_img_id": 11,
        "target_img_id": 22,
        "relative_caption": "is asleep",
        "shared_concept": "a cat",
        "gt_img_ids": [22, 33],
        "id": 0,
        "semantic_aspects": ["addition", "negation"],
    },
    {
        "reference_img_id": 44,
        "target_img_id": 581781,
        "relative_caption": "has\nno people",
        "shared_concept": "a beach",
        "gt_img_ids": [581781],
        "id": 1,
        "semantic_aspects": [],
    },
]


@pytest.fixture
def root(tmp_path, write, draw):
    bare = [{key: row[key] for key in ("reference_img_id", "relative_caption", "shared_concept", "id")} for row in ROWS]
    write(tmp_path / "annotations/val.json", ROWS)
    write(tmp_path / "annotations/test.json", bare)
    info = {"images": [{"id": image, "file_name": f"{image:012d}.jpg"} for image in IMAGES], "licenses": []}
    write(tmp_path / "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json", info)
    for image in IMAGES:
        draw(tmp_path / f"COCO2017_unlabeled/unlabeled2017/{image:012d}.jpg")
    return tmp_path


def test_targets_gains_and_slices(root) -> None:
    dataset = circo.read(root, "val", "required")
    (task,) = dataset.tasks
    assert [item.id for item in task.gallery] == ["11", "22", "33", "44", "581781"]
    assert task.relevant == {"0": {"22": 2.0, "33": 1.0}, "1": {"581781": 2.0}}
    assert task.labels == {"0": ("addition", "negation")}
    assert [query.text for query in task.queries] == ["is asleep", "has\nno people"]
    assert task.queries[0].image.endswith("000000000011.jpg")
    assert all(query.exclude == () for query in task.queries)
    assert dataset.protocol == "CIRCO val, 5 gallery"


def test_leaving_the_reference_out_is_said(root) -> None:
    dataset = circo.read(root, "val", "required", exclude_reference=True)
    assert [query.exclude for query in dataset.tasks[0].queries] == [("11",), ("44",)]
    assert "reference excluded" in dataset.protocol


def test_the_test_split(root) -> None:
    dataset = circo.read(root, "test", "required")
    assert (dataset.tasks[0].relevant, dataset.tasks[0].metrics) == ({}, ())
    assert dataset.submit is not None


def test_images_elsewhere(root, tmp_path_factory, draw) -> None:
    other = tmp_path_factory.mktemp("coco")
    for image in IMAGES:
        draw(other / f"{image:012d}.jpg")
    dataset = circo.read(root, "val", "required", images=other)
    assert all(item.uri.startswith(str(other)) for item in dataset.tasks[0].gallery)


def test_missing_images(root) -> None:
    (root / "COCO2017_unlabeled/unlabeled2017/000000000033.jpg").unlink()
    with pytest.raises(DatasetError, match="1 media files of CIRCO val"):
        circo.read(root, "val", "required")
    dataset = circo.read(root, "val", "allow_missing")
    assert dataset.tasks[0].relevant["0"] == {"22": 2.0}
    assert (dataset.missing, dataset.dropped) == (("000000000033.jpg",), ())


def test_a_query_is_dropped_only_when_all_its_targets_are_missing(root) -> None:
    for image in (22, 33):
        (root / f"COCO2017_unlabeled/unlabeled2017/{image:012d}.jpg").unlink()
    dataset = circo.read(root, "val", "allow_missing")
    assert dataset.dropped == ("0",)
    assert dataset.submit is None


def test_without_image_info_the_gallery_is_what_the_files_name(root, write) -> None:
    (root / "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json").unlink()
    with pytest.raises(DatasetError, match="image_info_unlabeled2017.json"):
        circo.read(root, "val", "required")
    write(root / "submission_examples/submission_val.json", {"0": [22, 99], "1": [11, 7]})
    dataset = circo.read(root, "val", "none")
    assert [item.id for item in dataset.tasks[0].gallery] == ["7", "11", "22", "33", "44", "99", "581781"]
    assert "NOT THE OFFICIAL GALLERY" in dataset.protocol
    assert "submission_val.json" in dataset.notes[0]
    mine = write(root / "mine.json", {"0": ["55"], "1": ["66"]})
    dataset = circo.read(root, "val", "none", submission=mine)
    assert {"55", "66"} <= {item.id for item in dataset.tasks[0].gallery}
    assert "7" not in {item.id for item in dataset.tasks[0].gallery}


def test_another_image_info_is_refused(root, write) -> None:
    info = root / "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json"
    write(info, {"images": [{"id": 22, "file_name": "000000000022.jpg"}]})
    with pytest.raises(DatasetError, match="does not name"):
        circo.read(root, "val", "none")
    write(info, [1, 2])
    with pytest.raises(DatasetError, match="no image info"):
        circo.read(root, "val", "none")


@pytest.mark.compare
def test_the_real_files(real) -> None:
    dataset = circo.read(real("circo"), "val", "none")
    (task,) = dataset.tasks
    assert len(task.queries) == 220
    sizes = [len(gains) for gains in task.relevant.values()]
    assert (min(sizes), max(sizes), round(sum(sizes) / 220, 2)) == (1, 14, 4.16)
    assert all(sorted(gains.values())[-1] == 2.0 for gains in task.relevant.values())
    assert len({label for labels in task.labels.values() for label in labels}) == 9
