"""Annotation files in the root or in folders below it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.places import Places


def make(root: Path, name: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_an_earlier_name_wins_over_a_nearer_place_and_a_nearer_place_over_a_deeper(tmp_path: Path) -> None:
    deep = make(tmp_path, "a/b/first.json")
    make(tmp_path, "second.json")
    assert Places(tmp_path).find(["first.json", "second.json"]) == deep
    near = make(tmp_path, "z/first.json")
    assert Places(tmp_path).find(["first.json"]) == near


def test_patterns_and_folders_in_names(tmp_path: Path) -> None:
    part = make(tmp_path, "x/data/test_1k-00000-of-00001.parquet")
    assert Places(tmp_path).find(["test_1k*.parquet"]) == part
    assert Places(tmp_path).find(["data/test_1k*.parquet"]) == part
    assert Places(tmp_path).find(["test_2k*.parquet"]) is None


def test_only_so_deep_and_not_in_hidden_folders(tmp_path: Path) -> None:
    deep = make(tmp_path, "a/b/c/list.txt")
    make(tmp_path, ".cache/list.txt")
    (tmp_path / "folder" / "list.txt").mkdir(parents=True)
    assert Places(tmp_path).find(["list.txt"]) is None
    assert Places(tmp_path, depth=3).find(["list.txt"]) == deep


def test_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"The captions is neither in .*\n  a\.json\n  b\.csv") as caught:
        Places(tmp_path).need(["a.json", "b.csv"], "The captions")
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(DatasetError, match="There is no folder"):
        Places(tmp_path / "gone")
