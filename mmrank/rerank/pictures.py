"""Rendered pictures, kept while there is room for them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

BYTES_PER_PIXEL = 3
"""RGB, 8 bits each."""


class PictureCache:
    """Pictures by key, least recently used dropped first when they hold more than `capacity` bytes. Thread-safe.

    >>> PictureCache(capacity=0).get("a") is None
    True
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pictures: OrderedDict[str, Image] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What the pictures held now take."""
        return self._bytes

    def get(self, key: str) -> Image | None:
        """The picture under `key`; None when it was dropped or never there."""
        with self._lock:
            picture = self._pictures.get(key)
            if picture is not None:
                self._pictures.move_to_end(key)
            return picture

    def put(self, key: str, picture: Image) -> None:
        """Keep a picture, and drop the oldest ones it needs the room of. One larger than the cache is not kept."""
        size = _size(picture)
        with self._lock:
            if key in self._pictures:
                self._bytes -= _size(self._pictures.pop(key))
            if size > self._capacity:
                return
            self._pictures[key] = picture
            self._bytes += size
            while self._bytes > self._capacity:
                self._bytes -= _size(self._pictures.popitem(last=False)[1])


def _size(picture: Image) -> int:
    return picture.width * picture.height * BYTES_PER_PIXEL
