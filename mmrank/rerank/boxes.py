"""Items that are a box within a picture: the whole picture with the box drawn in, and the box alone.

Our stand-in for SceneRanker's second stage (arXiv 2505.24466), which shows its model the whole scene and where the
person is; the paper's own form is not public.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from mmrank.errors import MediaError
from mmrank.types import Item

if TYPE_CHECKING:
    from PIL.Image import Image

Box: TypeAlias = tuple[float, float, float, float]
"""left, top, right, bottom."""

LINE_SHARE = 100
"""The drawn line is this part of the picture's shorter side wide, at least 2 pixels: it survives being shrunk."""

_RED = (255, 0, 0)


def item_box(item: Item) -> Box | None:
    """The box in ``meta["bbox"]``, None when the item has none. Raises `MediaError` when it is not a box.

    >>> item_box(Item(id="a", kind="image", meta={"bbox": "10, 20, 110, 220"}))
    (10.0, 20.0, 110.0, 220.0)
    """
    given = item.meta.get("bbox")
    if given is None:
        return None
    words = given.replace(",", " ").split() if isinstance(given, str) else given
    try:
        left, top, right, bottom = (float(word) for word in words)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        left = math.nan
    if not (0 <= left < right < math.inf and 0 <= top < bottom < math.inf):
        raise MediaError(
            f'Item {item.id!r} has the bbox {given!r}; it must be "left,top,right,bottom", in pixels or in fractions '
            "of width and height, with left < right and top < bottom."
        )
    return left, top, right, bottom


def box_pictures(image: Image, box: Box) -> tuple[Image, Image]:
    """The picture with the box drawn in red, and what is inside the box. Boxes are cut at the picture's edge.

    A box within 0..1 is in fractions of width and height. Raises `MediaError` when it lies outside the picture.
    """
    from PIL import ImageDraw

    width, height = image.size
    across, down = (width, height) if max(box) <= 1 else (1, 1)
    left, top = math.floor(box[0] * across), math.floor(box[1] * down)
    right, bottom = min(width, math.ceil(box[2] * across)), min(height, math.ceil(box[3] * down))
    if left >= right or top >= bottom:
        raise MediaError(f"The bbox {box} lies outside its picture of {width} x {height} pixels.")
    whole = image.copy()
    line = max(2, min(image.size) // LINE_SHARE)
    edges = (max(0, left - line), max(0, top - line), min(width, right + line) - 1, min(height, bottom + line) - 1)
    ImageDraw.Draw(whole).rectangle(edges, outline=_RED, width=line)
    return whole, image.crop((left, top, right, bottom))
