"""Folders in the layout that ``datasets`` 5.2 writes (checked against it)."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
from PIL import Image

from mmrank.media import load, scan


def saved(folder: Path, shards: int, rows: int) -> None:
    """What ``Dataset.save_to_disk`` leaves behind, with a cache of a later ``map`` beside it."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{shards:05d}.arrow" for i in range(shards)]
    for number, name in enumerate([*names, "cache-4a59167f58ad0c2b.arrow"]):
        table = pa.table({"text": [f"{folder.name} {number} {row}" for row in range(rows)]})
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")


def test_a_saved_dataset_gives_its_data_and_its_splits(tmp_path: Path) -> None:
    saved(tmp_path / "ds" / "train", 2, 2)
    saved(tmp_path / "ds" / "test", 1, 1)
    (tmp_path / "ds" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found = scan(tmp_path / "ds")
    items = list(found)
    assert [(item.text, item.meta["split"]) for item in items] == [
        ("test 0 0", "test"),
        *((f"train {shard} {row}", "train") for shard in range(2) for row in range(2)),
    ]
    assert items[-1].id == f"{tmp_path}/ds/train/data-00001-of-00002.arrow#row=2"
    assert found.failures == []


def test_a_missing_shard_is_said(tmp_path: Path) -> None:
    saved(tmp_path / "ds", 2, 1)
    (tmp_path / "ds" / "data-00001-of-00002.arrow").unlink()
    found = scan(tmp_path / "ds")
    assert len(list(found)) == 1
    ((uri, why),) = found.failures
    assert uri.endswith("data-00001-of-00002.arrow")
    assert "state.json names this file" in why


def test_a_state_of_another_program_changes_nothing(tmp_path: Path) -> None:
    table = pa.table({"text": ["a"]})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "state.json").write_text("[1, 2")
    assert [item.text for item in scan(tmp_path)] == ["a"]


def test_an_imagefolder_gives_each_picture_once_with_its_row(tmp_path: Path) -> None:
    train = tmp_path / "train"
    (train / "cats").mkdir(parents=True)
    for name in ("cats/a.png", "b.png", "extra.png"):
        Image.new("RGB", (8, 8)).save(train / name)
    rows = [{"file_name": "cats/a.png", "text": "a cat", "n": 1}, {"file_name": "b.png", "n": 2}]
    (train / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = {Path(item.uri or "").name: item for item in scan(tmp_path)}
    assert set(items) == {"a.png", "b.png", "extra.png"}
    assert (items["a.png"].text, items["a.png"].meta["n"]) == ("a cat", 1)
    assert items["extra.png"].id == f"{train}/extra.png"
    assert len(list(scan(tmp_path))) == 3
    assert load(items["a.png"], size=8, frames=1).image is not None


def test_a_metadata_file_without_file_names_is_a_table_like_any_other(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("image,text\na.png,x\n")
    assert sorted(item.id.rpartition("/")[2] for item in scan(tmp_path)) == ["a.png", "metadata.csv#row=1"]
