"""Known pictures as small thumbnails, and which of them a thumbnail is: nearest neighbours within a bound and a margin.

Pictures of different contents lie at least 8 grey levels apart (root mean square over a thumbnail, near-duplicates of a
collection of 300), the same picture sent as JPEG at 64 pixels lies within 4 of itself, at 160 and more within 1.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmrank.media import open_image, open_page, sample_frames, sheet
from mmrank.toybox.judge.known import Knowledge, KnownItem

Thumbnails = npt.NDArray[np.float32]

SIDE = 16
"""Pixels; more of them tell no better (measured at 24 and 32) and mind small pictures more."""

PICTURE_BOUND = 7.0
"""Grey levels (of 255, root mean square) within which a picture is a known one."""

PAGE_BOUND = 12.0
"""The same for small pages: drawn at 65 pixels and sent at 53 they lie within 8, other pages beyond 25."""

FRAME_BOUND = 9.0
"""The same for the mean over the frames of a clip; the worst single frame may be twice that. Cells of 42 pixels, the
smallest that mmrank draws, were found to lie within 9 at worst, other clips beyond 13."""

MARGIN = 0.7
"""The nearest must be nearer than this share of the second nearest's distance."""

ASPECT_SLACK = 0.04
"""Share by which width / height may be off: a page of 45 x 64 pixels is by 0.01."""

BADGE_CELLS = 4
"""Rows and columns of a thumbnail's corner that a badge may cover, a quarter of each side: left out on sheets."""

PAGE_SIZES = (448, 65)
"""Shorter sides at which pages are drawn beforehand: for large pictures, and for those of 64 x 64 pixels' area."""

SHARP_PAGE = 300
"""Shorter side from which on a page looks as it does at 448."""

ALL_FRAMES = 1_000_000


@dataclass(frozen=True, slots=True)
class Match:
    """The nearest item and its distance; `key` None when it is too far away or another one is about as near."""

    key: str | None
    distance: float
    second: float


def thumbnail(image: Image.Image, box: tuple[float, float, float, float] | None = None) -> Thumbnails:
    """A picture as float32 (SIDE * SIDE * 3,), 0 to 255: means of equal areas, so that its own size hardly matters.

    `box`: left, top, right, bottom of the part that is meant, in pixels, which need not be whole.
    """
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX, box=box)
    return np.asarray(small, dtype=np.float32).ravel()


class Gallery:
    """The thumbnails of a collection's pictures, pages and clip frames.

    Raises `MediaError` when one of the collection's files has gone or cannot be read.
    """

    def __init__(self, known: Knowledge) -> None:
        self._keys: list[str] = []
        aspects: list[float] = []
        wholes: list[Thumbnails] = []
        owners: list[str] = []
        starts: list[int] = []
        frames: list[Thumbnails] = []
        for item in known.items.values():
            if item.kind == "video":
                owners.append(item.key)
                starts.append(len(frames))
                frames += [thumbnail(frame) for frame in sample_frames(item.file, frames=ALL_FRAMES).images]
                continue
            for image in _looks(item) if item.kind != "text" else ():
                self._keys.append(item.key)
                aspects.append(image.width / image.height)
                wholes.append(thumbnail(image))
        self._pages = [item for item in known.items.values() if item.kind == "page"]
        self._small: dict[int, Thumbnails] = {}
        self._lock = threading.Lock()
        self._owners, self._starts = owners, np.asarray(starts, dtype=np.intp)
        self._aspects = np.asarray(aspects, dtype=np.float64)
        self._wholes, self._frames = _Rows(wholes), _Rows(frames)
        self._bare = _Rows([row * _UNCOVERED for row in wholes])

    def picture(self, image: Image.Image, *, badge: bool = False) -> Match:
        """Which photo or page a whole picture is. `badge`: its top-left corner may be covered."""
        one = thumbnail(image)
        rows = self._bare if badge else self._wholes
        shape = np.abs(self._aspects * image.height / image.width - 1) <= ASPECT_SLACK
        if not shape.any():
            return Match(None, np.inf, np.inf)
        scale = _UNCOVERED if badge else np.ones_like(_UNCOVERED)
        distances = np.where(shape, rows.distances((one * scale)[None], float(scale.sum()))[0], np.inf)
        match = _nearest(distances, self._keys, PICTURE_BOUND)
        if match.key is None and not badge and min(image.size) < SHARP_PAGE:
            return min(match, self._small_page(image, one), key=lambda each: (each.key is None, each.distance))
        return match

    def _small_page(self, image: Image.Image, one: Thumbnails) -> Match:
        """Which page a small picture is. PDFium draws thin lines no thinner than a pixel, so a page drawn small looks
        different at every size: all pages are drawn at the sizes this picture may have been drawn at, once."""
        area = image.width * image.height
        if not self._pages or abs(image.width / image.height / _aspect(self._pages[0]) - 1) > ASPECT_SLACK:
            return Match(None, np.inf, np.inf)
        sizes = sorted({min(image.size), *(int(area**0.5) + more for more in range(3))})
        rows = np.concatenate([self._drawn_pages(size) for size in sizes])
        distances = _Rows(list(rows)).distances(one[None])[0]
        return _nearest(distances, [item.key for item in self._pages] * len(sizes), PAGE_BOUND)

    def _drawn_pages(self, size: int) -> Thumbnails:
        with self._lock:
            if size not in self._small:
                self._small[size] = np.stack([thumbnail(_page(item, size)) for item in self._pages])
            return self._small[size]

    def clip(self, frames: Sequence[Thumbnails]) -> Match:
        """Which clip all of these frames come from."""
        if not self._owners:
            return Match(None, np.inf, np.inf)
        distances = self._frames.distances(np.stack(frames))
        best = np.minimum.reduceat(distances, self._starts, axis=1)  # (frames, clips)
        means = np.where(best.max(axis=0) <= 2 * FRAME_BOUND, best.mean(axis=0), np.inf)
        return _nearest(means, self._owners, FRAME_BOUND)


def _uncovered() -> Thumbnails:
    """1 for what a badge leaves free of a thumbnail, 0 for its corner."""
    free = np.ones((SIDE, SIDE, 3), dtype=np.float32)
    free[:BADGE_CELLS, :BADGE_CELLS] = 0
    return free.ravel()


_UNCOVERED = _uncovered()


class _Rows:
    """Thumbnails (n, d) with their squared lengths, for distances by one product of matrices."""

    def __init__(self, rows: Sequence[Thumbnails]) -> None:
        self._rows = np.stack(rows) if rows else np.zeros((0, SIDE * SIDE * 3), dtype=np.float32)
        self._squares = np.einsum("nd,nd->n", self._rows, self._rows)

    def distances(self, others: Thumbnails, pixels: float = SIDE * SIDE * 3) -> Thumbnails:
        """Root mean square distances, float32 (others, rows)."""
        squares = np.einsum("md,md->m", others, others)[:, None] + self._squares[None] - 2 * others @ self._rows.T
        return np.asarray(np.sqrt(np.maximum(squares, 0) / pixels), dtype=np.float32)


def _nearest(distances: npt.NDArray[np.floating], keys: Sequence[str], bound: float) -> Match:
    order = np.argsort(distances)
    first = int(order[0])
    nearest = float(distances[first])
    second = next((float(distances[i]) for i in order[1:] if keys[i] != keys[first]), np.inf)  # a page is there often
    sure = nearest <= bound and nearest <= MARGIN * second
    return Match(keys[first] if sure else None, nearest, second)


def _looks(item: KnownItem) -> Iterator[Image.Image]:
    """What an image or page may look like: as it is, and centred in a square cell where it is not square itself."""
    for image in [open_image(item.file)] if item.page is None else [_page(item, size) for size in PAGE_SIZES]:
        yield image
        if image.width != image.height:
            yield sheet([image], columns=1, cell=max(image.size), background=(255, 255, 255))


def _page(item: KnownItem, size: int) -> Image.Image:
    return open_page(item.file, item.page or 1, size=size, with_text=False).image


def _aspect(item: KnownItem) -> float:
    image = _page(item, PAGE_SIZES[0])
    return image.width / image.height
