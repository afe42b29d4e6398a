"""A runner for commands, a Ranking with everything in it, and a small toy index that several tests search."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mmrank.cli.app import app
from mmrank.types import Cost, Hit, Item, Query, Ranking, Record, Source, Trace

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command in this process: ``run("search", folder, "a dog")``; stdout and stderr are kept apart."""

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A small JPEG."""
    file = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 80, 20)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def ranking() -> Ranking:
    """One hit of each kind, with traces, sources and records."""
    items = [
        Item(id="a", kind="image", uri="/photos/dog.jpg", text="a dog", meta={"year": 2024}),
        Item(id="b", kind="page", uri="/docs/report.pdf#page=3", text="Sales of the year", parent="report"),
        Item(id="c", kind="video", uri="/clips/walk.mp4#t=65,70.5"),
        Item(id="d", kind="text", uri="/notes/walk.md#chunk=2", text="We met a dog."),
    ]
    hits = [
        Hit(
            item=item,
            score=0.5 - rank / 10,
            stage="judge",
            trace=(Trace(stage="vector", score=0.2, rank=rank),),
            sources=(Source(name="x", rank=1, score=0.3), Source(name="y", rank=2, score=0.1)),
        )
        for rank, item in enumerate(items, 1)
    ]
    records = (Record(stage="vector", cost=Cost(seconds=0.1)), Record(stage="judge", status="fell_back", error="late"))
    return Ranking(query=Query(text="a dog"), hits=hits, records=records)


@pytest.fixture(scope="session")
def toy_media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy collection: 8 photos, 1 clip, 2 pages, 2 notes. The folder to index."""
    from mmrank.toybox import write_toybox

    folder = tmp_path_factory.mktemp("toy")
    return write_toybox(folder, images=8, videos=1, pages=2, notes=2, layouts=["media"]).media


@pytest.fixture(scope="session")
def toy_index(toy_media: Path, tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """The toy collection, indexed by the command itself."""
    folder = tmp_path_factory.mktemp("index") / "toy"
    result = run("index", toy_media, "--to", folder, "--model", "toybox", "--threads", 1)
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture(scope="session")
def tiny_judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3-VL on disk; what it says is noise."""
    path = Path(__file__).parents[1] / "models" / "tiny_vl.py"
    found = importlib.util.spec_from_file_location("tiny_vl", path)
    assert found is not None
    assert found.loader is not None
    tiny = importlib.util.module_from_spec(found)
    found.loader.exec_module(tiny)
    folder: Path = tiny.write_tiny("qwen3_vl", tmp_path_factory.mktemp("tiny") / "tiny-judge")
    return folder
