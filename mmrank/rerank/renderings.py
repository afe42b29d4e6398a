"""Items and queries as message parts: pictures, S-Grids, frames, texts."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mmrank.errors import MediaError
from mmrank.media import digest, load, s_grid, split_uri
from mmrank.media.once import OnceCache
from mmrank.mllm.prompt import ImagePart, Part, Picture, TextPart
from mmrank.rerank.boxes import box_pictures, item_box
from mmrank.rerank.pictures import PictureCache
from mmrank.rerank.render_settings import RenderSettings
from mmrank.rerank.subtitles import subtitles_beside
from mmrank.types import Hit, Item, Query

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["RenderSettings", "Renderer", "Rendering", "score_words"]

CACHE_BYTES = 256 << 20
"""80 pictures of 1 megapixel, or 440 S-Grids of 448 pixels."""

MAX_SHAPES = 1 << 14
"""Renderings of which the sizes are remembered when the pixels are not, under 1 kB each."""

MIN_PAGE_SIDE = 320
"""Pixels of a page's shorter side as it is drawn, whatever the model is shown: PDFium draws small pages coarsely, so
they are drawn at this side or more and shrunk."""

_WHOLE = 1 << 20
"""A shorter side no picture has: `load` then gives the picture as it is."""

_WORD = re.compile(r"\S+")

_Shown: TypeAlias = "list[tuple[str, Image]]"
"""Pictures, each with the words that stand before it."""


class Rendering(tuple[Part, ...]):
    """Message parts, and `warnings`: what was mended on the way ("12 of 16 frames could be read").

    >>> Rendering([TextPart(text="a note")], warnings=["cut off"]).warnings
    ('cut off',)
    """

    warnings: tuple[str, ...]

    def __new__(cls, parts: Iterable[Part], warnings: Sequence[str] = ()) -> Rendering:
        made = super().__new__(cls, parts)
        made.warnings = tuple(warnings)
        return made


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is known of a rendered item without its pixels: the words before each picture, and its size."""

    pictures: tuple[tuple[str, tuple[int, int]], ...]
    warnings: tuple[str, ...]


class Renderer:
    """Turns Items and Queries into message parts as `settings` say. Thread-safe.

    Texts come bare, as ``TextPart(data=True)``: the layout quotes them as its prompt file wants. Pixels are kept in a
    cache of `cache_bytes`; a Picture whose pixels were dropped opens its source again, and raises `MediaError` when
    that is gone or has changed.

    >>> renderer = Renderer(RenderSettings(max_words=2))
    >>> renderer.item(Hit(item=Item(id="n", kind="text", text="a short note"), score=0.5))[0].text
    'a short'
    """

    def __init__(self, settings: RenderSettings, cache_bytes: int = CACHE_BYTES) -> None:
        self.settings = settings
        self._cache = PictureCache(cache_bytes)
        self._shapes: OnceCache[str, _Shape] = OnceCache(MAX_SHAPES)

    def item(self, hit: Hit) -> Rendering:
        """The parts that show a candidate. Raises `MediaError` when anything it needs cannot be read."""
        as_what = {"image": self.settings.image, "page": self.settings.page, "video": self.settings.video}
        pictures = Rendering(())
        if as_what.get(hit.item.kind, "text") != "text":
            pictures = self._pictures(hit.item)
        parts = [*pictures, *self._texts(hit.item, below=bool(pictures))]
        if self.settings.scores:
            parts.append(TextPart(text=f"\nSearch score: {score_words(hit.score)}"))
        return Rendering(parts, pictures.warnings)

    def query(self, query: Query) -> Rendering:
        """The parts that show a query's images and video, none when it has neither. Its texts are the layout's matter.

        A query is shown by its pictures, whatever the settings say of items of that kind. With `subtitles`, those of
        a video are read from the ``.srt`` or ``.vtt`` file of the same name beside it.
        Raises `MediaError` when something cannot be read.
        """
        parts: list[Part] = []
        warnings: list[str] = []
        for source in query.images:
            is_page = isinstance(source, str | Path) and split_uri(source).page is not None
            shown = self._pictures(Item(id="query", kind="page" if is_page else "image", image=source))
            parts, warnings = [*parts, *shown], [*warnings, *shown.warnings]
        if query.video is not None:
            shown = self._pictures(Item(id="query", kind="video", uri=str(query.video)))
            parts, warnings = [*parts, *shown], [*warnings, *shown.warnings]
            if self.settings.subtitles and (said := subtitles_beside(query.video)):
                parts += self._behind_picture("Subtitles", said)
        return Rendering(parts, warnings)

    def _texts(self, item: Item, *, below: bool) -> list[Part]:
        """The item's text: all there is of it, or `below` its pictures with a word that says what it is."""
        settings = self.settings
        if not below:
            text = item.text if item.kind in ("image", "video") else _text_layer(item)
            if text is None:
                raise MediaError(f"Item {item.id!r} ({item.kind}) has no text, and the rendering shows its text alone.")
            return [self._data(text)]
        if item.kind == "page":
            text, name = (_text_layer(item) if settings.page_text else None), "Text on the page"
        elif item.kind == "video" and settings.subtitles:
            text, name = item.text, "Subtitles"
        else:
            text, name = (item.text if settings.captions else None), "Caption"
        return self._behind_picture(name, text) if text and text.strip() else []

    def _behind_picture(self, name: str, text: str) -> list[Part]:
        joint = f"\n{name}: " if self.settings.joint is None else self.settings.joint
        return [*([TextPart(text=joint)] if joint else []), self._data(text)]

    def _data(self, text: str) -> TextPart:
        return TextPart(text=first_words(text.strip(), self.settings.max_words), data=True)

    def _pictures(self, item: Item) -> Rendering:
        key = self._key(item)
        shape = self._shapes.get(key, lambda: self._decode(item, key))
        parts: list[Part] = []
        for i, (words, (width, height)) in enumerate(shape.pictures):
            if words:
                parts.append(TextPart(text=words))
            picture = Picture(key=f"{key}-{i}", width=width, height=height, open=_Opener(self, item, key, i))
            parts.append(ImagePart(picture=picture))
        return Rendering(parts, shape.warnings)

    def _key(self, item: Item) -> str:
        """Names the pixels: the content (not ids, names or texts) and the settings that shape them."""
        s = self.settings
        shaping: tuple[object, ...] = (s.area, s.min_pixels, item_box(item) if s.crop else None)
        if item.kind == "video":
            shaping = (s.area, s.min_pixels, s.frames) if s.video == "frames" else (s.s, s.sheet_size)
        words = (digest(_bare(item)), item.kind, *shaping)
        return hashlib.blake2b(repr(words).encode(), digest_size=16).hexdigest()

    def _decode(self, item: Item, key: str) -> _Shape:
        """Make the item's pictures and put them into the cache."""
        shown, warnings = self._show_video(item) if item.kind == "video" else self._show_still(item)
        for i, (_, image) in enumerate(shown):
            self._cache.put(f"{key}-{i}", image)
        return _Shape(tuple((words, image.size) for words, image in shown), warnings)

    def reopen(self, item: Item, key: str, position: int) -> Image:
        """The pixels of picture `position` of an item that was rendered under `key`; what `Picture.open` calls."""
        kept = self._cache.get(f"{key}-{position}")
        if kept is not None:
            return kept
        if self._key(item) != key:
            raise MediaError(f"Item {item.id!r} has changed since it was rendered; run the query again.")
        shown, _ = self._show_video(item) if item.kind == "video" else self._show_still(item)
        for i, (_, image) in enumerate(shown):
            self._cache.put(f"{key}-{i}", image)
        return shown[position][1]

    def _show_still(self, item: Item) -> tuple[_Shown, tuple[str, ...]]:
        box = item_box(item) if self.settings.crop else None
        side = math.isqrt(self.settings.area) + 1
        size = _WHOLE if box and item.kind == "image" else max(side, MIN_PAGE_SIDE if item.kind == "page" else 0)
        loaded = load(_bare(item), size=size, frames=1)
        if loaded.image is None:
            raise MediaError(f"Item {item.id!r} ({item.kind}) gave no picture.")
        if box is None:
            return [("", self._fit(loaded.image))], loaded.warnings
        if item.kind == "page" and max(box) > 1:
            raise MediaError(f"Item {item.id!r} is a page, which has no pixels of its own: give its bbox in fractions.")
        whole, inside = box_pictures(loaded.image, box)
        shown = [("Whole picture, the candidate in the red box: ", self._fit(whole))]
        return [*shown, ("\nThe candidate alone: ", self._fit(inside))], loaded.warnings

    def _show_video(self, item: Item) -> tuple[_Shown, tuple[str, ...]]:
        s = self.settings
        if s.video == "frames":
            loaded = load(_bare(item), size=math.isqrt(s.area) + 1, frames=s.frames)
            timed = zip(loaded.times, loaded.frames, strict=True)
            return [(f"\nAt {time:.1f} s: ", self._fit(frame)) for time, frame in timed], loaded.warnings
        loaded = load(_bare(item), size=s.sheet_size // s.s, frames=s.s * s.s)
        return [("", s_grid(loaded.frames, s.s, s.sheet_size))], loaded.warnings

    def _fit(self, image: Image) -> Image:
        return fit_area(image, self.settings.min_pixels, self.settings.area)


@dataclass(frozen=True, slots=True)
class _Opener:
    """`Picture.open`: the pixels from the cache, or from the source again."""

    renderer: Renderer
    item: Item
    key: str
    position: int

    def __call__(self) -> Image:
        return self.renderer.reopen(self.item, self.key, self.position)


def _text_layer(item: Item) -> str | None:
    """The text of a page or text item, read from its file when the item does not bring it."""
    return item.text if item.text is not None else load(item, size=1, frames=1).text


def _bare(item: Item) -> Item:
    """The item without its text: captions do not change pixels, and a page's text layer need not be read."""
    return replace(item, text="")


def fit_area(image: Image, min_pixels: int | None, max_pixels: int) -> Image:
    """The image shrunk to at most `max_pixels` (width x height), or enlarged to about `min_pixels`, in proportion.

    >>> from PIL import Image
    >>> fit_area(Image.new("RGB", (400, 100)), None, 10_000).size
    (200, 50)
    """
    from PIL import Image as PILImage

    area = image.width * image.height
    wanted = min(max(area, min_pixels or 0), max_pixels)
    if wanted == area:
        return image
    scale = math.sqrt(wanted / area)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size[0] * size[1] > max_pixels:
        size = (max(1, math.floor(image.width * scale)), max(1, math.floor(image.height * scale)))
    return image.resize(size, PILImage.Resampling.BICUBIC, reducing_gap=2.0)


def first_words(text: str, most: int | None) -> str:
    """The first `most` words with the white space between them as it is; all of the text when None.

    >>> first_words("one  two three", 2)
    'one  two'
    """
    if most is None:
        return text
    ends = [word.end() for word, _ in zip(_WORD.finditer(text), range(most), strict=False)]
    return text[: ends[-1]] if len(ends) == most else text


def score_words(score: float) -> str:
    """A score as it is written in a prompt: four significant figures.

    >>> score_words(0.123456), score_words(float("nan"))
    ('0.1235', 'unknown')
    """
    return f"{score:.4g}" if math.isfinite(score) else "unknown"
