"""Files: what is looked for is named, media are found in folders listed once, JSON lines end at line feeds only."""

from __future__ import annotations

import os

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.files import MediaFiles, first_existing, read_json, read_jsonl, read_lines, rows_of


def test_the_first_that_is_there(tmp_path, write) -> None:
    write(tmp_path / "b/x.val.json", [])
    assert first_existing(tmp_path, ["a.json", "b/x.val.json"], "It").name == "x.val.json"
    assert first_existing(tmp_path, ["a.json", "*/x.*.json"], "It").name == "x.val.json"
    with pytest.raises(DatasetError, match=r"It is not under .*\n  a.json\n  c/\*.json"):
        first_existing(tmp_path, ["a.json", "c/*.json"], "It")


def test_json_lines_end_at_line_feeds_only(tmp_path, write) -> None:
    path = write(tmp_path / "x.jsonl", '\ufeff{"a": "one\u2028two"}\r\n\n{"a": 2}')
    assert list(read_jsonl(path)) == [{"a": "one\u2028two"}, {"a": 2}]
    write(path, '{"a": 1}\n{"a": ')
    with pytest.raises(DatasetError, match=r"x\.jsonl:2 is not valid JSON"):
        list(read_jsonl(path))


def test_json_and_lines(tmp_path, write) -> None:
    with pytest.raises(DatasetError, match="is not valid JSON"):
        read_json(write(tmp_path / "x.json", "{"))
    assert read_lines(write(tmp_path / "x.txt", "\ufeffa \r\n\n b\n")) == ["a", "b"]


def test_rows_are_checked(tmp_path) -> None:
    path = tmp_path / "x.json"
    assert rows_of(path, [{"a": 1}], ["a"]) == [{"a": 1}]
    with pytest.raises(DatasetError, match="holds a dict, not a list"):
        rows_of(path, {}, [])
    with pytest.raises(DatasetError, match="Row 0 .* is a str"):
        rows_of(path, ["x"], [])
    with pytest.raises(DatasetError, match="Row 1 .* has no field 'b'; it has: a"):
        rows_of(path, [{"a": 1, "b": 2}, {"a": 1}], ["a", "b"])


def test_media_are_found_and_counted(tmp_path, draw) -> None:
    draw(tmp_path / "one/a.png")
    draw(tmp_path / "two/sub/b.png")
    os.symlink(tmp_path / "one/a.png", tmp_path / "two/link.png")
    (tmp_path / "one/folder.png").mkdir()
    files = MediaFiles(roots=[tmp_path / "one", tmp_path / "two", tmp_path / "three"], policy="required")
    assert files.find(["x.png", "a.png"]) == str(tmp_path / "one/a.png")
    assert files.find(["sub/b.png"]) == str(tmp_path / "two/sub/b.png")
    assert files.find(["link.png"]) == str(tmp_path / "two/link.png")
    assert files.check("It") == ()
    assert files.find(["folder.png"]) is None
    assert files.find(["b.png"]) is None
    assert files.find(["b.jpg"], by_stem=True) == str(tmp_path / "two/sub/b.png")
    with pytest.raises(DatasetError, match=r"2 media files of It are not there:\n  folder.png\n  b.png"):
        files.check("It")


def test_many_missing_files_are_counted_and_some_named(tmp_path) -> None:
    files = MediaFiles(roots=[tmp_path], policy="allow_missing")
    for number in range(9):
        assert files.find([f"{number}.png"]) is None
    assert len(files.check("It")) == 9
    files.policy = "required"
    with pytest.raises(DatasetError, match=r"  4.png\n  and 4 more\nLooked in"):
        files.check("It")


def test_without_media_what_is_there_is_found_and_nothing_is_missing(tmp_path, draw) -> None:
    draw(tmp_path / "two/a.png")
    files = MediaFiles(roots=[tmp_path / "one", tmp_path / "two"], policy="none")
    assert files.find(["a.png"]) == str(tmp_path / "two/a.png")
    assert files.find(["b.png", "c.png"]) == str(tmp_path / "one/b.png")
    assert files.check("It") == ()
