"""A bucket indexed by Ray workers: they may fetch what was given by name in the process that builds."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mmrank.embed.base import Embedder
from mmrank.index.index import Index
from mmrank.index.ray_workers import RayWorkers
from mmrank.media import scan

pytest.importorskip("ray")

GIVEN = Path(__file__).parents[1] / "index" / "given.py"


@pytest.mark.slow
def test_a_bucket(s3: Any, embedder: Embedder, jpeg: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmrank.index.ray_crew.LITTLE", 0)
    pictures = {f"{i:02}.jpg": jpeg(8 * i) for i in range(24)}
    s3.put("photos", {**pictures, "broken.jpg": pictures["03.jpg"][:200], "note.txt": b"a red kite"})
    s3.put("indexes", {})
    index = Index.create("s3://indexes/photos.index", embedder)

    def made(path: Path) -> Embedder:
        embedder: Embedder = runpy.run_path(str(path))["WordHashEmbedder"]()
        return embedder

    report = index.add(scan("s3://photos"), workers=RayWorkers(count=2, embedder=partial(made, GIVEN)))
    assert (report.added, report.updated) == (25, 0)
    ((uri, why),) = report.failed
    assert uri == "s3://photos/broken.jpg"
    assert "cannot be read as an image" in why
    assert index.search("kite", k=1).hits[0].item.uri == "s3://photos/note.txt"
    again = index.add(scan("s3://photos"), workers=1)
    assert (again.added, again.updated, again.unchanged) == (0, 0, 25)
