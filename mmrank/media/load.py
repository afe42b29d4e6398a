"""An Item's media, opened: what every embedder and every rendering starts from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from mmrank.errors import MediaError
from mmrank.media.image import open_image
from mmrank.media.inside import read_inside
from mmrank.media.once import FileKey, OnceCache, file_key
from mmrank.media.page import open_page
from mmrank.media.remote_copies import at_hand
from mmrank.media.texts import chunk_text, read_text
from mmrank.media.uri import Location, cause, describe, printable, regular_file, split_uri
from mmrank.media.video import sample_frames
from mmrank.types import ImageSource, Item

DIGEST_BYTES = 20
"""160 bits: no two of 10^12 contents share a digest by accident; 40 characters in the index."""

MAX_CACHED_DIGESTS = 4_096
"""File digests kept, about 200 bytes each: the pages of a few open PDFs need one, a build's workers a handful."""

_READ_BYTES = 1 << 20

_file_digests: OnceCache[FileKey, bytes] = OnceCache(MAX_CACHED_DIGESTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One Item with its pixels and text, held only while it is being worked on.

    `image`: RGB, upright; the picture of an image or a page. `frames` and `times` (seconds): a video's
    frames, in order. `text`: the item's text, for a page its text layer when the item brought none.
    `warnings`: what was mended on the way, for example "12 of 16 frames could be read".
    """

    item: Item
    image: Image.Image | None = field(default=None, repr=False)
    frames: tuple[Image.Image, ...] = field(default=(), repr=False)
    times: tuple[float, ...] = ()
    text: str | None = None
    warnings: tuple[str, ...] = ()


def load(item: Item, *, size: int, frames: int) -> Loaded:
    """Decode what an Item points at, no larger than needed.

    `size`: the shorter side in pixels that will be looked at (images and frames come with at least twice that
    where they have it, pages with exactly that). `frames`: how many of a video, spread over it or its span.
    An item's own `image` goes before its `uri`; a text that is there needs no file. A file that lies elsewhere is
    copied first, if it may be fetched (`mmrank.media.remote`).

    Thread-safe. Raises `MediaError` when anything it needs is missing or cannot be read.

    >>> load(Item(id="n", kind="text", text="a note"), size=224, frames=12).text
    'a note'
    """
    with at_hand(item) as here:
        return replace(_loaded(here, size, frames), item=item)


def _loaded(item: Item, size: int, frames: int) -> Loaded:
    if item.kind == "text":
        return Loaded(item=item, text=_text(item))
    source, where = _source(item)
    if item.kind == "video":
        if isinstance(source, Image.Image):
            raise MediaError(f"Item {item.id!r} is a video, but its image is a picture; give the file as uri.")
        sampled = sample_frames(source, frames=frames, span=where.span, size=size)
        return Loaded(item=item, frames=sampled.images, times=sampled.times, text=item.text, warnings=sampled.warnings)
    if item.kind == "page" and not isinstance(source, Image.Image) and (where.page or _is_pdf(source)):
        page = open_page(source, where.page or 1, size=size, with_text=item.text is None)
        return Loaded(item=item, image=page.image, text=item.text if item.text is not None else page.text or None)
    return Loaded(item=item, image=open_image(source, size=size), text=item.text)


def digest(item: Item) -> str:
    """The hash of what will be embedded: kind, file content, page or span, text. 40 hex digits (blake2b).

    Two Items with equal digests embed to equal vectors: names, ids and metadata do not matter. The text of a picture
    or video counts here, although few embedders read it (`mmrank.index.work.content_hash` leaves it out). Files are
    streamed, and hashed once for all their pages and spans as long as they do not change.

    Thread-safe. Raises `MediaError` when a file is missing or cannot be read.
    """
    with at_hand(item) as here:
        return _digest(here)


def _digest(item: Item) -> str:
    total = hashlib.blake2b(digest_size=DIGEST_BYTES)
    parts: list[bytes | None] = [item.kind.encode()]
    if item.kind == "text":
        parts.append(_text(item).encode("utf-8", "surrogatepass"))
    else:
        source, where = _source(item)
        parts += [where.part.encode(), None if item.text is None else item.text.encode("utf-8", "surrogatepass")]
        parts.append(_content(source))
    for part in parts:  # lengths keep "ab" + "c" apart from "a" + "bc", and no text from the empty one
        total.update(b"-" if part is None else b"%d:" % len(part) + part)
    return total.hexdigest()


def forget_digests() -> None:
    """Hash files anew from now on.

    A digest is kept by size and time of the file. One that is written twice within a tick of its clock shows neither;
    so what is kept must not outlive one pass over a collection.
    """
    _file_digests.clear()


def _text(item: Item) -> str:
    if item.text is not None:
        return item.text
    if item.uri is None:
        raise MediaError(f"Item {item.id!r} is a text without text; give text= or a uri.")
    where = split_uri(item.uri)
    text = read_text(where.path)
    if where.chunk is None:
        return text
    chunks = chunk_text(text)
    if where.chunk > len(chunks):
        raise MediaError(f"{printable(where.path)} has {len(chunks)} chunks; chunk {where.chunk} does not exist.")
    return chunks[where.chunk - 1]


def _source(item: Item) -> tuple[ImageSource, Location]:
    """Where the pixels are: a path, bytes or a PIL image, and which part of it is meant."""
    if isinstance(item.image, str | Path):
        return _opened(split_uri(item.image))
    if item.image is not None:
        part = split_uri(item.uri).part if item.uri and "://" not in item.uri else ""
        return item.image, Location(path="", fragment=part)
    if item.uri is None:
        raise MediaError(f"Item {item.id!r} of kind {item.kind} has neither uri nor image; give one of them.")
    return _opened(split_uri(item.uri))


def _opened(where: Location) -> tuple[str | bytes, Location]:
    """A path, or the bytes that lie inside the file, with the part of them that is meant."""
    return (read_inside(where) if where.inside else where.path), where


def _is_pdf(source: str | Path | bytes) -> bool:
    """True when the first kilobyte holds PDF's mark; a page may also be a picture of one."""
    if isinstance(source, bytes):
        return b"%PDF-" in source[:1024]
    regular_file(source)
    try:
        with Path(source).open("rb") as file:
            return b"%PDF-" in file.read(1024)
    except OSError as error:
        raise MediaError(f"{describe(source)} cannot be opened: {cause(error)}.") from error


def _content(source: ImageSource) -> bytes:
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=DIGEST_BYTES).digest()
    if isinstance(source, Image.Image):
        pixels = open_image(source)
        return hashlib.blake2b(repr(pixels.size).encode() + pixels.tobytes(), digest_size=DIGEST_BYTES).digest()
    key = file_key(source, regular_file(source))
    return _file_digests.get(key, lambda: _file_digest(Path(source)))


def _file_digest(path: Path) -> bytes:
    total = hashlib.blake2b(digest_size=DIGEST_BYTES)
    try:
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                total.update(block)
    except OSError as error:
        raise MediaError(f"{describe(path)} cannot be read: {cause(error)}.") from error
    return total.digest()
