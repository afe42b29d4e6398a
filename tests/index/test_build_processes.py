"""Builds in processes of their own: killed at the stages the log names, and two at once."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrank.embed.base import Embedder
from mmrank.index.build import add
from mmrank.index.store import Store
from mmrank.media.scan import scan

IMAGES = 400
PATIENCE = 120.0

_HERE = Path(__file__).parent

_BUILD = """
import dataclasses, json, logging, sys
here, uri, folder, column = sys.argv[1:]
sys.path.insert(0, here)
from pixels import PixelEmbedder
from mmrank.index.build import add
from mmrank.index.store import Store
from mmrank.media.scan import scan
logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
logging.getLogger("mmrank.index.build").setLevel(logging.DEBUG)
embedder = PixelEmbedder()
items = [dataclasses.replace(item, meta={**item.meta, column: 1}) for item in scan(folder)]
print("ready", flush=True)
sys.stdin.readline()
report = add(Store.create(uri, embedder), embedder, items, batch_size=16)
print(json.dumps(dataclasses.asdict(report)), flush=True)
"""


class Build:
    """One build in a process of its own; it waits for `go`."""

    def __init__(self, uri: Path, folder: Path, column: str = "seen") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BUILD, str(_HERE), str(uri), str(folder), column],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def kill_in(self, stage: str, times: int) -> None:
        """``kill -9`` as soon as it says for the nth time that it is in a stage."""
        assert self.process.stderr is not None
        deadline = time.monotonic() + PATIENCE
        for line in self.process.stderr:
            times -= stage in line
            if not times:
                self.process.kill()
                assert self.process.wait() == -signal.SIGKILL
                return
            assert time.monotonic() < deadline
        raise AssertionError(f"it ended before it was {stage}")

    def report(self) -> dict[str, Any]:
        out, errors = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, errors
        report: dict[str, Any] = json.loads(out)
        return report


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    """The one the processes use."""
    found = importlib.util.spec_from_file_location("pixels", _HERE / "pixels.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    made: Embedder = module.PixelEmbedder()
    return made


@pytest.fixture
def start() -> Iterator[Callable[..., Build]]:
    builds: list[Build] = []

    def begin(uri: Path, folder: Path, column: str = "seen") -> Build:
        builds.append(Build(uri, folder, column))
        return builds[-1]

    yield begin
    for build in builds:
        build.process.kill()
        build.process.communicate()


def _check_whole(uri: Path, embedder: Embedder, folder: Path, other: Path) -> None:
    """Every item once, with its thumbnail and the vector an undisturbed build gives it."""
    store = Store.open(uri, embedder)
    whole = Store.create(other, embedder)
    add(whole, embedder, scan(folder))
    expected = {row["id"]: row["vector"] for row in whole.items.to_arrow().to_pylist()}
    rows = store.items.to_arrow().to_pylist()
    assert sorted(row["id"] for row in rows) == sorted(expected)
    for row in rows:
        np.testing.assert_allclose(row["vector"], expected[row["id"]], atol=1e-5)
    assert sorted(store.thumbnails.to_arrow()["id"].to_pylist()) == sorted(expected)
    assert store.failures.count_rows() == 0


def test_killed_in_every_stage_and_run_again(
    tmp_path: Path, write_images: Callable[..., Path], start: Callable[..., Build], embedder: Embedder
) -> None:
    folder = write_images(tmp_path / "in", IMAGES)
    kept: set[str] = set()
    for stage, times in (("decoding", 2), ("writing", 1), ("embedding", 4), ("writing", 1), ("indexing", 1)):
        build = start(tmp_path / "index", folder)
        build.go()
        build.kill_in(stage, times)
        rows = Store.open(tmp_path / "index").items.to_arrow()["id"].to_pylist()
        assert len(rows) == len(set(rows))
        assert kept <= set(rows), "a kill lost rows"
        kept = set(rows)
    assert len(kept) == IMAGES  # the last kill came after everything was written
    last = start(tmp_path / "index", folder)
    last.go()
    report = last.report()
    assert (report["added"], report["updated"], report["unchanged"], report["failed"]) == (0, 0, IMAGES, [])
    _check_whole(tmp_path / "index", embedder, folder, tmp_path / "whole")


@pytest.mark.parametrize("columns", [("seen", "seen"), ("left", "right")])
def test_two_builds_at_once(
    tmp_path: Path,
    write_images: Callable[..., Path],
    start: Callable[..., Build],
    embedder: Embedder,
    columns: tuple[str, str],
) -> None:
    """The same items, and with two names the same items with metadata that wants another column from each."""
    folder = write_images(tmp_path / "in", IMAGES)
    builds = [start(tmp_path / "index", folder, column) for column in columns]
    for build in builds:
        build.go()
    reports = [build.report() for build in builds]
    assert sum(report["added"] for report in reports) == IMAGES
    for report in reports:
        assert report["added"] + report["updated"] + report["unchanged"] == IMAGES
        assert report["failed"] == []
    _check_whole(tmp_path / "index", embedder, folder, tmp_path / "whole")
    rows = Store.open(tmp_path / "index").items.to_arrow().to_pylist()
    for row in rows:
        # From whoever wrote it last, and from both where that one did not know the other's column yet.
        assert any(row[column] == 1 for column in columns)
