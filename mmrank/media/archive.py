"""Tar files, read where they lie: their members in order, and one of them again later. Nothing is unpacked to disk.

Of a plain ``.tar`` a member's bytes are found by their place; the places of all members are read once, by their
headers alone, and kept while the file does not change. A ``.tar.gz`` has to be decompressed up to the member.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mmrank.errors import MediaError
from mmrank.media.once import FileKey, OnceCache, file_key
from mmrank.media.uri import cause, printable, regular_file

MEMBER_BYTES = 1 << 30
"""Larger members are reported and passed over: they are opened in memory."""

SKIPPED_BYTES = 64 << 30
"""A compressed archive with a member that claims more is not read on: a few megabytes can claim petabytes."""

KEPT_ARCHIVES = 16
"""Archives whose members' places are kept, about 200 bytes a member."""

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_ODD = (EOFError, OSError, tarfile.TarError, zlib.error, ValueError, MemoryError, OverflowError)


class Place(NamedTuple):
    """Where the bytes of a member lie in the archive, once decompressed."""

    offset: int
    size: int


class Member(NamedTuple):
    """A regular file in an archive: its name, its place, and what is wrong with it where something is."""

    name: str
    place: Place
    trouble: str | None = None


_places: OnceCache[FileKey, Mapping[str, Place]] = OnceCache(KEPT_ARCHIVES)


def is_archive(path: str | Path) -> bool:
    """Whether a file is taken for a tar archive, by its suffix.

    >>> is_archive("train-0001.tar"), is_archive("a.TGZ"), is_archive("a.zip")
    (True, True, False)
    """
    return str(path).lower().endswith(ARCHIVE_SUFFIXES)


class Archive:
    """An open archive: `members` in order, and `read` for the one that has just come, or (uncompressed) any."""

    def __init__(self, path: str | Path, tar: tarfile.TarFile, size: int) -> None:
        self.path = path
        self._tar = tar
        self._size = size
        self.compressed = not str(path).lower().endswith(".tar")

    def members(self) -> Iterator[Member]:
        """Regular files in order, those with a `trouble` too. Links, devices and folders are no files: links and
        devices come with a trouble, folders not at all. Raises `MediaError` when the archive breaks off."""
        seen: set[str] = set()
        while (info := self._tar.next()) is not None:
            self._tar.members = []  # type: ignore[attr-defined]  # it keeps all of them otherwise
            if info.isdir():
                continue
            place = Place(info.offset_data, info.size)
            trouble = _trouble(info)
            if trouble is None and info.name in seen:
                trouble = "the archive has this name twice; the first one counts"
            seen.add(info.name)
            yield Member(info.name, place, trouble)
            if self.compressed and info.size > SKIPPED_BYTES:
                raise MediaError(f"{printable(self.path)} is not read on: a member claims {info.size:,} bytes.")
        self._check_end()

    def read(self, place: Place) -> bytes:
        """The bytes at a place. Raises `MediaError` when there are fewer."""
        file = self._tar.fileobj
        assert file is not None
        file.seek(place.offset)
        content: bytes = file.read(place.size)
        if len(content) < place.size:
            raise MediaError(f"{printable(self.path)} is truncated: it ends before its member does.")
        return content

    def _check_end(self) -> None:
        """tarfile takes a header it cannot read for the end, and that is a block of zeros or the end of the file."""
        file, at = self._tar.fileobj, self._tar.offset
        assert file is not None
        file.seek(at)
        block = file.read(tarfile.BLOCKSIZE)
        if block.strip(b"\0"):
            raise MediaError(f"{printable(self.path)} is damaged at byte {at:,}: there is no member's header.")


@contextmanager
def open_archive(path: str | Path) -> Iterator[Archive]:
    """Open a tar file. Raises `MediaError` when it is none, is damaged or cut off, here or while it is read."""
    size = regular_file(path).st_size
    try:
        with tarfile.open(path, "r:" if str(path).lower().endswith(".tar") else "r:gz") as tar:
            yield Archive(path, tar, size)
    except MediaError:
        raise
    except _ODD as error:
        raise MediaError(f"{printable(path)} cannot be read as a tar archive: {cause(error)}.") from error


def read_member(path: str | Path, name: str) -> bytes:
    """The bytes of one member. Raises `MediaError` when the archive cannot be read or has no such member.

    Thread-safe: every call opens the archive for itself.
    """
    key = file_key(path, regular_file(path))
    place = _places.get(key, lambda: _all_places(path)).get(name)
    if place is None:
        raise MediaError(f"{printable(path)} has no member {printable(name)!r} that can be opened.")
    with open_archive(path) as archive:
        return archive.read(place)


def _all_places(path: str | Path) -> Mapping[str, Place]:
    with open_archive(path) as archive:
        return {member.name: member.place for member in archive.members() if member.trouble is None}


def _trouble(info: tarfile.TarInfo) -> str | None:
    if info.issym() or info.islnk():
        return "it is a link, and links in archives are not followed"
    if not info.isreg() or info.issparse():
        return "it is a device, a pipe or sparse, not a plain file"
    parts = info.name.replace("\\", "/").split("/")
    if info.name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        return "its name leads out of the archive (absolute, or with ..)"
    if info.size > MEMBER_BYTES:
        return f"it has {info.size:,} bytes; at most {MEMBER_BYTES:,} are read of a member"
    return None
