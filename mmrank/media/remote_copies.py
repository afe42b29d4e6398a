"""Local copies of remote files while they are worked on: whole or not at all, on a bounded part of the disk.

Every decoder here (Pillow, PDFium, FFmpeg, Arrow) wants a file it can seek in. So a remote file is streamed, a block
at a time, into one temporary copy, which hashing, page counting and decoding share; copies that nobody holds go when
room is needed, the one least recently used first, and all of them when the process ends.
"""

from __future__ import annotations

import atexit
import hashlib
import posixpath
import re
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from mmrank.errors import MediaError
from mmrank.media.image import MAX_BYTES
from mmrank.media.kinds import kind_of
from mmrank.media.remote import RemoteFile, check_allowed, forget, remote_file
from mmrank.media.remote_stores import BLOCK_BYTES, store_for
from mmrank.media.remote_tries import TransientError, persistently
from mmrank.media.texts import MAX_TEXT_BYTES
from mmrank.media.uri import cause, cut_fragment, is_remote, path_uri, printable
from mmrank.types import Item

KEPT_BYTES = 2 << 30
"""What copies that nobody holds may take on disk. Those in use come on top: one a worker."""

MAX_FILE_BYTES = 16 << 30
"""Videos and tables larger than this are refused; pictures and texts at the limits they have as local files."""

TRANSFERS = 16
"""Files fetched at the same moment, whoever asks: as many as a build has workers at most."""

_NAME = re.compile(r"[^A-Za-z0-9._-]")
_transfers = threading.BoundedSemaphore(TRANSFERS)


@dataclass(slots=True, eq=False)
class _Copy:
    path: Path
    holders: int = 0
    bytes: int = 0
    ready: Future[None] = field(default_factory=Future)


class Copies:
    """Temporary copies under one folder. Thread-safe: who asks for what is on its way waits for it."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._copies: OrderedDict[tuple[str, str | None], _Copy] = OrderedDict()
        self._lock = threading.Lock()
        self._folder: Path | None = None

    @contextmanager
    def held(self, uri: str) -> Iterator[Path]:
        """The copy of a remote file, which stays until the block ends. Raises `MediaError` when it cannot be had."""
        address = cut_fragment(uri)[0]
        check_allowed(address)
        file = remote_file(address)
        _check_size(file)
        with self._lock:
            copy = self._copies.get((address, file.stamp))
            ours = copy is None
            if copy is None:
                copy = self._copies[(address, file.stamp)] = _Copy(path=self._place(address, file))
            copy.holders += 1
            self._copies.move_to_end((address, file.stamp))
        try:
            if ours:
                self._fetch(copy, file)
            copy.ready.result()
            yield copy.path
        finally:
            with self._lock:
                copy.holders -= 1
                if file.stamp is None or (copy.ready.done() and copy.ready.exception()):
                    self._drop((address, file.stamp), copy)
                self._make_room()

    def _fetch(self, copy: _Copy, file: RemoteFile) -> None:
        try:
            copy.path.parent.mkdir(parents=True, exist_ok=True)
            with _transfers:
                copy.bytes = _download(file, copy.path)
            copy.ready.set_result(None)
        except BaseException as error:  # noqa: BLE001 - handed to everyone who waits, this caller included
            forget(file.uri)
            copy.ready.set_exception(error)

    def _place(self, address: str, file: RemoteFile) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="mmrank-remote-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        folder = hashlib.blake2b(f"{address}\n{file.stamp}".encode(), digest_size=12).hexdigest()
        return self._folder / folder / (_NAME.sub("_", address.rpartition("/")[2])[-100:] or "_")

    def address_of(self, copy: Path) -> str | None:
        """The address that a file is a copy of; None for a file that is none."""
        if self._folder is None or copy.parent.parent != self._folder:
            return None
        with self._lock:
            return next((key[0] for key, one in self._copies.items() if one.path == copy), None)

    def _drop(self, key: tuple[str, str | None], copy: _Copy) -> None:
        if copy.holders == 0 and self._copies.get(key) is copy:
            del self._copies[key]
            shutil.rmtree(copy.path.parent, ignore_errors=True)

    def _make_room(self) -> None:
        total = sum(copy.bytes for copy in self._copies.values())
        for key, copy in list(self._copies.items()) if total > self._kept_bytes else ():
            if total <= self._kept_bytes:
                return
            if copy.holders == 0:
                total -= copy.bytes
                self._drop(key, copy)


_copies = Copies()


@contextmanager
def held(uri: str) -> Iterator[Path]:
    """A local copy of a remote file for as long as the block lasts; see `Copies.held`."""
    with _copies.held(uri) as path:
        yield path


def beside(table: Path, name: str) -> str | None:
    """The address that a table means by a relative path, when the table is a copy of a remote one; else None.

    It counts from the table's own folder and stays in its bucket or host. Whether it may be fetched is another matter.
    """
    address = _copies.address_of(table)
    if address is None:
        return None
    scheme, _, place = address.partition("://")
    host, _, key = place.partition("/")
    return f"{scheme}://{host}{posixpath.normpath(posixpath.join('/', posixpath.dirname(key), name))}"


@contextmanager
def at_hand(item: Item) -> Iterator[Item]:
    """The Item with what must be read of it on this machine: itself when it is local, else with the copies' places.

    In what goes wrong inside, the file is called by its own address.
    """
    name, uri = _read_from(item)
    if not is_remote(uri):
        yield item
        return
    address, fragment = cut_fragment(str(uri))
    with held(address) as path, by_own_name(path, address):
        place = path_uri(path, fragment)
        yield replace(item, image=place) if name == "image" else replace(item, uri=place)


@contextmanager
def by_own_name(path: Path, address: str) -> Iterator[None]:
    """Where a `MediaError` names the copy, put the address it was copied from."""
    try:
        yield
    except MediaError as error:
        raise type(error)(str(error).replace(str(path), printable(address))) from error


def _read_from(item: Item) -> tuple[str, object]:
    """Which of an Item's fields is opened to embed it, and what is in it."""
    if item.kind == "text":
        return "uri", item.uri if item.text is None else None
    return ("uri", item.uri) if item.image is None else ("image", item.image)


def _check_size(file: RemoteFile) -> None:
    kind = kind_of(file.uri)
    limit = {"image": MAX_BYTES, "text": MAX_TEXT_BYTES}.get(kind or "", MAX_FILE_BYTES)
    if file.size is not None and file.size > limit:
        raise MediaError(
            f"{printable(file.uri)} has {file.size:,} bytes; at most {limit:,} are fetched of such a file."
        )


def _download(file: RemoteFile, place: Path) -> int:
    """Stream a file into its copy; a broken transfer goes on where it broke. The number of bytes, checked.

    An answer shorter than the store announced is transient: tried again, then an error; half a file is never used.
    """
    try:
        with place.open("wb") as out:
            persistently(file.uri, lambda: _pour(file, out))
            count = out.tell()
    except OSError as error:
        raise MediaError(
            f"{printable(file.uri)} cannot be copied to {place.parent.parent}: {cause(error)}. Give a folder with room "
            "in TMPDIR."
        ) from error
    if count > BLOCK_BYTES:  # it came in several answers, which must be of one and the same file
        forget(file.uri)
        if remote_file(file.uri).stamp != file.stamp:
            raise _changed(file, count)
    return count


def _pour(file: RemoteFile, to: BinaryIO) -> None:
    """Put what is still missing behind what is there. As long as whole blocks come, trouble counts as none."""
    while True:
        before = to.tell()
        try:
            _append(file, to)
            return
        except TransientError:
            if to.tell() - before < BLOCK_BYTES:
                raise


def _append(file: RemoteFile, to: BinaryIO) -> None:
    for block in store_for(file.uri).blocks(file, to.tell()):
        to.write(block)
        if file.size is None and to.tell() > MAX_FILE_BYTES:
            raise MediaError(f"{printable(file.uri)} has more than {MAX_FILE_BYTES:,} bytes; no more are fetched.")
        if file.size is not None and to.tell() > file.size:
            raise _changed(file, to.tell())
    if file.size is not None and to.tell() < file.size:
        raise TransientError(f"only {to.tell():,} of its {file.size:,} bytes came")


def _changed(file: RemoteFile, count: int) -> MediaError:
    return MediaError(f"{printable(file.uri)} changed while it was read ({count:,} bytes came). Run it again.")
