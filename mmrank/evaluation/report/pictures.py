"""Thumbnails: every picture that the page shows, once, as JPEG in base64; what cannot be read keeps its cause."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from mmrank.errors import MmrankError
from mmrank.media.image import thumbnail
from mmrank.media.load import load
from mmrank.types import Item, Query

SIDE = 112
"""Pixels of the longer side: what a cell of the page shows; about 3 kB each."""

WORKERS = min(8, os.cpu_count() or 1)
"""Threads that decode: Pillow, PyAV and PDFium let go of the interpreter lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A thumbnail by its place among the page's pictures, or why there is none."""

    place: int | None = None
    cause: str = ""


@dataclass(slots=True)
class Pictures:
    """Collects what is to be shown and decodes each source once."""

    _wanted: dict[Hashable, Item] = field(default_factory=dict)

    def want(self, item: Item) -> Hashable | None:
        """Asks for an item's picture; the key under which `made` has it, None for a text."""
        if item.kind == "text":
            return None
        key = (item.kind, _source(item))
        self._wanted.setdefault(key, item)
        return key

    def made(self, progress: Callable[[int, int], None] | None = None) -> tuple[list[str], dict[Hashable, Picture]]:
        """The different pictures as base64, and for each key its Picture. Equal pictures are there once.

        `progress`: told how many are done and how many there are. Never raises for what a file holds.
        """
        places: dict[str, int] = {}
        pictures: dict[Hashable, Picture] = {}
        with ThreadPoolExecutor(WORKERS) as pool:
            made = pool.map(_made, self._wanted.values())
            for done, (key, (jpeg, cause)) in enumerate(zip(self._wanted, made, strict=True), 1):
                coded = base64.b64encode(jpeg).decode("ascii")
                pictures[key] = Picture(place=places.setdefault(coded, len(places))) if jpeg else Picture(cause=cause)
                if progress is not None:
                    progress(done, len(self._wanted))
        return list(places), pictures


def query_items(query: Query) -> list[Item]:
    """What a query shows, as Items to be decoded: its images, and its video."""
    images = [Item(id="query", kind="image", image=image) for image in query.images]
    return [*images, *([Item(id="query", kind="video", uri=str(query.video))] if query.video else [])]


def _made(item: Item) -> tuple[bytes, str]:
    """JPEG bytes, or the cause why there are none."""
    try:
        loaded = load(item, size=SIDE, frames=1)
        image = loaded.frames[0] if loaded.frames else loaded.image
        return (thumbnail(image, SIDE), "") if image is not None else (b"", "there is nothing to see in it")
    except MmrankError as error:
        return b"", str(error)
    except Exception as error:  # noqa: BLE001 - a decoder's own failure must cost one picture, not the report
        return b"", f"{type(error).__name__}: {error}"


def _source(item: Item) -> Hashable:
    """What the pixels come from; the same file for a query and an item is decoded once."""
    if isinstance(item.image, bytes):
        return (hashlib.blake2b(item.image, digest_size=16).digest(), item.uri)
    if item.image is not None and hasattr(item.image, "tobytes"):
        return (id(item.image), item.uri)
    return str(item.image) if item.image is not None else item.uri
