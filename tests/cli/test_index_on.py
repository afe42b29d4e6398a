"""``mmrank index --on``: who builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmrank.cli.config import IndexConfig, read_config
from mmrank.cli.index import workers_of
from mmrank.index.ray_workers import RayWorkers


def test_a_place_that_is_none(run: Any, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    result = run("index", tmp_path / "photos", "--to", tmp_path / "i", "--model", "toybox", "--on", "dask")
    assert result.exit_code == 2
    assert (
        "--on is 'dask'; it may be here, ray, or a Ray cluster's address: HOST:6379 or ray://HOST:10001."
        in result.stderr
    )
    assert not (tmp_path / "i").exists()


def test_from_a_config_file(tmp_path: Path) -> None:
    config = tmp_path / "index.toml"
    config.write_text('paths = ["photos"]\nto = "i"\non = "ray"\nworkers = 3\n')
    assert isinstance(workers_of(read_config(config)), RayWorkers)
    assert workers_of(IndexConfig(workers=3)) == 3
    assert workers_of(IndexConfig()) is None


def test_no_cluster_at_that_address(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address nobody listens at: said, and the next run finds an index it can go on with."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setattr("mmrank.index.ray_crew.LITTLE", 0)
    (tmp_path / "a.txt").write_text("a kite")
    command = ("index", tmp_path / "a.txt", "--to", tmp_path / "i", "--model", "toybox", "--threads", "1")
    result = run(*command, "--on", "ray")
    assert result.exit_code == 1
    assert "The Ray cluster at 127.0.0.1:9 cannot be reached" in result.stderr
    assert "Start one with `ray start --head`" in result.stderr
    monkeypatch.delenv("RAY_ADDRESS")
    assert "1 added" in run(*command).stdout
