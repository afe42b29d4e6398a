"""Whether two small pictures show the same: re-encoded, resized or cropped by a hair, but nothing moved or exchanged.

Embeddings cannot tell: a crop of 2 % may move a vector further than a dog in the place of a cat does. Both pictures are
brought to 32 x 32 cells; a cell differs by as much as it lies outside the range of the other picture's cell and its
eight neighbours. So everything may have moved by a cell (3 % of the side), and sharpness hardly counts; an object that
came, went or changed is outside that range over its whole area.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from mmrank.media.image import open_image

SIDE = 32
"""Cells of a side."""

WORST = 16
"""The cells that count are the most different ones, 16 of 1,024: an object of an eighth of the side fills as many.
Fewer would take the edges that a crop moves for a change, all of them would pass over small objects."""

ALIKE = 54.0
"""Difference up to which two pictures count as the same, of 255. On 300 toybox scenes (`scripts/bench_distinct.py`)
re-encodings, resizes and crops of 2 % differed by 46 at most. Of 1,497 pictures with one thing changed those with a
cosine of 0.9 or more differed by 64 at least; of the others a few came down to 45, so this does not decide alone."""

STRETCHED = 0.06
"""Pictures whose ratios of width to height differ by more than this share are not compared: a crop of 2 % of one side
gives 0.02, rounding the sides of small pictures as much again."""

Grid = npt.NDArray[np.float32]


class Cells(NamedTuple):
    """A picture as cells, each float32 (32, 32, 3), 0..255: their colours, and the range around each.

    `ratio`: width to height of the picture itself.
    """

    colours: Grid
    low: Grid
    high: Grid
    ratio: float


def cells_of(picture: bytes | Image.Image) -> Cells:
    """The cells of a picture; a thumbnail of 160 pixels is enough. Raises `MediaError` for bytes that are no picture.

    >>> cells_of(Image.new("RGB", (80, 40), "red")).ratio
    2.0
    """
    opened = open_image(picture)
    how = Image.Resampling.BOX if min(opened.size) >= SIDE else Image.Resampling.BICUBIC
    small = opened.resize((SIDE, SIDE), how)
    colours, low, high = (
        np.asarray(image, np.float32)
        for image in (small, small.filter(ImageFilter.MinFilter(3)), small.filter(ImageFilter.MaxFilter(3)))
    )
    return Cells(colours, low, high, opened.width / opened.height)


def difference(one: Cells, other: Cells) -> float:
    """How much the most different cells differ, 0..255; infinite for pictures of different shapes.

    >>> plain = Image.new("RGB", (64, 64), "white")
    >>> dotted = plain.copy()
    >>> dotted.paste("blue", (20, 20, 36, 36))
    >>> difference(cells_of(plain), cells_of(plain.resize((40, 40)))), difference(cells_of(plain), cells_of(dotted))
    (0.0, 255.0)
    """
    if abs(math.log(one.ratio / other.ratio)) > STRETCHED:
        return math.inf
    outside = np.maximum(_outside(one.colours, other), _outside(other.colours, one)).ravel()
    return float(np.partition(outside, outside.size - WORST)[-WORST:].mean())


def _outside(colours: Grid, of: Cells) -> Grid:
    """How far each cell lies outside the other picture's range, float32 (32, 32): the colour channel that is worst."""
    over: Grid = np.maximum(np.maximum(colours - of.high, of.low - colours), 0).max(axis=2)
    return over
