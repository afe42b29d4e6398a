"""Parquet tables: columns, pictures unpacked once, one version apart from another."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.parquet import column_names, read_columns, safe_stem, unpack_pictures


@pytest.fixture
def tables(tmp_path, picture):
    """Two tables: raw bytes are in `raw`, Hugging Face's pairs in `image`; one row has no picture."""
    made = []
    for part, colours in enumerate([[(255, 0, 0), None], [(0, 0, 255)]]):
        data = [picture(c, "PNG" if part else "JPEG") if c else None for c in colours]
        table = pa.table(
            {
                "name": [f"{part}-{n}" for n in range(len(data))],
                "raw": pa.array(data, pa.binary()),
                "image": [None if each is None else {"bytes": each, "path": None} for each in data],
            }
        )
        made.append(tmp_path / f"test-{part}.parquet")
        pq.write_table(table, made[-1])
    return made


def test_columns(tables) -> None:
    assert column_names(tables[0]) == ("name", "raw", "image")
    assert read_columns(tables, ["name"]) == [{"name": "0-0"}, {"name": "0-1"}, {"name": "1-0"}]
    with pytest.raises(DatasetError, match="no column 'text'; it has name, raw, image"):
        read_columns(tables, ["text"])


@pytest.mark.parametrize("column", ["raw", "image"])
def test_pictures_become_files_once(tables, tmp_path, column) -> None:
    paths = unpack_pictures(tables, column, ["a", "b", "sub/c"], tmp_path / "out")
    assert paths[1] is None
    assert paths[0].endswith("a.jpg")
    assert paths[2].endswith(os.path.join("sub", "c.png"))
    os.utime(paths[0], (1, 1))
    assert unpack_pictures(tables, column, ["a", "b", "sub/c"], tmp_path / "out") == paths
    assert os.stat(paths[0]).st_mtime == 1


def test_a_half_finished_unpacking_goes_on(tables, tmp_path) -> None:
    paths = unpack_pictures(tables, "raw", ["a", "b", "c"], tmp_path / "out")
    os.rename(paths[2], paths[2] + ".77.part")
    assert unpack_pictures(tables, "raw", ["a", "b", "c"], tmp_path / "out") == paths


def test_of_equal_stems_the_first_row_counts(tables, tmp_path, picture) -> None:
    paths = unpack_pictures(tables, "raw", ["a", "b", "a"], tmp_path / "out")
    assert paths[0] == paths[2]
    with open(paths[0], "rb") as file:
        assert file.read() == picture((255, 0, 0), "JPEG")


def test_another_version_of_a_table_is_unpacked_apart(tables, tmp_path, picture) -> None:
    before = unpack_pictures(tables, "raw", ["a", "b", "c"], tmp_path / "out")
    table = pq.read_table(tables[1]).set_column(1, "raw", pa.array([picture((0, 255, 0))], pa.binary()))
    pq.write_table(table, tables[1])
    after = unpack_pictures(tables, "raw", ["a", "b", "c"], tmp_path / "out")
    assert before[2] != after[2]
    with open(after[2], "rb") as file:
        assert file.read() == picture((0, 255, 0))


def test_what_is_no_parquet_or_no_folder_is_said(tmp_path, tables) -> None:
    (tmp_path / "bad.parquet").write_text("not a table")
    with pytest.raises(DatasetError, match="not valid Parquet"):
        column_names(tmp_path / "bad.parquet")
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="unpack="):
        unpack_pictures(tables, "raw", ["a", "b", "c"], tmp_path / "file")


def test_stems_are_safe_and_different() -> None:
    long = "x" * 300
    stems = {safe_stem(text) for text in ("a.b", "a/b", "a b", "..", long, long + "y", "é" * 100)}
    assert len(stems) == 7
    assert all(len(stem) < 200 and "/" not in stem and "." not in stem for stem in stems)
