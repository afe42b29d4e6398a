"""Tables of captions in every suffix, with blanks, newlines, commas and duplicate ids."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.tables import caption_rows, read_table


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8", newline="")
    return path


def test_csv_with_quotes_newlines_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", '\ufeffvideo_id,sentence\r\n\r\nv1,"a, b\nand ""c"""\r\nv2,\r\n')
    assert read_table(path) == [
        {"video_id": "v1", "sentence": 'a, b\nand "c"'},
        {"video_id": "v2", "sentence": ""},
    ]


def test_unquoted_commas_and_quotes_belong_to_the_text(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'key,video_id,sentence\nret0,v1,red, green\nret1,v2,"stop" he says, twice\n')
    assert [row["sentence"] for row in read_table(path)] == ["red, green", '"stop" he says, twice']


def test_tsv_json_jsonl_and_parquet_hold_the_same(tmp_path: Path) -> None:
    rows = [{"video_id": "v1", "caption": "a dog, running"}, {"video_id": "v2", "caption": "a\u2028cat"}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    written(tmp_path / "a.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n")
    written(tmp_path / "a.tsv", "video_id\tcaption\nv1\ta dog, running\nv2\ta\u2028cat\n")
    pq.write_table(pa.Table.from_pylist([{**row, "bytes": b"film"} for row in rows]), tmp_path / "a.parquet")
    for suffix in ("json", "jsonl", "tsv", "parquet"):
        assert read_table(tmp_path / f"a.{suffix}") == rows


def test_all_parts_of_a_parquet_or_an_error(tmp_path: Path) -> None:
    for number in range(2):
        rows = [{"video_id": f"v{number}", "caption": "x"}]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"test-{number:05d}-of-00002.parquet")
    first = tmp_path / "test-00000-of-00002.parquet"
    assert [row["video_id"] for row in read_table(first)] == ["v0", "v1"]
    (tmp_path / "test-00001-of-00002.parquet").unlink()
    with pytest.raises(DatasetError, match="2 parts, and test-00001-of-00002.parquet is not there"):
        read_table(first)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "video_id,sentence\nv1\n", "Row 2 of .* has 1 fields and the header 2"),
        ("a.json", "{}", "not a list of rows"),
        ("a.json", "[1]", "Row 0"),
        ("a.jsonl", '{"a": 1}\n{', "a.jsonl:2 is not valid JSON"),
        ("a.parquet", "no", "not valid Parquet"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_table(written(tmp_path / name, content))


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"video_id,sentence\nv1,caf\xe9\n")
    with pytest.raises(DatasetError, match=r"a\.csv is not UTF-8"):
        read_table(tmp_path / "a.csv")


def test_captions_keep_their_own_ids_while_these_are_unique() -> None:
    rows = [{"key": "ret0", "video_id": "v1", "sentence": "x"}, {"key": "ret1", "video_id": "v2", "sentence": "y"}]
    assert [(c.id, c.owner, c.text) for c in caption_rows(rows, Path("a"))] == [
        ("ret0", "v1", "x"),
        ("ret1", "v2", "y"),
    ]
    for other in ("ret0", "", None):
        again = [rows[0], {**rows[1], "key": other}]
        assert [c.id for c in caption_rows(again, Path("a"))] == ["v1#0", "v2#0"]


def test_captions_of_one_video_come_together_in_order() -> None:
    rows = [
        {"key": 0, "video": "v1.mp4", "caption": "first"},
        {"key": 1, "video": "v2.mp4", "caption": ["third", "fourth"]},
        {"key": 2, "video": "v1.mp4", "caption": "second"},
    ]
    read = [(c.id, c.text) for c in caption_rows(rows, Path("a"))]
    assert read == [("v1#0", "first"), ("v1#1", "second"), ("v2#0", "third"), ("v2#1", "fourth")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no rows"),
        ([{"name": "v1", "sentence": "x"}], "none of the columns video_id, .*it has name, sentence"),
        ([{"video_id": "v1", "words": "x"}], "none of the columns sentence"),
        ([{"video_id": "v1", "sentence": None}], "Row 0 .*must be texts"),
        ([{"video_id": " ", "sentence": "x"}], "Row 0 .*must be texts"),
    ],
)
def test_rows_that_are_no_captions(rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        caption_rows(rows, Path("a.csv"))
