"""The commands, with files and index in buckets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mmrank.cli.app import app
from mmrank.toybox import write_toybox


@pytest.mark.slow
def test_index_search_and_rerank(
    s3: Any, proxy: Any, tmp_path: Path, new_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    media = write_toybox(tmp_path / "toy", images=4, videos=0, pages=0, notes=1, layouts=["media"]).media
    files = [file for file in media.rglob("*") if file.is_file()]
    s3.put("photos", {f"2025/{file.relative_to(media).as_posix()}": file.read_bytes() for file in files})
    s3.put("photos", {"2025/broken.jpg": b"no picture"})
    s3.put("indexes", {})

    def run(*arguments: str) -> Any:
        new_process()
        proxy.seen.clear()
        return CliRunner().invoke(app, [*arguments, "--json"])

    build = ("index", "s3://photos/2025", "--to", "s3://indexes/photos", "--model", "toybox", "--threads", "1")
    first = json.loads(run(*build).stdout)
    assert (first["added"], [uri for uri, _ in first["failed"]]) == (5, ["s3://photos/2025/broken.jpg"])
    second = json.loads(run(*build, "--prune").stdout)
    assert (second["added"], second["unchanged"]) == (0, 5)
    assert sum("photo-" in path for _, path in proxy.seen) == 0

    query = ("search", "s3://indexes/photos", "a dog", "-k", "2", "--kind", "image")
    found = json.loads(run(*query).stdout)
    assert all(hit["uri"].startswith("s3://photos/2025/") for hit in found["hits"])
    assert sum("photo-" in path for _, path in proxy.seen) == 0

    judged = (*query, "--rerank", "yes_no@toybox-vl", "--depth", "2")
    refused = run(*judged)
    assert sum("photo-" in path for _, path in proxy.seen) == 0
    assert "MMRANK_REMOTE=s3://photos/2025" in refused.stdout + refused.stderr
    monkeypatch.setenv("MMRANK_REMOTE", "s3://photos")
    allowed = json.loads(run(*judged).stdout)
    assert allowed["outcome"] == "ok"
    assert sum(method == "GET" and "photo-" in path for method, path in proxy.seen) == 2


def test_an_address_without_a_bucket_is_wrong_usage() -> None:
    result = CliRunner().invoke(app, ["index", "s3://", "--to", "x"])
    assert result.exit_code == 2
    assert "names no bucket" in result.stderr
