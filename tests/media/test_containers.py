from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.errors import MediaError, UsageError
from mmrank.media import scan, split_uri
from mmrank.media.inside import read_inside


def test_a_named_table_without_the_mapped_column_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sku,photo\n1,a.jpg\n")
    (tmp_path / "b.jsonl").write_text('{"text": "t"}\n{"photo": "a.jpg"}\n')
    with pytest.raises(UsageError, match="no column 'foto', which 'image' is mapped to; its columns are sku, photo"):
        scan(tmp_path / "a.csv", columns={"image": "foto"})
    scan([tmp_path / "a.csv", tmp_path / "b.jsonl"], columns={"image": "photo"})
    with pytest.raises(UsageError, match=r"b\.jsonl has no column 'sku'"):
        scan([tmp_path / "a.csv", tmp_path / "b.jsonl"], columns={"image": "photo", "id": "sku"})


def test_a_table_found_in_a_folder_without_it_is_a_line_of_the_report(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body\nhello\n")
    (tmp_path / "b.csv").write_text("text\nhello\n")
    found = scan(tmp_path, columns={"text": "body"})
    assert [item.text for item in found] == ["hello"]
    ((uri, why),) = found.failures
    assert uri == str(tmp_path / "b.csv")
    assert "no column 'body'" in why


def test_what_was_read_with_a_reservation_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text\ncafé\n".encode("cp1252"))
    found = scan(tmp_path)
    assert [item.text for item in found] == ["café"]
    assert found.warnings == [
        (str(tmp_path / "a.csv"), "it is not in UTF-8 and was read as Windows text (cp1252)"),
    ]


def test_while_a_table_is_read_the_scan_says_which(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nhello\n")
    (tmp_path / "b.txt").write_text("bye")
    found = scan(tmp_path)
    assert [(item.text, found.source) for item in found] == [("hello", str(tmp_path / "a.csv")), ("bye", None)]


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("a.zip#member=x.jpg", "no tar archive"),
        ("a.tar#member=x.jpg", "cannot be opened"),
        ("a.parquet#row=1&column=x", "cannot be"),
        ("a.csv#row=1", "names nothing inside"),
    ],
)
def test_what_lies_nowhere_is_said(uri: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=why):
        read_inside(split_uri(tmp_path / uri))
