"""Stamps: what they tell, and when there is none."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mmrank.embed.base import Embedder
from mmrank.index.schema import SOURCE, STAMP
from mmrank.index.stamps import UNSETTLED, content_part, keep_columns, mark, settled, stamp
from mmrank.index.store import Store
from mmrank.media.scan import scan
from mmrank.types import Item

HOUR = 3600


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"pixels")
    os.utime(path, (time.time() - HOUR,) * 2)
    return path


def test_it_changes_with_whatever_the_content_is_told_by(picture: Path, tmp_path: Path) -> None:
    item = Item(id="a", kind="image", uri=str(picture))
    first = stamp(item)
    assert first is not None
    assert first == stamp(replace(item, id="b", parent="p", meta={"year": 1}))
    others = {
        stamp(replace(item, kind="page")),
        stamp(replace(item, text="a caption")),
        stamp(replace(item, text="")),
        stamp(replace(item, uri=f"{picture}#page=2", kind="page")),
    }
    os.link(picture, tmp_path / "b.jpg")  # the same size and time under another name
    others.add(stamp(replace(item, uri=str(tmp_path / "b.jpg"))))
    os.utime(picture, (time.time() - 2 * HOUR,) * 2)
    others.add(stamp(item))
    picture.write_bytes(b"more pixels")
    os.utime(picture, (time.time() - 2 * HOUR,) * 2)
    others.add(stamp(item))
    assert len(others) == 7
    assert not others & {None, first}


def test_a_picture_given_by_its_path_is_told_by_that_file(picture: Path) -> None:
    assert stamp(Item(id="a", kind="image", image=picture, uri="https://example.org/a.jpg")) is not None


def test_there_is_none_without_a_file(picture: Path, tmp_path: Path) -> None:
    assert stamp(Item(id="a", kind="text", text="a note", uri=str(picture))) is None
    assert stamp(Item(id="a", kind="image", image=b"bytes", uri=str(picture))) is None
    assert stamp(Item(id="a", kind="image", uri=str(tmp_path / "missing.jpg"))) is None
    assert stamp(Item(id="a", kind="image", uri=str(tmp_path))) is None
    assert stamp(Item(id="a", kind="image", uri="https://example.org/not-allowed.jpg")) is None


def test_there_is_none_for_a_file_that_was_changed_just_now(picture: Path) -> None:
    item = Item(id="a", kind="image", uri=str(picture))
    os.utime(picture)
    assert stamp(item) is None
    os.utime(picture, (time.time() - 2 * UNSETTLED,) * 2)
    assert stamp(item) is not None


def test_a_time_in_the_future_settles_when_the_file_system_is_done_with_it(picture: Path) -> None:
    ahead = time.time() + HOUR
    os.utime(picture, (ahead, ahead))
    status = picture.stat()
    assert not settled(status, time.time())
    assert settled(status, time.time() + 2 * UNSETTLED)


def test_metadata_that_is_known_without_opening_is_in_the_other_half(tmp_path: Path, picture: Path) -> None:
    [before] = scan(picture)
    (tmp_path / "a.json").write_text('{"place": "sea"}')
    [after] = scan(picture)
    first, second = stamp(before), stamp(after)
    assert first is not None
    assert second is not None
    assert content_part(first) == content_part(second)
    assert first != second


def test_columns_are_added_once_and_marks_touch_rows_that_are_there(store: Store, embedder: Embedder) -> None:
    from mmrank.index.build import add

    table = store.items
    table.drop_columns([STAMP, SOURCE])  # as an older mmrank made it
    keep_columns(table)
    version = table.version
    keep_columns(table)
    assert table.version == version
    add(store, embedder, [Item(id="a", kind="text", text="one"), Item(id="b", kind="text", text="two")])
    before = {row["id"]: row for row in table.to_arrow().to_pylist()}
    mark(table, {"a": ("stamp", "/rows.csv"), "gone": ("stamp", None)})
    after = {row["id"]: row for row in table.to_arrow().to_pylist()}
    assert after == {"a": {**before["a"], STAMP: "stamp", SOURCE: "/rows.csv"}, "b": before["b"]}
