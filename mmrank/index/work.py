"""One item on its way into the index, and what decode workers do to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from mmrank.embed.base import Embedded, Embedder
from mmrank.errors import MmrankError
from mmrank.index.known import CAPTIONED, Known
from mmrank.index.rows import check_storable
from mmrank.index.stamps import stamp
from mmrank.media.image import thumbnail
from mmrank.media.load import Loaded, digest, load
from mmrank.media.uri import is_remote
from mmrank.types import Item

IN_MEMORY_WEIGHT = 16
"""An item that brings its picture as bytes or pixels counts as so many files in every queue: its megabytes lie in
memory from the moment it is taken, those of a file only while it is decoded."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Content:
    """What one content hash stands for, made once and shared by every item that has it.

    Either `embedded` or `error` is set when it is done. `text`: what was read besides the picture. `orphans`: rows that
    have it and whose files are gone; an item that takes it from one of them was moved.
    """

    digest: str
    embedded: Embedded | None = None
    text: str | None = None
    thumbnail: bytes | None = field(default=None, repr=False)
    times: tuple[float, ...] = ()
    orphans: int = 0
    warnings: tuple[str, ...] = ()
    error: str | None = None


@dataclass(slots=True, eq=False, weakref_slot=True)
class Work:
    """An item that will be written.

    `leads`: its content is made for it; the others with the same content follow. `prepared`: what the embedder
    gave for it, until it is embedded. `stamp` and `source` are for the row, see `items_schema`.
    """

    item: Item
    content: Content
    leads: bool = False
    prepared: Any = field(default=None, repr=False)
    stamp: str | None = None
    source: str | None = None

    def finish(self, made: Content) -> None:
        """Take over what another process made of the content; the object stays the one that followers share."""
        content = self.content
        content.embedded, content.error = made.embedded, made.error
        content.text, content.thumbnail, content.times = made.text, made.thumbnail, made.times
        content.warnings = made.warnings
        self.item = replace(self.item, image=None)  # a row holds no pixels


class Taken(NamedTuple):
    """An item as it came, and the uri of the table or archive that it was read from, if it was."""

    item: Item
    source: str | None = None


class Digested(NamedTuple):
    """An item after a worker's first look: the hash of its content, or why there is none.

    `digest` is None where the row of its id has a `stamp` that tells the same content. `same`: writing it would
    change nothing of that row.
    """

    item: Item
    digest: str | None
    stamp: str | None = None
    source: str | None = None
    same: bool = False
    error: str | None = None


def content_hash(item: Item, embedder: Embedder) -> str:
    """The hash of what goes into an item's vectors: a caption does not, and may change without the model being asked.

    No embedder of mmrank reads captions; one that does says so (`mmrank.embed.base.Embedder`).
    """
    if item.text is not None and item.kind in CAPTIONED and not getattr(embedder, "embeds_captions", False):
        item = replace(item, text=None)
    return digest(item)


def recognise(taken: Taken, embedder: Embedder, known: Known) -> Digested | None:
    """An item that a glance shows to be the same as its row, without a file opened or a store asked; None: look closer.

    Takes some ten microseconds, less than handing an item to a worker.
    """
    item, source = taken
    if not known.has(item.id) or item.kind not in embedder.kinds or (item.uri is not None and is_remote(item.uri)):
        return None
    given = item.kind == "text" and item.text is not None
    mark = None if given else stamp(item)
    if not given and (mark is None or not known.stamped(item.id, mark)):
        return None
    found = content_hash(item, embedder) if given else None
    return Digested(item, found, mark, source, same=True) if known.same(item, mark, found, source) else None


class Unread(NamedTuple):
    """An item whose content must be hashed: nothing that is known without reading it tells what it is."""

    item: Item
    stamp: str | None
    source: str | None


def look(taken: Taken, embedder: Embedder, known: Known) -> Digested | Unread:
    """What an item is, told without reading it: why it cannot go in, or that its row has the stamp its file has now."""
    item, source = taken
    try:
        if item.kind not in embedder.kinds:
            kinds = ", ".join(sorted(embedder.kinds))
            why = f"{embedder.spec} embeds {kinds}, and this is of kind {item.kind!r}"
            return Digested(item, None, error=why)
        check_storable(item)
        mark = stamp(item)  # before the file is read: should it change meanwhile, the next build sees another
        if mark is None or not known.stamped(item.id, mark):
            return Unread(item, mark, source)
        return Digested(item, None, mark, source, known.same(item, mark, None, source))
    except Exception as error:  # noqa: BLE001 - what a stranger's file sets off must end neither build nor worker
        return Digested(item, None, error=explain(error))


def hashed(seen: Unread, content: str, known: Known) -> Digested:
    """An item with the hash of its content."""
    same = known.same(seen.item, seen.stamp, content, seen.source)
    return Digested(seen.item, content, seen.stamp, seen.source, same)


def digest_item(taken: Taken, embedder: Embedder, known: Known) -> Digested:
    """Hash what would be embedded, unless the row there is has the stamp that the file has now."""
    seen = look(taken, embedder, known)
    if isinstance(seen, Digested):
        return seen
    try:
        return hashed(seen, content_hash(seen.item, embedder), known)
    except Exception as error:  # noqa: BLE001 - as above
        return Digested(seen.item, None, error=explain(error))


def prepare_work(work: Work, embedder: Embedder, *, thumbnails: bool) -> Work:
    """Decode an item that leads its content and make it ready for the model; nothing for the others."""
    if not work.leads:
        return work
    content, needs = work.content, embedder.needs
    try:
        loaded = load(work.item, size=needs.size, frames=needs.frames)
        check_storable(replace(work.item, text=loaded.text))
        content.text, content.times, content.warnings = loaded.text, loaded.times, loaded.warnings
        if thumbnails:
            content.thumbnail = _thumbnail(loaded)
        work.prepared = embedder.prepare(loaded)
    except Exception as error:  # noqa: BLE001 - as above: reported with its cause, and the rest goes on
        content.error = explain(error)
    work.item = replace(work.item, image=None)  # its pixels are in `prepared` now; a row holds none
    return work


def weight(item: Item, frames: int) -> int:
    """How much of a queue or batch an item takes, in images."""
    in_memory = item.image is not None and not isinstance(item.image, str | Path)
    return max(frames if item.kind == "video" else 1, IN_MEMORY_WEIGHT if in_memory else 1)


def explain(error: Exception) -> str:
    """A cause for the report: mmrank's own messages speak for themselves, others need the type."""
    return str(error) if isinstance(error, MmrankError) else f"{type(error).__name__}: {error}"


def _thumbnail(loaded: Loaded) -> bytes | None:
    """Of the picture, or of the frame in the middle."""
    image = loaded.frames[len(loaded.frames) // 2] if loaded.frames else loaded.image
    return None if image is None else thumbnail(image)
