"""An Item's media, opened: what every embedder and every rendering starts from."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL.Image import Image

from mmrank.types import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One Item with its pixels and text, held only while it is being worked on.

    `image`: RGB, upright; the picture of an image or a page. `frames` and `times` (seconds): a video's
    frames, in order. `text`: the item's text, for a page its text layer when the item brought none.
    `warnings`: what was mended on the way, for example "12 of 16 frames could be read".
    """

    item: Item
    image: Image | None = field(default=None, repr=False)
    frames: tuple[Image, ...] = field(default=(), repr=False)
    times: tuple[float, ...] = ()
    text: str | None = None
    warnings: tuple[str, ...] = ()
