"""One image from several: frames of a video, or candidates with a number on each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmrank.errors import UsageError

BLACK, WHITE = (0, 0, 0), (255, 255, 255)

BADGE_SHARE = 8
"""A badge's figures are this part of the cell's shorter side high: 42 px on a 336 px cell, which stays
readable after a sheet of 5 x 4 such cells is halved by a model's image limit."""

MIN_FIGURE = 10
"""Pixels; below it Pillow's font cannot be read by anyone."""


def sheet(
    images: Sequence[Image.Image],
    *,
    columns: int,
    cell: int | tuple[int, int],
    marks: Sequence[str] | None = None,
    gap: int = 0,
    background: tuple[int, int, int] = BLACK,
    keep_aspect: bool = True,
    canvas: tuple[int, int] | None = None,
) -> Image.Image:
    """Paste images row by row into a grid of equal cells.

    `cell`: width and height of a cell in pixels (one number: square). `keep_aspect`: fit the whole image into
    its cell, centred on `background`; otherwise stretch it over the cell. Resizing is bicubic.
    `marks`: one short text per image, white on a black badge in the cell's top-left corner. `gap`: pixels between
    cells. `canvas`: the sheet's size where it must not follow from the cells; at least as large as they need.

    Returns RGB. Raises `UsageError` on an empty list or sizes that cannot be meant.

    >>> sheet([Image.new("RGB", (8, 8))] * 5, columns=3, cell=10, gap=2).size
    (34, 22)
    """
    width, height = (cell, cell) if isinstance(cell, int) else cell
    if not images:
        raise UsageError("A sheet needs at least one image; none was given.")
    if min(columns, width, height) < 1 or gap < 0:
        raise UsageError(f"A sheet of {columns} columns, cells {width} x {height}, gap {gap} cannot be drawn.")
    if marks is not None and len(marks) != len(images):
        raise UsageError(f"{len(marks)} marks came for {len(images)} images; give one each, or none.")
    columns = min(columns, len(images)) if canvas is None else columns
    rows = -(-len(images) // columns)
    needed = (columns * (width + gap) - gap, rows * (height + gap) - gap)
    size = canvas or needed
    if size[0] < needed[0] or size[1] < needed[1]:
        raise UsageError(
            f"The canvas is {size[0]} x {size[1]} pixels; {len(images)} cells need {needed[0]} x {needed[1]}."
        )
    out = Image.new("RGB", size, background)
    for i, image in enumerate(images):
        left, top = (i % columns) * (width + gap), (i // columns) * (height + gap)
        fitted = _fit(image, width, height) if keep_aspect else _stretch(image, width, height)
        out.paste(fitted, (left + (width - fitted.width) // 2, top + (height - fitted.height) // 2))
        if marks is not None:
            _badge(out, marks[i], (left, top), min(width, height))
    return out


def s_grid(frames: Sequence[Image.Image], s: int = 3, size: int = 448) -> Image.Image:
    """ViC's S-Grid: ``s * s`` evenly spaced frames on one square sheet (arXiv 2511.01617, `Scripts/`).

    Cells are ``size // s`` pixels square, each frame stretched into one bicubically, row by row on black;
    what the division leaves over stays blank at the right and bottom (448 in 3 x 3: cells of 149, one pixel).
    The frames are those at positions ``linspace(0, n - 1, s * s)`` cut to whole numbers; with fewer than
    ``s * s`` frames positions repeat, where the authors' code stops with an error.

    >>> s_grid([Image.new("RGB", (640, 360))] * 9).size
    (448, 448)
    """
    if not frames:
        raise UsageError("An S-Grid needs at least one frame; none was given.")
    if s < 1 or size < s:
        raise UsageError(f"An S-Grid of {s} x {s} cells on {size} pixels cannot be drawn.")
    positions = np.linspace(0, len(frames) - 1, s * s).astype(int)
    chosen = [frames[i] for i in positions]
    return sheet(chosen, columns=s, cell=size // s, keep_aspect=False, canvas=(size, size))


def numbered_sheet(images: Sequence[Image.Image], columns: int = 5, cell: int = 336) -> Image.Image:
    """All candidates on one sheet, numbered from 1: the picture SQUARE's reranking step shows its model.

    The paper (arXiv 2509.26330) does not give cell layout or mark style; these are ours: 5 columns of 336 px
    cells (20 candidates: 1680 x 1344), the whole image centred in its cell, the number white on black in
    the top-left corner.

    >>> numbered_sheet([Image.new("RGB", (64, 48))] * 20).size
    (1680, 1344)
    """
    return sheet(
        images, columns=columns, cell=cell, marks=[str(i) for i in range(1, len(images) + 1)], background=WHITE
    )


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    return _stretch(image, max(1, round(image.width * scale)), max(1, round(image.height * scale)))


def _stretch(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)


def _badge(out: Image.Image, text: str, corner: tuple[int, int], cell: int) -> None:
    """White figures on a black box, flush with the cell's corner, no wider or higher than the cell."""
    font = ImageFont.load_default(size=max(MIN_FIGURE, cell // BADGE_SHARE))
    draw = ImageDraw.Draw(out)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    margin = max(2, cell // (BADGE_SHARE * 6))
    box = (min(cell, right - left + 2 * margin), min(cell, bottom - top + 2 * margin))
    badge = Image.new("RGB", (int(box[0]), int(box[1])), BLACK)
    ImageDraw.Draw(badge).text((margin - left, margin - top), text, font=font, fill=WHITE)
    out.paste(badge, corner)
