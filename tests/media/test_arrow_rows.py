from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrank.errors import MediaError
from mmrank.media.arrow_rows import BATCH_ROWS, ArrowTable, read_cell
from mmrank.media.rows import read_rows
from mmrank.types import Item

FEATURES = {
    "img": {"_type": "Image"},
    "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    "text": {"dtype": "string", "_type": "Value"},
}


def written(path: Path, table: pa.Table) -> Path:
    """The table as Parquet, an Arrow file (``f.arrow``) or an Arrow stream, as ``datasets`` writes it."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=50)
        return path
    opened = pa.ipc.new_file if path.name.startswith("f") else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as sink, opened(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=30)
    return path


def table(count: int = 130) -> pa.Table:
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table(
        {
            "img": pa.array([{"bytes": b"%d" % i, "path": None} for i in range(count)], picture),
            "label": pa.array([i % 2 if i else -1 for i in range(count)], pa.int64()),
            "text": [f"picture {i}" for i in range(count)],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})


@pytest.mark.parametrize("name", ["a.parquet", "f.arrow", "s.arrow"])
def test_rows_come_in_order_and_their_pictures_open_again(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / name, table())
    assert ArrowTable(path).picture_column == "img"
    items = [row for row in read_rows(path, "d") if isinstance(row, Item)]
    assert [item.image for item in items] == [b"%d" % i for i in range(130)]
    assert [item.meta["label"] for item in items[:3]] == [None, "dog", "cat"]
    assert items[0].uri == f"{path}#row=1&column=img"
    for row in (1, 30, 31, 50, 51, BATCH_ROWS + 1, 130):
        assert read_cell(path, row, "img") == b"%d" % (row - 1)


@pytest.mark.parametrize("name", ["a.parquet", "f.arrow", "s.arrow"])
def test_cells_that_are_not_there_are_said(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / name, table(3))
    with pytest.raises(MediaError, match="has 3 rows; row 4 does not exist"):
        read_cell(path, 4, "img")
    with pytest.raises(MediaError, match="no column 'image'; it has img, label, text"):
        read_cell(path, 1, "image")
    with pytest.raises(MediaError, match="nothing in this cell"):
        read_cell(path, 1, "text")


@pytest.mark.parametrize("name", ["a.parquet", "f.arrow", "s.arrow"])
def test_a_file_that_breaks_off_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / name, table())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=name):
        list(read_rows(path, "d"))


def test_offsets_that_lead_out_of_a_stranger_s_file_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "s.arrow", pa.table({"text": ["aaaa", "bbbb", "cccc"]}))
    offsets = b"".join(i.to_bytes(4, "little") for i in (0, 4, 8, 12))
    content = path.read_bytes()
    assert content.count(offsets) == 1
    path.write_bytes(content.replace(offsets, offsets[:8] + (1 << 30).to_bytes(4, "little") + offsets[12:]))
    with pytest.raises(MediaError, match="cannot be read as Arrow"):
        list(read_rows(path, "d"))


def test_times_of_nanoseconds_and_decimals_are_kept(tmp_path: Path) -> None:
    moments = pa.array([1735689600123456789, None], pa.timestamp("ns"))
    path = written(
        tmp_path / "a.parquet", pa.table({"text": ["a", "b"], "at": moments, "price": [Decimal("12.50"), None]})
    )
    (a, b) = (row for row in read_rows(path, "d") if isinstance(row, Item))
    assert dict(a.meta) == {"at": datetime(2025, 1, 1, 0, 0, 0, 123456), "price": 12.5}
    assert dict(b.meta) == {"at": None, "price": None}
