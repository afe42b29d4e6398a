"""What files and their sidecars say, in an index, and kept true."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmrank.embed.base import Embedder
from mmrank.index.build import add
from mmrank.index.store import Store
from mmrank.media.scan import scan


def photo(path: Path, taken: str | None = "2025:01:02 03:04:05") -> Path:
    exif = Image.Exif()
    exif[0x0110] = "X100V"
    if taken:
        exif.get_ifd(0x8769).update({0x9003: taken, 0x9011: "+09:00"})
    Image.effect_noise((48, 40), 90).convert("RGB").save(path, exif=exif.tobytes())
    old = 1_700_000_000
    os.utime(path, (old, old))
    return path


def rows(store: Store) -> dict[str, dict[str, Any]]:
    store.refresh()
    found = store.items.search().to_arrow().to_pylist()
    return {row["name"]: row for row in found}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    made.mkdir()
    photo(made / "a.jpg")
    photo(made / "b.jpg", None)
    return made


def counts(store: Store, embedder: Embedder, folder: Path, **options: Any) -> tuple[int, int, int]:
    report = add(store, embedder, scan(folder, **options), workers=1)
    assert not report.failed
    return report.added, report.updated, report.unchanged


def test_metadata_is_there_and_a_second_run_changes_nothing(store: Store, embedder: Embedder, folder: Path) -> None:
    assert counts(store, embedder, folder) == (2, 0, 0)
    assert counts(store, embedder, folder) == (0, 0, 2)
    first, second = rows(store)["a.jpg"], rows(store)["b.jpg"]
    assert (first["camera"], first["width"], first["bytes"]) == ("X100V", 48, (folder / "a.jpg").stat().st_size)
    assert first["taken"] == datetime(2025, 1, 2, 3, 4, 5)
    assert first["taken_utc"] == datetime(2025, 1, 1, 18, 4, 5, tzinfo=UTC)
    assert second["taken"] is None


def test_a_second_run_opens_no_picture(
    store: Store, embedder: Embedder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert counts(store, embedder, folder) == (2, 0, 0)
    # Files newer than two seconds are looked into again: their status has a time of its own, which is now.
    monkeypatch.setattr("mmrank.index.stamps.UNSETTLED", -3600.0)
    assert counts(store, embedder, folder) == (0, 0, 2)
    opened: list[object] = []
    true_open = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: (opened.append(self), true_open(self, *a, **k))[1])
    assert counts(store, embedder, folder) == (0, 0, 2)
    assert opened == []


def test_a_changed_caption_changes_the_row(store: Store, embedder: Embedder, folder: Path) -> None:
    assert counts(store, embedder, folder) == (2, 0, 0)
    for text in ("A dog.", "A cat.", None):
        if text:
            (folder / "a.txt").write_text(text)
        else:
            (folder / "a.txt").unlink()
        assert counts(store, embedder, folder) == (0, 1, 1)
        assert counts(store, embedder, folder) == (0, 0, 2)
        assert rows(store)["a.jpg"]["text"] == text


def test_changed_data_changes_the_row_and_nothing_is_embedded(
    store: Store, embedder: Embedder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.json").write_text('{"price": 2, "camera": "Leica"}')
    assert counts(store, embedder, folder) == (2, 0, 0)
    assert rows(store)["a.jpg"]["camera"] == "Leica"
    monkeypatch.setattr(type(embedder), "embed", lambda *_: pytest.fail("nothing is to be embedded"))
    (folder / "a.json").write_text('{"price": 3}')
    assert counts(store, embedder, folder) == (0, 1, 1)
    row = rows(store)["a.jpg"]
    assert (row["price"], row["camera"]) == (3, "X100V")
    (folder / "a.json").unlink()
    assert counts(store, embedder, folder) == (0, 1, 1)
    assert rows(store)["a.jpg"]["price"] is None
    assert counts(store, embedder, folder, metadata=False) == (0, 2, 0)
    assert rows(store)["a.jpg"]["camera"] is None


def test_a_broken_sidecar_is_on_the_report(store: Store, embedder: Embedder, folder: Path) -> None:
    (folder / "b.json").write_text("{")
    report = add(store, embedder, scan(folder), workers=1)
    assert (report.added, len(report.failed)) == (2, 0)
    ((uri, what),) = [one for one in report.warnings if one[0] != embedder.spec]
    assert uri == str(folder / "b.json")
    assert what.endswith("b.jpg goes in without it.")
