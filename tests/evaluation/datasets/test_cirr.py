"""CIRR: both layouts, three splits, hard and soft targets, blanks, missing images."""

from __future__ import annotations

import json

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets import cirr
from mmrank.evaluation.protocols import CIRR, CIRR_SOFT

NAMES = [f"dev-{number}-{number % 3}-img{number % 2}" for number in range(8)]
"""Not in sorted order below: the gallery keeps the file's."""


def rows(first: int = 900001) -> list[dict]:
    """Three queries over one set of six; the last one's only soft target is its reference, and its caption blank."""
    members = [NAMES[3], NAMES[0], NAMES[5], NAMES[1], NAMES[4], NAMES[2]]
    made = [
        {"reference": NAMES[0], "target_hard": NAMES[1], "target_soft": {NAMES[1]: 1.0, NAMES[2]: 0.5, NAMES[3]: -1.0}},
        {"reference": NAMES[4], "target_hard": NAMES[2], "target_soft": {NAMES[2]: 1.0, NAMES[7]: 0.2}},
        {"reference": NAMES[3], "target_hard": NAMES[5], "target_soft": {NAMES[3]: 1.0, NAMES[5]: -1.0}},
    ]
    captions = ["two boats, not one", "same place\nbut at night", " "]
    return [
        {
            "pairid": first + number,
            **row,
            "caption": captions[number],
            "img_set": {"id": 7, "members": members, "reference_rank": 0, "target_rank": 3},
        }
        for number, row in enumerate(made)
    ]


def unlabelled(made: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if not key.startswith("target")} for row in made]


@pytest.fixture
def download(tmp_path, write, draw):
    """A download of one split with all its images, in the layout asked for."""

    def made(split="val", images="img_raw", folder="dev", under="cirr"):
        base = tmp_path / under if under else tmp_path
        order = [NAMES[number] for number in (5, 0, 7, 2, 1, 3, 6, 4)]
        places = {name: f"./{folder}/{name}.png" for name in order}
        labelled = rows() if split != "test1" else unlabelled(rows())
        write(base / "captions" / f"cap.rc2.{split}.json", labelled)
        write(base / "image_splits" / f"split.rc2.{split}.json", places)
        root = base / images if images == "img_raw" else base.parent / images if images else base
        for place in places.values():
            draw(root / place)
        return tmp_path

    return made


@pytest.mark.parametrize("images", ["img_raw", ".", ""], ids=["layout A", "layout B", "in cirr"])
@pytest.mark.parametrize("at", ["", "cirr"], ids=["parent", "cirr itself"])
def test_every_layout_is_read_unmodified(download, images, at) -> None:
    dataset = cirr.read(download(images=images) / at, "val", "required")
    (task,) = dataset.tasks
    assert [item.id for item in task.gallery] == [NAMES[number] for number in (5, 0, 7, 2, 1, 3, 6, 4)]
    assert all(item.uri.endswith(f"dev/{item.id}.png") for item in task.gallery)
    assert [query.id for query in task.queries] == ["900001", "900002", "900003"]
    assert task.queries[0].image.endswith(f"{NAMES[0]}.png")
    assert dataset.protocol == "CIRR val, hard targets, 8 gallery"
    assert dataset.submit is None
    assert task.metrics == CIRR


def test_the_reference_is_excluded_and_no_member(download) -> None:
    (task,) = cirr.read(download(), "val", "required").tasks
    for query, row in zip(task.queries, rows(), strict=True):
        assert query.exclude == (row["reference"],)
        assert query.among is None
        assert task.relevant[query.id] == {row["target_hard"]: 1.0}
        assert task.members[query.id] == tuple(m for m in row["img_set"]["members"] if m != row["reference"])
        assert len(task.members[query.id]) == 5


def test_soft_targets_keep_their_gains_and_every_query(download) -> None:
    dataset = cirr.read(download(), "val", "required", labels="soft")
    (task,) = dataset.tasks
    assert task.relevant["900001"] == {NAMES[1]: 1.0, NAMES[2]: 0.5}
    assert task.relevant["900002"] == {NAMES[2]: 1.0, NAMES[7]: 0.2}
    # Only its own reference: it stays a query that counts, and cannot be answered.
    assert task.relevant["900003"] == {NAMES[3]: 1.0}
    assert task.queries[2].exclude == (NAMES[3],)
    assert any("their own reference" in note and ": 1;" in note for note in dataset.notes)
    assert task.metrics == CIRR_SOFT
    assert "soft targets" in dataset.protocol


def test_a_query_whose_soft_targets_are_all_negative_still_counts(download) -> None:
    root = download()
    path = root / "cirr" / "captions" / "cap.rc2.val.json"
    made = rows()
    made[1]["target_soft"] = {NAMES[2]: -1.0}
    path.write_text(json.dumps(made))
    (task,) = cirr.read(root, "val", "required", labels="soft").tasks
    assert task.relevant["900002"] == {}
    assert len(task.queries) == 3


def test_blank_captions_and_line_breaks_stay(download) -> None:
    dataset = cirr.read(download(), "val", "required")
    assert [query.text for query in dataset.tasks[0].queries] == ["two boats, not one", "same place\nbut at night", " "]
    assert any(note.startswith("Blank captions: 1, such as query 900003's") for note in dataset.notes)


def test_the_test_split_has_no_labels_and_a_submission(download, tmp_path) -> None:
    dataset = cirr.read(download("test1", folder="test1"), "test1", "required")
    (task,) = dataset.tasks
    assert (task.relevant, task.metrics) == ({}, ())
    assert len(task.members["900001"]) == 5
    assert dataset.submit is not None
    assert dataset.protocol == "CIRR test1, 8 gallery"


def test_train_folders_are_numbered(tmp_path, write, draw) -> None:
    names = {"train-1-0-img0": "./train/34/train-1-0-img0.png", "train-2-0-img1": "./train/5/train-2-0-img1.png"}
    row = {
        "pairid": 1,
        "reference": "train-1-0-img0",
        "target_hard": "train-2-0-img1",
        "target_soft": {"train-2-0-img1": 1.0},
        "caption": "more",
        "img_set": {"members": [*names]},
    }
    write(tmp_path / "cirr/captions/cap.rc2.train.json", [row])
    write(tmp_path / "cirr/image_splits/split.rc2.train.json", names)
    for place in names.values():
        draw(tmp_path / "cirr/img_raw" / place)
    assert cirr.read(tmp_path, "train", "required").tasks[0].queries[0].image.endswith("train/34/train-1-0-img0.png")


def test_missing_images_are_counted_and_named(download) -> None:
    root = download()
    for name in (NAMES[0], NAMES[2]):  # the reference of the first query, the target of the second
        (root / "cirr/img_raw/dev" / f"{name}.png").unlink()
    with pytest.raises(DatasetError, match=rf"2 media files of CIRR val are not there:\n  dev/{NAMES[0]}.png"):
        cirr.read(root, "val", "required")
    dataset = cirr.read(root, "val", "allow_missing")
    (task,) = dataset.tasks
    assert set(dataset.missing) == {f"dev/{NAMES[0]}.png", f"dev/{NAMES[2]}.png"}
    assert dataset.dropped == ("900001", "900002")
    assert [query.id for query in task.queries] == ["900003"]
    assert NAMES[2] not in task.members["900003"]
    assert len(task.gallery) == 6
    assert "NOT OFFICIAL: 2 media files missing, 2 queries left out" in dataset.protocol


def test_without_media_nothing_has_to_be_there(download) -> None:
    root = download()
    for image in (root / "cirr/img_raw/dev").iterdir():
        image.unlink()
    dataset = cirr.read(root, "val", "none")
    assert (len(dataset.tasks[0].queries), len(dataset.tasks[0].gallery), dataset.missing) == (3, 8, ())


def test_images_beside_the_split_are_no_part_of_the_gallery(download, draw) -> None:
    root = download()
    draw(root / "cirr/img_raw/dev/dev-99-0-img0.png")
    assert len(cirr.read(root, "val", "required").tasks[0].gallery) == 8


def test_a_wrong_root_says_what_was_looked_for_and_where(tmp_path) -> None:
    with pytest.raises(DatasetError) as caught:
        cirr.read(tmp_path, "val", "required")
    words = str(caught.value)
    assert str(tmp_path) in words
    assert "cirr/captions/cap.rc2.val.json" in words
    with pytest.raises(DatasetError, match="There is no folder"):
        cirr.read(tmp_path / "nowhere", "val", "required")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[0].pop("caption"), "Row 0 of .* has no field 'caption'"),
        (lambda rows: rows[1].update(reference="dev-77-0-img0"), "does not name"),
        (lambda rows: rows[0].update(target_hard="dev-77-0-img0"), "not in the gallery"),
        (lambda rows: rows[1].update(pairid=900001), "'900001' is there twice"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(download, change, words) -> None:
    root = download()
    made = rows()
    change(made)
    (root / "cirr/captions/cap.rc2.val.json").write_text(json.dumps(made))
    with pytest.raises(DatasetError, match=words):
        cirr.read(root, "val", "required")


@pytest.mark.compare
@pytest.mark.parametrize(
    ("split", "labels", "queries", "gallery"),
    [("val", "hard", 4181, 2297), ("val", "soft", 4181, 2297), ("test1", "hard", 4148, 2315)],
)
def test_the_real_files(real, split, labels, queries, gallery) -> None:
    dataset = cirr.read(real("cirr"), split, "none", labels=labels)
    (task,) = dataset.tasks
    assert (len(task.queries), len(task.gallery)) == (queries, gallery)
    assert {len(members) for members in task.members.values()} == {5}
    assert all(query.exclude[0] not in task.members[query.id] for query in task.queries)
    if split == "test1":
        assert [query.text for query in task.queries if query.id == "27098"] == [" "]
    elif labels == "soft":
        assert sum(not gains for gains in task.relevant.values()) == 3
    else:
        assert all(set(task.relevant[q]) <= set(members) for q, members in task.members.items())
