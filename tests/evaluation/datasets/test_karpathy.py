"""Flickr30k and COCO: both directions, folds, cut captions, BLIP's wording, missing images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.karpathy import blip_caption, read_coco, read_flickr30k
from mmrank.evaluation.datasets.registry import load_dataset
from mmrank.evaluation.protocols import KARPATHY_I2T, KARPATHY_T2I


def flickr(root: Path) -> None:
    rows = [
        {"image": "flickr30k-images/1007.jpg", "caption": ["A Dog; running.", "Two (big) dogs!"]},
        {"image": "flickr30k-images/36.jpg", "caption": ["Red shoes", "Blue shoes", "Shoes"]},
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "flickr30k_test.json").write_text(json.dumps(rows))


def coco_name(number: int) -> str:
    return f"COCO_val2014_{number:012d}.jpg"


def coco(root: Path, count: int = 10, captions: int = 6) -> None:
    parts = ["test"] * count + ["val", "train", "restval"]
    images = [
        {
            "filename": coco_name(100 - n),
            "filepath": "val2014",
            "cocoid": 100 - n,
            "imgid": n,
            "split": part,
            "sentences": [{"raw": f"caption {k} of {100 - n}"} for k in range(captions)],
        }
        for n, part in enumerate(parts)
    ]
    (root / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))


def test_any_caption_of_the_image_is_a_hit(tmp_path: Path) -> None:
    flickr(tmp_path / "annotations")
    (tmp_path / "flickr30k-images").mkdir()
    for name in ("1007.jpg", "36.jpg"):
        (tmp_path / "flickr30k-images" / name).touch()
    dataset = read_flickr30k(tmp_path, "test", "required")
    forward, back = dataset.tasks
    assert (forward.name, back.name) == ("t2i", "i2t")
    assert (forward.metrics, back.metrics) == (KARPATHY_T2I, KARPATHY_I2T)
    assert [query.id for query in forward.queries] == ["1007#0", "1007#1", "36#0", "36#1", "36#2"]
    assert next((i.id, i.kind, i.uri) for i in forward.gallery) == (
        "1007",
        "image",
        str(tmp_path / "flickr30k-images" / "1007.jpg"),
    )
    assert back.relevant["36"] == {"36#0": 1.0, "36#1": 1.0, "36#2": 1.0}
    assert back.groups is None
    assert back.queries[1].images == (str(tmp_path / "flickr30k-images" / "36.jpg"),)
    assert dataset.protocol == "Flickr30k test, 5 captions, 2 to 5 gallery"
    assert dataset.combine is not None
    figures = {"R@1": 10.0, "R@5": 20.0, "R@10": 30.0}
    assert dataset.combine({"t2i": figures, "i2t": figures}) == {"RSum": 120.0, "R_mean": 20.0}


def test_cut_captions_and_blips_wording_are_said(tmp_path: Path) -> None:
    flickr(tmp_path)
    dataset = read_flickr30k(tmp_path, "test", "none", captions_per_image=2, text="blip")
    texts = [query.text for query in dataset.tasks[0].queries]
    assert texts == ["a dog running", "two big dogs", "red shoes", "blue shoes"]
    assert dataset.variant == "4 captions, at most 2 an image, BLIP's wording"
    assert len(blip_caption(" ".join(["word"] * 40)).split()) == 30
    assert blip_caption("it's a well-known man, here\n") == "it's a well-known man, here"
    with pytest.raises(DatasetError, match="captions_per_image is 0"):
        read_flickr30k(tmp_path, "test", "none", captions_per_image=0)
    with pytest.raises(DatasetError, match="text is 'clip'; it must be one of 'raw', 'blip'"):
        read_flickr30k(tmp_path, "test", "none", text="clip")  # type: ignore[arg-type]


def test_coco_keeps_all_captions_its_own_ids_and_its_order(tmp_path: Path) -> None:
    coco(tmp_path, count=3)
    dataset = read_coco(tmp_path, "test", "none")
    assert [item.id for item in dataset.tasks[0].gallery] == ["100", "99", "98"]
    assert [query.id for query in dataset.tasks[0].queries][5:7] == ["100#5", "99#0"]
    assert dataset.protocol == "COCO test, 18 captions, 3 to 18 gallery"
    five = read_coco(tmp_path, "test", "none", captions_per_image=5)
    assert len(five.tasks[0].queries) == 15
    train = read_coco(tmp_path, "train", "none")
    assert len(train.tasks[0].gallery) == 2


@pytest.mark.parametrize("folder", ["val2014", "images/val2014", "."])
def test_images_wherever_they_lie(tmp_path: Path, folder: str) -> None:
    coco(tmp_path, count=2)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for number in (100, 99):
        (tmp_path / folder / coco_name(number)).touch()
    assert [item.uri for item in read_coco(tmp_path, "test", "required").tasks[0].gallery] == [
        str(tmp_path / folder / coco_name(number)) for number in (100, 99)
    ]
    assert len(read_coco(tmp_path, "test", "required", images=tmp_path / folder).tasks[0].gallery) == 2


def test_folds_are_consecutive_galleries_and_figures_are_means(tmp_path: Path) -> None:
    coco(tmp_path)
    dataset = read_coco(tmp_path, "test", "none", folds=5)
    assert [task.name for task in dataset.tasks] == [f"{way} {n}" for n in range(1, 6) for way in ("t2i", "i2t")]
    assert [[item.id for item in task.gallery] for task in dataset.tasks[::2]] == [
        [str(100 - 2 * n), str(99 - 2 * n)] for n in range(5)
    ]
    assert {len(task.queries) for task in dataset.tasks[::2]} == {12}
    assert {len(task.gallery) for task in dataset.tasks[1::2]} == {12}
    assert dataset.variant == "60 captions, mean of 5 folds of 2 images"
    assert dataset.combine is not None
    figures = {f"t2i {n}": {"R@1": float(n), "R@5": 10.0, "R@10": 20.0} for n in range(1, 6)}
    figures |= {f"i2t {n}": {"R@1": 40.0, "R@5": 50.0, "R@10": 60.0} for n in range(1, 6)}
    combined = dataset.combine(figures)
    assert combined["t2i R@1"] == pytest.approx(3.0)
    assert combined["i2t R@5"] == pytest.approx(50.0)
    assert combined["RSum"] == pytest.approx(3 + 10 + 20 + 40 + 50 + 60)
    with pytest.raises(DatasetError, match="folds is 3; it must divide the 10 images"):
        read_coco(tmp_path, "test", "none", folds=3)


def test_a_fold_keeps_its_place_when_images_are_missing(tmp_path: Path) -> None:
    coco(tmp_path, count=4)
    for number in (100, 98, 97):
        (tmp_path / coco_name(number)).touch()
    dataset = read_coco(tmp_path, "test", "allow_missing", folds=2)
    assert [[item.id for item in task.gallery] for task in dataset.tasks[::2]] == [["100"], ["98", "97"]]
    assert dataset.missing == (coco_name(99),)
    assert "99" in dataset.dropped


def test_missing_images_and_files_are_named(tmp_path: Path) -> None:
    flickr(tmp_path)
    (tmp_path / "36.jpg").touch()
    (tmp_path / "1007.txt").touch()
    with pytest.raises(DatasetError, match=r"1 media files of Flickr30k are not there:\n  1007\.jpg"):
        read_flickr30k(tmp_path, "test", "required")
    with pytest.raises(DatasetError, match=r"annotation file of Flickr30k val[\s\S]*  flickr30k_val_karpathy\.txt"):
        read_flickr30k(tmp_path, "val", "none")
    (tmp_path / "dataset_coco.json").write_text('{"images": []}')
    with pytest.raises(DatasetError, match="holds no image of the split val"):
        read_coco(tmp_path, "val", "none")


def test_through_the_registry_with_options_as_words(tmp_path: Path) -> None:
    coco(tmp_path)
    dataset = load_dataset("COCO", tmp_path, "test", media="none", folds="5", captions_per_image="5")
    assert len(dataset.tasks) == 10
    assert len(dataset.tasks[0].queries) == 10
