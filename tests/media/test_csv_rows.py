from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.errors import MediaError
from mmrank.media.csv_rows import CsvForm, csv_form, csv_records


def read(path: Path) -> tuple[CsvForm, list[dict[str, str] | str]]:
    form = csv_form(path)
    return form, list(csv_records(path, form))


@pytest.mark.parametrize(
    ("content", "encoding", "separator"),
    [
        ("\ufefftext,n\ncafé,1\n".encode(), "utf-8-sig", ","),
        ("text;n\ncafé, au lait;1\n".encode(), "utf-8", ";"),
        ("text\tn\ncafé\t1\n".encode(), "utf-8", "\t"),
        ("text|n\ncafé|1\n".encode(), "utf-8", "|"),
        ("text\tn\ncafé\t1\n".encode("utf-16"), "utf-16", "\t"),
        ("text,n\ncafé,1\n".encode("cp1252"), "cp1252", ","),
        ("text\ncafé\n".encode(), "utf-8", ","),
        (b"text,n\r\n\r\ncaf,1\r\n", "utf-8", ","),
    ],
)
def test_encodings_and_separators_are_found_out(content: bytes, encoding: str, separator: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    form, rows = read(tmp_path / "a.csv")
    assert (form.encoding, form.separator, form.names[0]) == (encoding, separator, "text")
    (row,) = rows
    assert isinstance(row, dict)
    assert row["text"].startswith("caf")


def test_commas_in_the_text_of_a_semicolon_file_do_not_mislead(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;title, short;text\n1;a, b;c\n2;d, e;f\n")
    form, rows = read(tmp_path / "a.csv")
    assert form.names == ("id", "title, short", "text")
    assert rows[1] == {"id": "2", "title, short": "d, e", "text": "f"}


def test_ragged_lines_are_right_or_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,n\n"two\nlines",1\nshort\na,2,3\nb,4,,\nc,5\n')
    _, rows = read(tmp_path / "a.csv")
    assert rows == [
        {"text": "two\nlines", "n": "1"},
        {"text": "short"},
        "line 5 has 1 fields more than the header",
        {"text": "b", "n": "4"},
        {"text": "c", "n": "5"},
    ]


def test_a_quote_that_is_never_closed_is_named_and_swallows_nothing_in_silence(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,n\na,1\n"b,2\nc,3\n')
    _, rows = read(tmp_path / "a.csv")
    assert rows[0] == {"text": "a", "n": "1"}
    assert "line 3" in rows[1]
    assert "never closed" in rows[1]
    (tmp_path / "b.csv").write_text('text,n\na,1\nb,"2"')  # no line end, but every quote closed
    assert read(tmp_path / "b.csv")[1][1] == {"text": "b", "n": "2"}


def test_columns_without_a_name_get_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",text\n0,a\n")
    form, rows = read(tmp_path / "a.csv")
    assert (form.names, rows) == (("column_1", "text"), [{"column_1": "0", "text": "a"}])


def test_a_field_too_long_for_the_reader_ends_the_file_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\na,1\n" + "x" * (csv.field_size_limit() + 1) + ",2\n")
    with pytest.raises(MediaError, match="cannot be read as CSV"):
        read(tmp_path / "a.csv")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
)
def test_what_the_writer_wrote_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], separator: str
) -> None:
    cells = [(a.replace("\0", "").replace("\r", "\n"), b.replace("\0", "").replace("\r", "\n")) for a, b in cells]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerow(["first", "second"])
    writer.writerows(cells)
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(out.getvalue().encode("utf-8", "replace"))
    form = CsvForm(encoding="utf-8", separator=separator, names=("first", "second"))
    sound = [tuple(cell.encode("utf-8", "replace").decode() for cell in pair) for pair in cells]
    assert [
        (row.get("first", ""), row.get("second", "")) for row in csv_records(path, form) if isinstance(row, dict)
    ] == [pair for pair in sound if any(pair)]
