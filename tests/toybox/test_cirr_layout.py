import json

import pytest
from PIL import Image

from mmrank.toybox.cirr_layout import write_cirr


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_cirr(tmp_path_factory.mktemp("root"), images=60, seed=2)


def rows_of(base, split):
    return json.loads((base / "captions" / f"cap.rc2.{split}.json").read_text())


def paths_of(base, split):
    return json.loads((base / "image_splits" / f"split.rc2.{split}.json").read_text())


@pytest.mark.parametrize(("split", "folder", "images"), [("val", "dev", 60), ("test1", "test1", 30)])
def test_every_image_is_where_the_split_says(base, split, folder, images) -> None:
    paths = paths_of(base, split)
    assert len(paths) == images
    for name, path in paths.items():
        assert path == f"./{folder}/{name}.png"
        with Image.open(base / "img_raw" / path) as picture:
            assert picture.format == "PNG"


@pytest.mark.parametrize("split", ["val", "test1"])
def test_rows_keep_cirr_rules(base, split) -> None:
    paths, rows = paths_of(base, split), rows_of(base, split)
    assert len({row["pairid"] for row in rows}) == len(rows) == 5 * len(paths) // 6
    for row in rows:
        members = row["img_set"]["members"]
        assert len(set(members)) == 6
        assert set(members) <= set(paths)
        assert row["reference"] in members
        assert row["caption"]
        if split == "val":
            assert set(row) == {"pairid", "reference", "target_hard", "target_soft", "caption", "img_set"}
            assert set(row["img_set"]) == {"id", "members", "reference_rank", "target_rank"}
            assert row["target_hard"] in members
            assert row["target_hard"] != row["reference"]
            assert row["target_soft"] == {row["target_hard"]: 1.0}
        else:
            assert set(row) == {"pairid", "reference", "caption", "img_set"}
            assert set(row["img_set"]) == {"id", "members", "reference_rank"}


def test_every_image_is_a_member_of_one_set(base) -> None:
    sets = {row["img_set"]["id"]: frozenset(row["img_set"]["members"]) for row in rows_of(base, "val")}
    assert sum(len(members) for members in sets.values()) == len(paths_of(base, "val"))


def test_a_caption_and_its_reference_ask_for_one_target(base) -> None:
    rows = rows_of(base, "val")
    assert len({(row["reference"], row["caption"]) for row in rows}) == len(rows)
