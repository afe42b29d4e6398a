"""How items are shown to a model: the settings of a Renderer, as data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

from mmrank.errors import RecipeError

DEFAULT_MAX_PIXELS = 1024 * 1024
"""A picture's area when a recipe and a checkpoint say nothing: about 1,000 visual tokens of a Qwen3-VL."""

_NUMBERS = frozenset({"min_pixels", "max_pixels", "frames", "s", "sheet_size", "max_words"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSettings:
    """How each kind of Item is rendered.

    `image`, `page`, `video`, `text`: as what an item of that kind is shown; "text" shows its text in place of the
    picture. `sgrid`: ``s * s`` frames on one square sheet of `sheet_size` pixels; `frames`: so many pictures, each
    with its time. `max_pixels`: area to which a larger picture is shrunk, keeping its proportions (None: 1,048,576);
    `min_pixels`: area to which a smaller one is enlarged (None: never); both leave S-Grids alone.
    `subtitles`: a video's text is shown below it; `captions`: an image's or video's text; `page_text`: a page's text
    layer; `scores`: the score of the previous stage. `joint`: what stands between a picture and such a text; None: a
    new line and a word that says what the text is ("Caption: "). `max_words`: of each text (None: all). `crop`: an
    item with ``meta["bbox"]`` ("left,top,right,bottom" in pixels, or in fractions of width and height) is shown twice:
    whole with the box drawn in, then the box alone.

    Raises `RecipeError` on a value that cannot be meant.

    >>> RenderSettings(video="frames", frames=4).video
    'frames'
    """

    image: Literal["image", "text"] = "image"
    page: Literal["page", "text"] = "page"
    video: Literal["sgrid", "frames", "text"] = "sgrid"
    text: Literal["text"] = "text"
    min_pixels: int | None = None
    max_pixels: int | None = None
    frames: int = 9
    s: int = 3
    sheet_size: int = 448
    subtitles: bool = False
    captions: bool = False
    page_text: bool = False
    scores: bool = False
    joint: str | None = None
    max_words: int | None = None
    crop: bool = False

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name in ("image", "page", "video", "text"):
            if getattr(self, name) not in get_args(hints[name]):
                allowed = ", ".join(get_args(hints[name]))
                raise RecipeError(f"rendering {name} is {getattr(self, name)!r}; it must be one of {allowed}.")
        for field in fields(self):
            value = getattr(self, field.name)
            is_flag = isinstance(field.default, bool)
            if is_flag and not isinstance(value, bool):
                raise RecipeError(f"rendering {field.name} is {value!r}; it must be true or false.")
            optional = field.default is None and value is None
            if field.name in _NUMBERS and not optional and (type(value) is not int or value < 1):
                raise RecipeError(f"rendering {field.name} is {value!r}; it must be a whole number of at least 1.")
        if self.sheet_size < self.s:
            raise RecipeError(f"rendering sheet_size is {self.sheet_size}; {self.s} x {self.s} frames need {self.s}.")
        if (self.min_pixels or 1) > self.area:
            raise RecipeError(f"rendering min_pixels is {self.min_pixels}, above max_pixels ({self.area}).")

    @property
    def area(self) -> int:
        """`max_pixels`, or what it is by default."""
        return self.max_pixels or DEFAULT_MAX_PIXELS
