from __future__ import annotations

import contextlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrank.errors import MediaError
from mmrank.media.rows import MAX_BAD_ROWS, read_rows
from mmrank.types import Item


def items(path: Path, base: str = "data") -> list[Item]:
    rows = list(read_rows(path, base))
    assert all(isinstance(row, Item) for row in rows), rows
    return rows  # type: ignore[return-value]


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def test_columns_become_items_and_metadata(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "a.jsonl",
        {"id": "x", "image": "pics/a.jpg", "caption": "a cat", "year": 2020, "tags": ["a", "b"], "extra": {"n": [1]}},
        {"video": "clip.mp4#t=1,2", "text": "spoken", "caption": "kept", "score": 0.5, "none": None},
        {"text": "just words", "parent": "a book.txt"},
        {"uri": "doc.pdf#page=2"},
        {"uri": "/abs/b.png", "ok": True},
        {"image": "https://host/c.jpg"},
    )
    a, b, c, d, e, f = items(file)
    assert (a.id, a.kind, a.uri, a.text) == ("x", "image", str(tmp_path / "pics/a.jpg"), "a cat")
    assert dict(a.meta) == {"year": 2020, "tags": ("a", "b"), "extra": '{"n": [1]}'}
    assert (b.id, b.kind, b.uri, b.text) == ("data#row=2", "video", f"{tmp_path}/clip.mp4#t=1,2", "spoken")
    assert dict(b.meta) == {"caption": "kept", "score": 0.5, "none": None}
    assert (c.kind, c.text, c.parent, c.uri) == ("text", "just words", "a%20book.txt", None)
    assert (d.kind, d.uri) == ("page", f"{tmp_path}/doc.pdf#page=2")
    assert (e.kind, e.uri, dict(e.meta)) == ("image", "/abs/b.png", {"ok": True})
    assert (f.kind, f.uri) == ("image", "https://host/c.jpg")


def test_ids_with_white_space_are_encoded_and_others_kept(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", {"id": "img 1", "text": "t"}, {"id": 7, "text": "t"}, {"id": "a%é", "text": "t"})
    assert [item.id for item in items(file)] == ["img%201", "7", "a%é"]


def test_one_picture_with_five_captions_is_five_items(tmp_path: Path) -> None:
    file = tmp_path / "flickr.csv"
    file.write_text("image,caption\n" + "".join(f"a.jpg,caption {i}\n" for i in range(5)))
    found = items(file)
    assert len({item.id for item in found}) == 5
    assert len({item.uri for item in found}) == 1


def test_bad_rows_are_reported_and_the_rest_read(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "a.jsonl",
        {"text": "good"},
        "{not json\n",
        "[1, 2]\n",
        "\n",
        {"image": "a.jpg", "video": "b.mp4"},
        {"year": 3},
        {"text": "t", "kind": "sound"},
        {"uri": "what.xyz"},
        {"uri": "whole.pdf"},
        {"image": 5},
        {"image": "", "text": "good too"},
        "[" * 100_000 + "\n",
    )
    rows = list(read_rows(file, "d"))
    assert [row.text for row in rows if isinstance(row, Item)] == ["good", "good too"]
    failures = [row for row in rows if isinstance(row, tuple)]
    expected = ["not JSON", "list, not an object", "image and video", "nothing to find", "must be one of", "suffix"]
    expected += ["#page=N", "media is int", "not JSON"]
    assert len(failures) == len(expected)
    for (uri, why), part in zip(failures, expected, strict=True):
        assert part in why
        assert uri.startswith(f"{file}#row=")


def test_a_file_of_bad_rows_is_left_soon(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "log.jsonl", *({"level": i} for i in range(1000)))
    with pytest.raises(MediaError, match="none of the first 100 rows"):
        list(read_rows(file, "d"))
    rows, seen = read_rows(file, "d"), 0
    with contextlib.suppress(MediaError):
        for seen, _ in enumerate(rows, 1):  # noqa: B007 - counted for what follows
            pass
    assert seen == MAX_BAD_ROWS


def test_a_csv_column_is_numbers_only_if_all_of_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        "id,text,year,zip,price,seen,mixed,empty\n"
        "007,one,2020,01234,1.5,true,3,\n"
        '8,"two, ""quoted""\nlines",-5,99999,2,FALSE,x,\n'
        "9,three,,12,,true,,\n"
    )
    rows = items(file)
    assert [row.id for row in rows] == ["007", "8", "9"]
    assert rows[1].text == 'two, "quoted"\nlines'
    columns: dict[str, list[Any]] = {name: [row.meta[name] for row in rows] for name in rows[0].meta}
    assert columns == {
        "year": [2020, -5, None],
        "zip": ["01234", "99999", "12"],
        "price": [1.5, 2.0, None],
        "seen": [True, False, True],
        "mixed": ["3", "x", None],
        "empty": [None, None, None],
    }
    assert [type(value) for value in columns["price"]] == [float, float, type(None)]


def test_tsv_and_byte_order_marks_and_upper_case_headers(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_bytes("\ufeffText\tYear\nhello, there\t1\n".encode())
    (row,) = items(file)
    assert (row.text, dict(row.meta)) == ("hello, there", {"year": 1})


def test_csv_lines_of_other_lengths(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,a\none\ntwo,2,3\nthree,4\n")
    rows = list(read_rows(file, "d"))
    assert [row.text for row in rows if isinstance(row, Item)] == ["one", "three"]
    assert "1 fields more than the header" in rows[1][1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.csv", b"x,y\n1,2\n", "has the columns x, y; an Item needs one of image, video, uri, text, caption"),
        ("a.csv", b"text\ncaf\xe9\n", "CSV in UTF-8"),
        ("a.parquet", b"PAR1 not really", "Parquet"),
    ],
)
def test_files_that_hold_no_items_are_named(name: str, data: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MediaError, match=why):
        list(read_rows(tmp_path / name, "d"))


def test_parquet_rows_keep_their_types_and_pictures(tmp_path: Path) -> None:
    table = pa.table(
        {
            "image": [{"bytes": b"\x89PNG", "path": None}, {"bytes": None, "path": "b.jpg"}],
            "caption": ["a", "b"],
            "day": [date(2024, 1, 2), None],
            "n": pa.array([1, 2], pa.int16()),
            "tags": [["x"], []],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    a, b = items(tmp_path / "a.parquet")
    assert (a.kind, a.image, a.uri, a.text) == ("image", b"\x89PNG", None, "a")
    assert dict(a.meta) == {"day": date(2024, 1, 2), "n": 1, "tags": ("x",)}
    assert (b.image, b.uri) == (None, str(tmp_path / "b.jpg"))
    pq.write_table(pa.table({"n": [1]}), tmp_path / "b.parquet")
    with pytest.raises(MediaError, match="has the columns n"):
        list(read_rows(tmp_path / "b.parquet", "d"))


def test_rows_are_streamed(tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    file.write_text('{"text": "t"}\n' * 5)
    rows = read_rows(file, "d")
    assert isinstance(next(rows), Item)
    with file.open("a") as out:  # a reader that held the file would not see this
        out.write('{"text": "late"}\n')
    rows.close()
