"""The pictures of GeneCIS' attribute tasks: an object of Visual Genome with some of what is around it, made square."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmrank.evaluation.dataset import DatasetError

if TYPE_CHECKING:
    from PIL.Image import Image

DILATION = 0.7
"""Share of the box's sides that is added on each side (the authors' code, datasets/vaw_dataset.py)."""

QUALITY = 95
"""JPEG without chroma subsampling: within about a grey level of the crop, at a fifth of a PNG's size."""

WORKERS = 4
"""Decoding and encoding run outside Python's lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """A part of a picture: `box` is left, top, width and height in pixels."""

    source: Path
    box: tuple[float, float, float, float]


def cut(crops: Mapping[str, Crop], folder: Path) -> dict[str, Path]:
    """Cut each crop into a JPEG in `folder`, named by its key; those that are there already are kept.

    Safe to kill: a file appears under its name only when it is whole. Raises `DatasetError` when the folder cannot be
    written, `MediaError` for a picture that cannot be opened.
    """
    paths = {key: folder / f"{key}.jpg" for key in crops}
    absent = [key for key, path in paths.items() if not path.exists()]
    if absent:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(WORKERS) as pool:
                list(pool.map(lambda key: _write(crops[key], paths[key]), absent))
        except OSError as error:
            raise DatasetError(
                f"Crops cannot be kept in {folder}: {error.strerror or error}. Name another folder with crops=."
            ) from error
    return paths


def _write(crop: Crop, path: Path) -> None:
    from mmrank.media.image import open_image

    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    square_crop(open_image(crop.source), crop.box).save(unfinished, "JPEG", quality=QUALITY, subsampling=0)
    unfinished.replace(path)


def square_crop(picture: Image, box: tuple[float, float, float, float]) -> Image:
    """The box with `DILATION` of its width and height around it, in the middle of a black square.

    The left and upper edges move out by that share, down to the picture's edge; the right and lower ones lie 1 +
    `DILATION` box sides from there (so an edge at the picture's border moves the opposite one: the authors' code).

    >>> from PIL import Image
    >>> square_crop(Image.new("RGB", (100, 100)), (40, 40, 20, 10)).size
    (34, 34)
    """
    from PIL import Image as Images

    x, y, width, height = box
    left, top = max(0.0, x - DILATION * width), max(0.0, y - DILATION * height)
    right = min(float(picture.width), left + (1 + DILATION) * width)
    bottom = min(float(picture.height), top + (1 + DILATION) * height)
    part = picture.crop((left, top, right, bottom))  # Pillow rounds, as in the authors' code
    side = max(part.size)
    square = Images.new(part.mode, (side, side))
    square.paste(part, ((side - part.width) // 2, (side - part.height) // 2))
    return square
