"""Where the real annotation files lie, and tiny media for hand-made downloads."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

BESIDE = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """The folder of real files of that name; skips where they are not there."""

    def folder(name: str) -> Path:
        root = Path(os.environ.get("MMRANK_DATA", BESIDE)) / name
        if not root.is_dir():
            pytest.skip(f"no real {name} files: set MMRANK_DATA to the folder that holds {name}/")
        return root

    return folder


@pytest.fixture(scope="session")
def write() -> Callable[[Path, object], Path]:
    """Write a file and the folders above it: text as it is, anything else as JSON."""

    def to(path: Path, content: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_bytes(text.encode())
        return path

    return to


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """A small picture as bytes, all of one colour."""

    def made(colour: tuple[int, int, int] = (200, 80, 20), kind: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", size, colour).save(file, kind)
        return file.getvalue()

    return made


@pytest.fixture(scope="session")
def draw(picture: Callable[..., bytes]) -> Callable[[Path], Path]:
    """Write a small picture to a path."""

    def to(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(kind="JPEG" if path.suffix == ".jpg" else "PNG"))
        return path

    return to
