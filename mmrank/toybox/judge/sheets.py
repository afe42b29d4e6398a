"""Sheets of candidates with a number on each: finding the grid, cutting the cells, reading the badges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmrank.media import sheet

MOST_CELLS = 60
MOST_COLUMNS = 10

DRAWN_AT = (64, 96, 128, 160, 224, 336, 448)
"""Cell sizes on which badges are drawn and then scaled down: how a sheet looks that was shrunk on its way here."""

BADGE_ERROR = 30.0
"""Grey levels (mean over the widest badge's place, of 255) within which figures count as read."""

OUTSIDE = 0.25
"""How much a pixel counts that lies outside a number's badge but inside the widest one's: the picture may show
anything there."""

SHARP_ERROR = 8.0
"""Within this no other drawing needs to be tried."""

BLANK_SPREAD = 12.0
"""Standard deviation of the pixels, in grey levels, up to which a cell holds nothing."""

WHITE = 120
"""Grey level that some pixel of a badge's figures reaches even after being scaled down."""

BLACK = 70
"""Brightest that a channel of the corner pixels of a badge can be after JPEG."""

_Grey = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: the label its badge shows, and its pixels."""

    label: str
    image: Image.Image


def has_badge(image: Image.Image) -> bool:
    """Whether the very corner of a picture is black, as where a badge lies. (So it is in a picture on black.)"""
    corner = image.crop((0, 0, 2, 2)).convert("RGB")
    return max(int(high) for _, high in corner.getextrema()) <= BLACK  # type: ignore[misc]


def cut(image: Image.Image) -> Iterator[tuple[Cell, ...]]:
    """Every way to see a picture as a sheet of square cells whose badges can be read, fewest cells first.

    Empty cells must come last. Nothing is yielded for a picture that is no such sheet.
    """
    for columns, rows in _grids(image):
        cells: list[Cell] = []
        for box in _boxes(image, columns, rows):
            piece = image.crop(box)
            label = read_badge(piece)
            if label is None:
                break
            cells.append(Cell(label, piece))
        rest = _boxes(image, columns, rows)[len(cells) :]
        if len(cells) > columns * (rows - 1) and all(_blank(image.crop(box)) for box in rest):
            yield tuple(cells)


def read_badge(cell: Image.Image) -> str | None:
    """The number in a cell's top-left corner, or None when no number can be read there.

    Every number is drawn as `numbered_sheet` draws it, on the grey that lies right of it in the cell, and compared.
    """
    grey = np.asarray(cell.convert("L"), dtype=np.float32)
    side = min(cell.size)
    best = (np.inf, 0)
    if not side or grey[: side // 4 + 1, : side // 2].max() < WHITE:
        return None
    for drawn_at in (side, *(size for size in DRAWN_AT if size > side)):
        badges = _badges(drawn_at, side)
        height, width = badges.shape[1:]
        corner, right = grey[:height, :width], grey[:height, width : 2 * width]
        if corner.shape != (height, width) or not right.size:
            continue  # the cell is smaller than its badge
        weights = np.where(np.isnan(badges), OUTSIDE, 1.0)
        errors = np.abs(np.where(np.isnan(badges), np.median(right), badges) - corner) * weights
        errors = errors.sum(axis=(1, 2)) / weights.sum(axis=(1, 2))
        if errors.min() > np.abs(corner - np.median(corner)).mean() / 2:
            continue  # an even corner, as of a picture on black, is no badge
        best = min(best, (float(errors.min()), int(errors.argmin())))
        if best[0] <= SHARP_ERROR:
            break
    return str(best[1]) if best[0] <= BADGE_ERROR else None


@lru_cache(maxsize=256)
def _badges(cell: int, side: int) -> _Grey:
    """The badges of 0 to MOST_CELLS on a cell of `cell` pixels, scaled to one of `side`: float32 (numbers, height,
    width) of the largest of them; where a badge does not reach: NaN."""
    drawn = [_drawn(str(number), cell, side) for number in range(MOST_CELLS + 1)]
    size = (len(drawn), max(badge.shape[0] for badge in drawn), max(badge.shape[1] for badge in drawn))
    out = np.full(size, np.nan, dtype=np.float32)
    for place, badge in zip(out, drawn, strict=True):
        place[: badge.shape[0], : badge.shape[1]] = badge
    return out


def _drawn(label: str, cell: int, side: int) -> _Grey:
    blank = Image.new("RGB", (cell, cell), (0, 0, 255))
    marked = sheet([blank], columns=1, cell=cell, marks=[label])
    pixels = np.asarray(marked)
    badge = pixels[:, :, 0] == pixels[:, :, 2]  # it is grey, the blank blue
    size = (int(badge.any(axis=0).sum()), int(badge.any(axis=1).sum()))
    box = marked.crop((0, 0, *size)).convert("L")
    if cell != side:
        box = box.resize((round(size[0] * side / cell), round(size[1] * side / cell)), Image.Resampling.BICUBIC)
    return np.asarray(box, dtype=np.float32)


def _grids(image: Image.Image) -> list[tuple[int, int]]:
    """Columns and rows that give square cells, fewest cells first."""
    found: list[tuple[int, int]] = []
    for columns in range(1, MOST_COLUMNS + 1):
        side = image.width / columns
        rows = max(1, round(image.height / side))
        if abs(image.height - rows * side) <= 0.03 * side and columns * rows <= MOST_CELLS:
            found.append((columns, rows))
    return sorted(found, key=lambda grid: grid[0] * grid[1])


def _boxes(image: Image.Image, columns: int, rows: int) -> list[tuple[int, int, int, int]]:
    width, height = image.width / columns, image.height / rows
    return [
        (round(c * width), round(r * height), round((c + 1) * width), round((r + 1) * height))
        for r in range(rows)
        for c in range(columns)
    ]


def _blank(cell: Image.Image) -> bool:
    return float(np.asarray(cell.convert("L"), dtype=np.float32).std()) <= BLANK_SPREAD
