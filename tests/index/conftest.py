"""A real open_clip model with random weights, small media files, and stores made with them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from mmrank.embed.base import BatchError, Embedded, Embedder
from mmrank.index.store import Store

_TINY_CLIP = Path(__file__).parents[1] / "models" / "tiny_clip.py"

FRAME_RATE = 10
WriteMedia = Callable[..., Path]


def _load(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model: 32 dimensions, 32 pixels."""
    folder: Path = _load(_TINY_CLIP).write_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))
    return folder


@pytest.fixture(scope="session")
def other_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with other weights: a foreign embedder."""
    folder: Path = _load(_TINY_CLIP).write_tiny_clip(tmp_path_factory.mktemp("other-clip"), seed=1)
    return folder


@pytest.fixture(scope="session")
def embedder(tiny_clip: Path) -> Embedder:
    from mmrank.embed.registry import load_embedder

    return load_embedder(str(tiny_clip), device="cpu", threads=1)


@pytest.fixture(scope="session")
def foreign_embedder(other_clip: Path) -> Embedder:
    from mmrank.embed.registry import load_embedder

    return load_embedder(str(other_clip), device="cpu", threads=1)


@pytest.fixture(scope="session")
def colqwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny ColQwen2: token vectors of 16 dimensions."""
    models = _TINY_CLIP.parent
    write = _load(models / "tiny_late.py").write_colqwen2
    folder: Path = write(_load(models / "tiny_vl.py"), tmp_path_factory.mktemp("colqwen2"))
    return folder


@pytest.fixture(scope="session")
def pixel_tokens() -> Embedder:
    """An embedder that gives token vectors and needs no model."""
    made: Embedder = _load(Path(__file__).with_name("pixels.py")).PixelTokenEmbedder()
    return made


@pytest.fixture
def store(tmp_path: Path, embedder: Embedder) -> Store:
    """An empty index."""
    return Store.create(tmp_path / "index", embedder)


@pytest.fixture(scope="session")
def write_images() -> WriteMedia:
    """Writes `count` small JPEGs into a folder, no two alike for one seed, and gives the folder back."""

    def write(folder: Path, count: int, *, seed: int = 0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        for number in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            coarse.resize((48, 40), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.jpg", quality=80)
        return folder

    return write


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory, write_images: WriteMedia) -> Path:
    """A folder with six images, a PDF of two pages (one with text), a video of two seconds and two notes."""
    folder = write_images(tmp_path_factory.mktemp("media"), 6)
    _write_pdf(folder / "report.pdf")
    _write_video(folder / "clip.mp4")
    (folder / "cats.md").write_text("Two cats asleep on a red sofa.")
    (folder / "boats.txt").write_text("A white boat near the harbour.")
    return folder


def _write_pdf(path: Path) -> None:
    canvas = Canvas(str(path), pagesize=(200, 260))
    canvas.drawString(20, 200, "Quarterly results of the harbour")
    canvas.showPage()
    canvas.setFillColorRGB(0.9, 0.2, 0.1)
    canvas.rect(30, 30, 120, 120, fill=1)
    canvas.showPage()
    canvas.save()


def _write_video(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FRAME_RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(2 * FRAME_RATE):
            picture = np.full((48, 64, 3), (number * 12, 255 - number * 12, 90), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


class WatchedEmbedder:
    """The real embedder, with what goes through it counted, and told to fail where a test wants it.

    `poison`: id -> what happens to that item in the model: "nan", "zero", "long", "crash" or "missing".
    """

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self.embedded: list[str] = []
        self.batches: list[int] = []
        self.poison: dict[str, str] = {}
        self.before_batch: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def embed(self, prepared: Sequence[Any]) -> list[Embedded]:
        self.before_batch()
        ids = [one.id for one in prepared]
        if any(self.poison.get(name) == "crash" for name in ids):
            raise RuntimeError("CUDA error: device-side assert triggered")
        self.embedded += ids
        self.batches.append(len(ids))
        embedded = [self._spoilt(*pair) for pair in zip(ids, self._inner.embed(prepared), strict=True)]
        lost = {i: f"item {name!r} was lost" for i, name in enumerate(ids) if self.poison.get(name) == "missing"}
        if lost:
            raise BatchError([None if i in lost else one for i, one in enumerate(embedded)], lost)
        return embedded

    def _spoilt(self, name: str, embedded: Embedded) -> Embedded:
        factor = {"nan": np.nan, "zero": 0.0, "long": 3.0}.get(self.poison.get(name, ""), 1.0)
        return Embedded(
            vector=embedded.vector * np.float32(factor),
            text_vector=embedded.text_vector,
            frame_vectors=embedded.frame_vectors,
        )


@pytest.fixture
def watched(embedder: Embedder) -> WatchedEmbedder:
    return WatchedEmbedder(embedder)
