from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrank.errors import MediaError
from mmrank.media.columns import Columns
from mmrank.media.rows import MAX_BAD_ROWS, Note, read_rows
from mmrank.types import Item


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def items(path: Path, base: str = "data", columns: Columns | None = None) -> list[Item]:
    rows = list(read_rows(path, base, columns))
    assert all(isinstance(row, Item) for row in rows), rows
    return rows  # type: ignore[return-value]


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def test_columns_become_items_and_metadata(tmp_path: Path) -> None:
    touch(tmp_path, "pics/a.jpg", "clip.mp4", "doc.pdf", "b.png")
    file = jsonl(
        tmp_path / "a.jsonl",
        {"id": "x", "image": "pics/a.jpg", "caption": "a cat", "year": 2020, "tags": ["a", "b"], "extra": {"n": [1]}},
        {"video": "clip.mp4#t=1,2", "text": "spoken", "caption": "kept", "score": 0.5, "none": None},
        {"text": "just words", "parent": "a book.txt"},
        {"uri": "doc.pdf#page=2"},
        {"uri": str(tmp_path / "b.png"), "ok": True},
        {"image": "https://host/c.jpg"},
    )
    a, b, c, d, e, f = items(file)
    assert (a.id, a.kind, a.uri, a.text) == ("x", "image", str(tmp_path / "pics/a.jpg"), "a cat")
    assert dict(a.meta) == {"year": 2020, "tags": ("a", "b"), "extra": '{"n": [1]}'}
    assert (b.id, b.kind, b.uri, b.text) == ("data#row=2", "video", f"{tmp_path}/clip.mp4#t=1,2", "spoken")
    assert dict(b.meta) == {"caption": "kept", "score": 0.5, "none": None}
    assert (c.kind, c.text, c.parent, c.uri) == ("text", "just words", "a%20book.txt", None)
    assert (d.kind, d.uri) == ("page", f"{tmp_path}/doc.pdf#page=2")
    assert (e.kind, e.uri, dict(e.meta)) == ("image", str(tmp_path / "b.png"), {"ok": True})
    assert (f.kind, f.uri) == ("image", "https://host/c.jpg")


def test_ids_with_white_space_are_encoded_and_others_kept(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", {"id": "img 1", "text": "t"}, {"id": 7, "text": "t"}, {"id": "a%é", "text": "t"})
    assert [item.id for item in items(file)] == ["img%201", "7", "a%é"]


def test_one_picture_with_five_captions_is_five_items(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    file = tmp_path / "flickr.csv"
    file.write_text("image,caption\n" + "".join(f"a.jpg,caption {i}\n" for i in range(5)))
    found = items(file)
    assert len({item.id for item in found}) == 5
    assert len({item.uri for item in found}) == 1


def test_bad_rows_are_reported_and_the_rest_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.mp4", "what.xyz", "whole.pdf")
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
    expected += ["whole.pdf is empty", "media is int", "not JSON"]
    assert len(failures) == len(expected)
    for (uri, why), part in zip(failures, expected, strict=True):
        assert part in why
        assert uri.startswith(f"{file}#row=")


def test_a_file_of_bad_rows_is_left_soon(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "log.jsonl", *({"level": i, "text": ""} for i in range(1000)))
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
        ("a.csv", b"x,y\n1,2\n", "has the columns x, y; an Item needs one of image, video, pdf, uri, text, caption"),
        ("a.csv", b"", "has no column names"),
        ("a.csv", b"text,Text\n1,2\n", "columns 'text' and 'Text', which are not told apart"),
        ("a.arrow", b"ARROW1 not really", "Arrow"),
        ("b.arrow", b"", "empty"),
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
    touch(tmp_path, "b.jpg")
    a, b = items(tmp_path / "a.parquet")
    assert (a.kind, a.image, a.uri, a.text) == ("image", b"\x89PNG", f"{tmp_path}/a.parquet#row=1&column=image", "a")
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


def told(path: Path, columns: Columns | None = None) -> tuple[list[Item], list[tuple[str, str]], list[str]]:
    """Items, failures and notes."""
    rows = list(read_rows(path, "data", columns))
    return (
        [row for row in rows if isinstance(row, Item)],
        [row for row in rows if isinstance(row, tuple)],
        [row.what for row in rows if isinstance(row, Note)],
    )


def test_a_mapping_names_the_parts_and_the_rest_is_metadata(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    file = tmp_path / "products.csv"
    file.write_text("SKU,Photo,image,kind,text\n007,a.jpg,thumb.jpg,shirt,red\n008,b.jpg,,hat,blue\n")
    a, b = items(file, columns=Columns({"id": "sku", "image": "photo", "kind": ""}))
    assert (a.id, a.kind, a.uri, a.text) == ("007", "image", str(tmp_path / "a.jpg"), "red")
    assert dict(a.meta) == {"image": "thumb.jpg", "kind": "shirt"}
    assert dict(b.meta) == {"image": None, "kind": "hat"}


def test_an_absent_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", {"text": "t", "photo_path": "a.jpg"})
    with pytest.raises(MediaError, match="no column 'photo_pth'.*text, photo_path. Did you mean 'photo_path'"):
        list(read_rows(file, "d", Columns({"image": "photo_pth"})))


def test_a_missing_picture_is_a_line_with_row_and_path(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    file = tmp_path / "a.csv"
    file.write_text("image,n\nb.jpg,1\na.jpg,2\n")
    found, failures, _ = told(file)
    assert [item.uri for item in found] == [str(tmp_path / "a.jpg")]
    ((uri, why),) = failures
    assert uri == str(tmp_path / "b.jpg")  # under this name it is cleared when the picture comes
    assert why == f"row 1 of {file} names {tmp_path}/b.jpg: No such file or directory"


def test_many_missing_pictures_do_not_end_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    file = tmp_path / "a.csv"
    file.write_text("image\n" + "gone.jpg\n" * (MAX_BAD_ROWS + 20) + "a.jpg\n")
    found, failures, _ = told(file)
    assert (len(found), len(failures)) == (1, MAX_BAD_ROWS + 20)


def test_of_rows_with_one_id_the_last_is_kept_and_both_are_named(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "a.jsonl",
        {"id": "x", "text": "old"},
        {"id": 7, "text": "t"},
        {"id": "x", "text": "new"},
        {"id": "7", "text": "t"},
        {"id": "same", "text": "t", "n": 1},
        {"id": "same", "text": "t", "n": 1},
    )
    found, failures, notes = told(file)
    assert [(item.id, item.text) for item in found] == [("x", "new"), ("7", "t"), ("same", "t")]
    assert failures == []
    assert notes[0] == "rows 1 and 3 have the id 'x' and different content; row 3 is kept"
    assert all("'same'" not in note for note in notes)


def test_dates_of_all_rows_are_dates_and_the_one_that_is_none_is_said(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "a.jsonl",
        {"text": "a", "day": "2025-01-31", "at": "2025-01-31T10:00:00", "utc": "2025-01-31T10:00:00+01:00"},
        {"text": "b", "day": "2025-02-30", "at": "2025-01-31", "utc": None},
        {"text": "c", "day": "0000-00-00"},
    )
    found, failures, notes = told(file)
    assert [item.meta.get("day") for item in found] == [date(2025, 1, 31), None, None]
    assert [item.meta.get("at") for item in found] == [datetime(2025, 1, 31, 10), datetime(2025, 1, 31), None]
    assert found[0].meta["utc"] == datetime(2025, 1, 31, 9, tzinfo=UTC)
    assert failures == []
    assert notes == ["column 'day' holds dates, and row 2 has '2025-02-30', and 1 more; left empty there"]


def test_a_number_column_that_a_few_cells_make_text_is_said(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,price\n" + "t,12.5\n" * 60 + "t,on request\n")
    found, _, notes = told(file)
    assert found[0].meta["price"] == "12.5"
    assert notes == [
        "column 'price': 60 cells are numbers, but kept as text because of row 61, 'on request'",
    ]


def test_json_columns_have_one_type(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "a.jsonl",
        {"text": "a", "price": 1, "size": "XL", "tags": [], "more": [1]},
        {"text": "b", "price": 2.5, "size": 42, "tags": ["x"], "more": "none"},
    )
    a, b = items(file)
    assert [type(item.meta["price"]) for item in (a, b)] == [float, float]
    assert [item.meta["size"] for item in (a, b)] == ["XL", "42"]
    assert [item.meta["tags"] for item in (a, b)] == [(), ("x",)]
    assert [item.meta["more"] for item in (a, b)] == ["[1]", "none"]


def test_a_pdf_in_a_row_becomes_its_pages(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    pdf(tmp_path / "a.pdf", [["one"], ["two"]])
    file = jsonl(tmp_path / "a.jsonl", {"id": "p", "pdf": "a.pdf", "year": 2025}, {"id": "q", "pdf": "a.pdf#page=2"})
    one, two, single = items(file)
    assert [(item.id, item.parent, item.uri, dict(item.meta)) for item in (one, two)] == [
        (f"p#page={page}", "p", f"{tmp_path}/a.pdf#page={page}", {"year": 2025, "page": page}) for page in (1, 2)
    ]
    assert (single.id, single.kind, single.uri) == ("q", "page", f"{tmp_path}/a.pdf#page=2")


def test_bytes_that_are_no_medium_are_left_out_and_said(tmp_path: Path) -> None:
    table = pa.table({"image": [b"a"], "mask": [b"b"], "deep": [[{"bytes": b"c", "path": "x"}]]})
    pq.write_table(table, tmp_path / "a.parquet")
    found, _, notes = told(tmp_path / "a.parquet")
    assert (found[0].image, dict(found[0].meta)) == (b"a", {})
    assert notes == [f"column {name!r} holds bytes and is left out" for name in ("deep", "mask")]
