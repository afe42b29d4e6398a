"""`mmrank index` over a collection that changed: what it says, and what is in the index afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mmrank.cli.index_report import _upkeep
from mmrank.index.report import Upkeep

TOY = ("--model", "toybox", "--threads", "1")


@pytest.fixture
def photos(toy_media: Path, tmp_path: Path) -> Path:
    """Four photos, old enough to be told by their time."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in sorted((toy_media / "photos").iterdir())[:4]:
        copy = Path(shutil.copy(photo, folder))
        os.utime(copy, (time.time() - 3600,) * 2)
    return folder


def test_renames_are_counted_and_pruned(run: Any, photos: Path, tmp_path: Path) -> None:
    command = ("index", photos, "--to", tmp_path / "i", *TOY, "--prune")
    assert run(*command).exit_code == 0
    first, second, third, _ = sorted(photos.iterdir())
    first.rename(photos / "renamed.jpg")
    second.unlink()
    shutil.copy(third, photos / "copy.jpg")
    result = run(*command, "--json")
    report = json.loads(result.stdout)
    found = {key: report[key] for key in ("added", "moved", "updated", "unchanged", "removed", "failed")}
    assert found == {"added": 2, "moved": 1, "updated": 0, "unchanged": 2, "removed": 2, "failed": []}
    (photos / "renamed.jpg").rename(photos / "again.jpg")
    assert "1 added (1 of them moved or renamed), 0 updated, 3 unchanged, 1 removed" in run(*command).stdout


def test_upkeep_is_a_line_and_in_json(run: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("index", photos, "--to", tmp_path / "i", *TOY)
    first = json.loads(run(*command, "--json").stdout)
    assert first["upkeep"] == {"indexed": [], "approximate": [], "compacted": {}, "versions_removed": 0}
    assert "Kept fast" not in run(*command).stdout
    monkeypatch.setattr("mmrank.index.upkeep.FRAGMENTS", 1)
    monkeypatch.setattr("mmrank.index.upkeep.KEEP_VERSIONS", timedelta(microseconds=1))
    shutil.copy(min(photos.iterdir()), photos / "copy.jpg")
    result = run(*command)
    assert re.search(r"\nKept fast: indexes brought up to date; \d+ old versions removed\n", result.stdout)
    monkeypatch.setattr("mmrank.index.scalar.SCALAR_ROWS", 2)
    monkeypatch.setattr("mmrank.index.upkeep.FRAGMENTS", 20)
    told = json.loads(run(*command, "--json").stdout)["upkeep"]
    assert {"bytes", "width"} <= set(told["indexed"])
    assert told["compacted"] == {}
    done = Upkeep(compacted={"items": (24, 2)}, versions_removed=1, indexed=list("abcdef"), approximate=["vector"])
    assert _upkeep(done) == (
        "24 data files put together to 2; indexes brought up to date; 1 old version removed; "
        "6 columns indexed for filters (a, b, c, d, e, ...); an approximate index built"
    )


def test_verify_finds_what_neither_size_nor_time_shows(run: Any, photos: Path, tmp_path: Path) -> None:
    command = ("index", photos, "--to", tmp_path / "i", *TOY)
    run(*command)
    first, second = sorted(photos.iterdir())[:2]
    size = max(first.stat().st_size, second.stat().st_size)
    for photo in (first, second):
        photo.write_bytes(photo.read_bytes().ljust(size, b"\0"))
        os.utime(photo, (1_700_000_000,) * 2)
    run(*command)
    content = second.read_bytes()
    first.write_bytes(content)  # as long as it was, with the time it had
    os.utime(first, (1_700_000_000,) * 2)
    assert json.loads(run(*command, "--json").stdout)["unchanged"] == 4
    report = json.loads(run(*command, "--verify", "--json").stdout)
    assert (report["updated"], report["unchanged"]) == (1, 3)


def test_an_index_is_kept_true_by_a_config_file(run: Any, photos: Path, tmp_path: Path) -> None:
    config = tmp_path / "photos.toml"
    config.write_text('paths = ["photos"]\nto = "i"\nmodel = "toybox"\nprune = true\nverify = true\n')
    assert json.loads(run("index", "--config", config, "--threads", "1", "--json").stdout)["added"] == 4
    next(photos.iterdir()).unlink()
    report = json.loads(run("index", "--config", config, "--threads", "1", "--json").stdout)
    assert (report["removed"], report["unchanged"]) == (1, 3)
