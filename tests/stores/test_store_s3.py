"""Index tables in a bucket: made, killed, resumed, searched, kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmrank.embed.base import Embedder
from mmrank.errors import IndexStoreError, NoIndexError
from mmrank.index.index import Index
from mmrank.media import scan
from mmrank.types import Item

GIVEN = Path(__file__).parents[1] / "index" / "given.py"


def notes(first: int, last: int) -> list[Item]:
    return [Item(id=f"n{i}", kind="text", text=f"note {i}", meta={"number": i}) for i in range(first, last)]


def test_an_index_in_a_bucket(s3: Any, embedder: Embedder, jpeg: Callable[..., bytes]) -> None:
    s3.put("photos", {f"{i}.jpg": jpeg(40 * i) for i in range(3)})
    s3.put("indexes", {})
    index = Index.create("s3://indexes/photos.index/", embedder)
    assert index.add([*notes(0, 20)]).added == 20
    assert index.add(scan("s3://photos")).added == 3
    assert any(key.startswith("photos.index/items.lance/") for key in s3.names("indexes"))

    again = Index.open("s3://indexes/photos.index", embedder)
    assert len(again) == 23
    assert again.search("note 7", k=1).hits[0].item.id == "n7"
    assert [hit.item.id for hit in again.search("note", k=30, where="number >= 18")] == ["n18", "n19"]
    assert again.delete("number < 5") == 5
    again.optimize()
    assert index.add(notes(5, 20)).unchanged == 15
    s3.remove("photos", "1.jpg")
    assert index.add(scan("s3://photos"), prune=True).removed == 1
    stats = index.stats()
    assert stats["rows"] == 17


def test_what_is_not_there(s3: Any, embedder: Embedder) -> None:
    s3.put("indexes", {})
    with pytest.raises(NoIndexError, match="There is no index at s3://indexes/x"):
        Index.open("s3://indexes/x", embedder)
    with pytest.raises(IndexStoreError, match="there is no bucket 'no-such-bucket'"):
        Index.open("s3://no-such-bucket/x", embedder)
    with pytest.raises(IndexStoreError, match="there is no bucket 'no-such-bucket'"):
        Index.create("s3://no-such-bucket/x", embedder)


def test_a_store_that_denies(s3: Any, proxy: Any, embedder: Embedder) -> None:
    s3.put("indexes", {})
    proxy.fault = lambda method, path: "403"
    with pytest.raises(IndexStoreError, match="the store denies it"):
        Index.create("s3://indexes/x", embedder)


def test_options_go_before_the_environment(
    s3: Any, server: str, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("indexes", {})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    index = Index.create("s3://indexes/x", embedder, storage_options={"aws_endpoint": server})
    assert index.add(notes(0, 3)).added == 3


_BUILD = """
    import runpy, sys, time
    from mmrank.index.index import Index
    from mmrank.types import Item
    embedder = runpy.run_path(sys.argv[1])["WordHashEmbedder"]()
    first, last = int(sys.argv[2]), int(sys.argv[3])
    def notes():
        for i in range(first, last):
            time.sleep(float(sys.argv[4]))
            yield Item(id=f"n{i}", kind="text", text=f"note {i}", meta={"number": i})
    report = Index.create("s3://indexes/notes", embedder).add(notes(), batch_size=4)
    print(report.added, report.updated, report.unchanged)
"""


def build(first: int, last: int, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(_BUILD), str(GIVEN), str(first), str(last), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


@pytest.mark.slow
def test_two_writers_lose_nothing_and_a_killed_one_is_resumed(s3: Any, embedder: Embedder) -> None:
    s3.put("indexes", {})
    doomed, other = build(0, 200, 0.05), build(50, 100, 0.01)
    told, _ = other.communicate(timeout=120)
    assert sum(map(int, told.split())) == 50
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and doomed.poll() is None:
        if len(Index.open("s3://indexes/notes", embedder)) > 60:
            break
        time.sleep(0.2)
    assert doomed.poll() is None, "it ended before it could be killed"
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate(timeout=30)
    there = len(Index.open("s3://indexes/notes", embedder))
    assert 60 < there < 200

    told, _ = build(0, 200, 0).communicate(timeout=120)
    added, _, unchanged = map(int, told.split())
    assert added + unchanged == 200
    assert unchanged >= there - 8  # what was written is not done again
    index = Index.open("s3://indexes/notes", embedder)
    ids = index._store.items.search().select(["id"]).limit(1000).to_arrow()["id"].to_pylist()
    assert sorted(ids) == sorted(f"n{i}" for i in range(200))
    assert index.search("note 199", k=1).hits[0].item.id == "n199"
