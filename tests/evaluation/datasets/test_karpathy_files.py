"""The files that hold Karpathy's splits: the same pictures from each of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.karpathy_files import Picture, picture_id, read_pictures

TOLD = {"1007.jpg": ["A dog, a cat.", 'He says "no" .'], "36.jpg": ["Red  shoes\u2028here", "", "third"]}
PICTURES = [Picture(id=name[:-4], file=name, captions=tuple(told)) for name, told in TOLD.items()]


def karpathy(path: Path, splits: dict[str, str]) -> Path:
    """Karpathy's JSON; `splits` from file name to split."""
    images = [
        {
            "filename": name,
            "imgid": n,
            "split": splits[name],
            "sentids": [n],
            "sentences": [{"tokens": text.split(), "raw": text, "imgid": n, "sentid": n} for text in TOLD[name]],
        }
        for n, name in enumerate(splits)
    ]
    path.write_text(json.dumps({"images": images, "dataset": "flickr30k"}))
    return path


def test_karpathys_json_by_split(tmp_path: Path) -> None:
    path = karpathy(tmp_path / "dataset_flickr30k.json", {"1007.jpg": "test", "36.jpg": "restval"})
    assert read_pictures(path, ("test",)) == PICTURES[:1]
    assert read_pictures(path, ("train", "restval")) == PICTURES[1:]
    assert read_pictures(path, ("val",)) == []


@pytest.mark.parametrize("a_row_each", [True, False])
def test_blips_json_of_lists_or_single_captions(tmp_path: Path, a_row_each: bool) -> None:
    path = tmp_path / "flickr30k_test.json"
    rows = [{"image": f"flickr30k-images/{name}", "caption": told} for name, told in TOLD.items()]
    single = [{"image": f"flickr30k-images/{n}", "caption": c, "image_id": n} for n, told in TOLD.items() for c in told]
    path.write_text(json.dumps(single if a_row_each else rows))
    assert read_pictures(path, ("test",)) == PICTURES


def test_lines_of_clip_benchmark_are_cut_at_the_first_comma(tmp_path: Path) -> None:
    path = tmp_path / "flickr30k_test_karpathy.txt"
    lines = [f"{name},{text}" for name, told in TOLD.items() for text in told]
    path.write_text("image,caption\n" + "\n\n".join(lines) + "\n", encoding="utf-8")
    assert read_pictures(path, ("test",)) == PICTURES


def test_cocos_captions_format_keeps_cocos_ids(tmp_path: Path) -> None:
    path = tmp_path / "coco_test_karpathy.json"
    images = [
        {"id": 42, "file_name": "COCO_val2014_000000000042.jpg"},
        {"id": 7, "file_name": "COCO_val2014_000000000007.jpg"},
        {"id": 8, "file_name": "COCO_val2014_000000000008.jpg"},
    ]
    annotations = [{"id": n, "image_id": i, "caption": f"{i} {n}"} for n, i in enumerate((7, 42, 7))]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    assert read_pictures(path, ("test",)) == [
        Picture(id="42", file="COCO_val2014_000000000042.jpg", captions=("42 1",)),
        Picture(id="7", file="COCO_val2014_000000000007.jpg", captions=("7 0", "7 2")),
    ]


def test_the_hugging_face_csv_holds_json_in_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "flickr_annotations_30k.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["raw", "sentids", "split", "filename", "img_id"])
        for n, (name, told) in enumerate(TOLD.items()):
            writer.writerow([json.dumps(told), json.dumps(list(range(len(told)))), ("test", "train")[n], name, n])
    assert read_pictures(path, ("test",)) == PICTURES[:1]
    assert read_pictures(path, ("train", "restval")) == PICTURES[1:]


def test_ids_are_the_same_from_every_layout() -> None:
    assert picture_id("COCO_train2014_000000581921.jpg") == "581921"
    assert picture_id("1000092795.jpg") == "1000092795"
    assert picture_id("000000000042.jpg") == "000000000042"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"images": [{"filename": "a.jpg", "split": "test"}]}', "no field 'sentences'"),
        ("a.json", '{"images": [{"filename": "a.jpg", "split": "test", "sentences": []}]}', "captions of a.jpg are"),
        ("a.json", '{"pictures": []}', "NoneType, not a list"),
        ("a.json", '[{"image": "a.jpg", "caption": [1]}]', "a list of texts is needed"),
        ("a.txt", "image,caption\na.jpg no comma\n", "Line 2 of .* has no comma"),
        ("a.csv", "raw,split,filename\nnot json,test,a.jpg\n", "captions of a.jpg are no JSON"),
        ("a.csv", "raw,filename\n[],a.jpg\n", "no field 'split'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_pictures(tmp_path / name, ("test",))
