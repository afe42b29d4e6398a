"""Damaged media: whatever bytes come, the answer is the medium or a `MediaError`, nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrank.errors import MediaError
from mmrank.media.image import open_image
from mmrank.media.page import open_page
from mmrank.media.video import sample_frames

ROUNDS = 40
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "AVIF", "JPEG2000", "ICO", "PCX", "SGI", "QOI"]


def damaged(data: bytes, seed: int) -> bytes:
    """Some bytes changed, most of them near the start where headers lie; every fifth time the end is missing too."""
    rng = np.random.default_rng(seed)
    out = bytearray(data)
    reach = int(rng.choice([64, 512, len(out)]))
    for _ in range(int(rng.choice([1, 3, 20]))):
        out[int(rng.integers(min(reach, len(out))))] = int(rng.choice([0, 255, rng.integers(256)]))
    return bytes(out[: int(rng.integers(1, len(out)))] if seed % 5 == 0 else out)


def opens(act: Callable[[], object]) -> bool:
    try:
        act()
    except MediaError:
        return False
    return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMATS)
def test_images(form: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    out = io.BytesIO()
    noise.save(out, form)
    whole = [opens(lambda seed=seed: open_image(damaged(out.getvalue(), seed), size=8)) for seed in range(ROUNDS)]
    assert not all(whole)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_videos(name: str, tmp_path: Path, clip: Callable[..., Path]) -> None:
    data = clip(tmp_path / name, 12, size=(64, 48)).read_bytes()
    for seed in range(ROUNDS):
        (tmp_path / name).write_bytes(damaged(data, seed))
        opens(lambda: sample_frames(tmp_path / name, frames=3))


def test_pages(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    data = pdf(tmp_path / "a.pdf", [["some words"]]).read_bytes()
    whole = [opens(lambda seed=seed: open_page(damaged(data, seed), 1, size=32)) for seed in range(ROUNDS)]
    assert any(whole)
    assert not all(whole)
