"""What a picture that was sent shows: a photo, a page, an S-Grid of a clip, one of its frames, or a numbered sheet."""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from PIL import Image

from mmrank.errors import MediaError
from mmrank.media import open_image
from mmrank.toybox.judge.errors import RefusedError, short
from mmrank.toybox.judge.gallery import FRAME_BOUND, Gallery, Match, Thumbnails, thumbnail
from mmrank.toybox.judge.sheets import Cell, cut, has_badge

REMEMBERED = 4096
"""Pictures whose reading is kept, by the hash of their bytes: a candidate is sent many times over a run."""

LARGEST_GRID = 4

EVEN = 0.5
"""Grey levels within which two ways to cut a picture fit alike (plain ground, say): the fewer parts, the better."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture. Exactly one is set: `item` (its key), `frame` (a frame of some clip, or several clips alike there:
    which one, the other frames tell), `cells` (of a sheet: label and item key of each)."""

    item: str | None = None
    frame: Thumbnails | None = None
    cells: tuple[tuple[str, str], ...] = ()


class Sight:
    """Recognises the pictures of one gallery. Thread-safe.

    Example:
        >>> from mmrank.toybox.assets import sample_media_folder
        >>> from mmrank.toybox.judge.known import read_knowledge
        >>> photo = Image.open(sample_media_folder() / "photos" / "photo-0007.jpg")
        >>> Sight(Gallery(read_knowledge())).look(photo.resize((96, 96))).item
        'photos/photo-0007.jpg'
    """

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, Seen | str] = OrderedDict()

    def look_at_url(self, url: str) -> Seen:
        """The picture of a data URL.

        Raises:
            RefusedError: not a data URL, not a picture, or no known picture.
        """
        digest = hashlib.blake2b(url.encode(), digest_size=20).digest()
        with self._lock:
            seen = self._known.get(digest)
        if seen is None:
            try:
                seen = self.look(_opened(url))
            except RefusedError as refusal:
                seen = str(refusal)
            with self._lock:
                self._known[digest] = seen
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        if isinstance(seen, str):
            raise RefusedError(seen)
        return seen

    def look(self, image: Image.Image) -> Seen:
        """What a picture shows.

        Raises:
            RefusedError: it is no known picture, or could be two.
        """
        if has_badge(image):
            for cells in cut(image):
                if (keys := self._cells(cells)) is not None:
                    return Seen(cells=keys)
        whole = self.gallery.picture(image)
        if whole.key is not None:
            return Seen(item=whole.key)
        matches = [self._grid(image, s) for s in range(1, LARGEST_GRID + 1)]
        nearest = min(match.distance for match in matches)
        s = next(s for s, match in enumerate(matches, 1) if match.distance <= nearest + EVEN)
        if s == 1 and matches[0].distance <= FRAME_BOUND:
            return Seen(frame=thumbnail(image))
        if matches[s - 1].key is not None:
            return Seen(item=matches[s - 1].key)
        raise RefusedError(
            f"a picture of {image.width} x {image.height} pixels shows nothing of this toy collection, or is too "
            f"blurred to tell what: the nearest photo or page is {whole.distance:.1f} grey levels away (the next "
            f"{whole.second:.1f}), the nearest clip {nearest:.1f}. Send the collection's own media"
        )

    def _cells(self, cells: tuple[Cell, ...]) -> tuple[tuple[str, str], ...] | None:
        """Label and item of every cell, or None when one shows nothing known."""
        found: list[tuple[str, str]] = []
        for cell in cells:
            key = self.gallery.picture(cell.image, badge=True).key
            for s in (2, 3) if key is None else ():
                key = key or self._grid(cell.image, s, badge=True).key
            if key is None:
                return None
            found.append((cell.label, key))
        return tuple(found)

    def _grid(self, image: Image.Image, s: int, *, badge: bool = False) -> Match:
        """Which clip the ``s * s`` parts of a picture are of. `badge`: one covers the first.

        `s_grid` draws parts of whole pixels and leaves what is over blank; when the sheet was scaled afterwards, parts
        begin between pixels. Both are tried.
        """
        ways = {(image.width / s, image.height / s), (float(image.width // s), float(image.height // s))}
        matches = [self.gallery.clip(_parts(image, s, *size)[badge:]) for size in sorted(ways)]
        return min(matches, key=lambda match: match.distance)


def _parts(image: Image.Image, s: int, width: float, height: float) -> list[Thumbnails]:
    """The thumbnails of a picture's ``s * s`` parts of a size in pixels, row by row."""
    boxes = [(c * width, r * height, (c + 1) * width, (r + 1) * height) for r in range(s) for c in range(s)]
    return [thumbnail(image, box) for box in boxes]


def _opened(url: str) -> Image.Image:
    head, comma, body = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64") or not comma:
        raise RefusedError(f"a picture came as {short(url, 60)!r}; this server takes data:image/...;base64, URLs only")
    try:
        return open_image(base64.b64decode(body, validate=True))
    except (binascii.Error, MediaError) as error:
        raise RefusedError(f"a picture cannot be decoded: {error}") from error
