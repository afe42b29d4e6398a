"""Names of things: uris, ids, and the local files behind them.

A **uri** is a plain path wherever that says it all: ``/photos/a cat.jpg``, ``report.pdf#page=3``,
``clip.mp4#t=10,20``. A path that a UTF-8 string column cannot hold (a name in another encoding), or that
ends in something that reads like a fragment, is written ``file:///...`` with its raw bytes
percent-encoded. So ``%`` is an ordinary character in a plain path and an escape after ``file://``,
and every uri leads back to exactly the bytes the file system knows.

What lies inside another file is named by it: ``shard.tar#member=000017.jpg`` (the member's name percent-encoded),
``table.parquet#row=17&column=image``. A page or span of that follows: ``shard.tar#member=clip.mp4&t=10,20``.
"""

from __future__ import annotations

import math
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from mmrank.errors import MediaError

_WORD = r"[!\"$%'-~]+"
"""Printable ASCII without ``#``, ``&`` and white space."""
_INSIDE = re.compile(rf"member={_WORD}|row=\d+&column={_WORD}")
_PART = r"page=\d+|t=[\d.:,npt]+|chunk=\d+"
_FRAGMENT = re.compile(rf"#((?:{_INSIDE.pattern})(?:&(?:{_PART}))?|{_PART}|row=\d+)$")
"""Only these are fragments; any other ``#`` belongs to the name (``C# notes.md``)."""

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
_REMOTE = re.compile(r"^(s3|gs|https?)://", re.IGNORECASE)
_SAFE = "/:@!$&'()*+,;=[]"
"""Kept as they are in ids, besides letters, digits and ``_.-~``. ``%``, ``#`` and white space never are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A local path and the part of the file that is meant.

    `path` is as the file system knows it (surrogateescape for bytes that are not UTF-8); `fragment` is the
    text after ``#``, empty for the whole file. Pages, chunks and rows count from 1; `span` is (start, end)
    in seconds, end may be infinite.

    >>> where = split_uri("shard.tar#member=a%20clip.mp4&t=10,20")
    >>> where.member, where.part, where.span
    ('a clip.mp4', 't=10,20', (10.0, 20.0))
    """

    path: str
    fragment: str = ""

    @property
    def inside(self) -> str:
        """The part of the fragment that names bytes inside the file: a member or a cell; empty when there is none."""
        found = _INSIDE.match(self.fragment)
        return found.group() if found else ""

    @property
    def part(self) -> str:
        """The part of the fragment that names a page, a span or a chunk of the medium, wherever that lies."""
        return self.fragment[len(self.inside) :].removeprefix("&")

    @property
    def member(self) -> str | None:
        """The name of a member of an archive."""
        return _unquoted(self.inside[7:]) if self.inside.startswith("member=") else None

    @property
    def cell(self) -> tuple[int, str] | None:
        """(row from 1, column) of a table's cell that holds the bytes."""
        if not self.inside.startswith("row="):
            return None
        row, _, column = self.inside[4:].partition("&column=")
        return int(row), _unquoted(column)

    @property
    def page(self) -> int | None:
        return self._number("page=")

    @property
    def chunk(self) -> int | None:
        return self._number("chunk=")

    @property
    def span(self) -> tuple[float, float] | None:
        """The span of ``t=start,end`` (W3C media fragments: ``t=10``, ``t=,20``, ``t=npt:0:10,0:20`` too)."""
        if not self.part.startswith("t="):
            return None
        start, _, end = self.part[2:].removeprefix("npt:").partition(",")
        try:
            span = (_clock(start) if start else 0.0, _clock(end) if end else math.inf)
        except ValueError as error:
            raise MediaError(
                f"{printable(self.path)}#{self.fragment}: a span is written #t=START,END in seconds, such as #t=10,20."
            ) from error
        if span[0] >= span[1]:
            raise MediaError(f"{printable(self.path)}#{self.fragment}: the span ends before it starts.")
        return span

    def _number(self, name: str) -> int | None:
        return int(self.part.removeprefix(name)) if self.part.startswith(name) else None


def member_fragment(name: str) -> str:
    """The fragment that names a member of an archive.

    >>> member_fragment("a b.jpg")
    'member=a%20b.jpg'
    """
    return "member=" + _quoted(name)


def cell_fragment(row: int, column: str) -> str:
    """The fragment that names a cell of a table; rows count from 1.

    >>> cell_fragment(17, "image")
    'row=17&column=image'
    """
    return f"row={row}&column={_quoted(column)}"


def _quoted(name: str) -> str:
    return quote(name.encode("utf-8", "surrogateescape"), safe=_SAFE.replace("&", ""))


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def _clock(text: str) -> float:
    """Seconds of ``12.5``, ``1:05`` or ``1:02:03``."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def split_uri(uri: str | Path) -> Location:
    """The local file and the fragment a uri names.

    Raises `MediaError` for anything that is not local: nothing is ever fetched.

    >>> split_uri("report.pdf#page=3").page
    3
    >>> split_uri("file:///tmp/a%20b.jpg").path
    '/tmp/a b.jpg'
    """
    text = str(uri)
    scheme = _SCHEME.match(text)
    path, fragment = cut_fragment(text)
    if scheme is None:
        return Location(path=path, fragment=fragment)
    if scheme.group(1).lower() != "file":
        raise MediaError(
            f"{printable(text)} is not a local file, and mmrank fetches nothing by itself. "
            "Download it and give the path, or pass the bytes as Item(image=...)."
        )
    host, slash, rest = path[len(scheme.group(0)) :].partition("/")
    if host not in ("", "localhost"):
        raise MediaError(f"{printable(text)} lies on the host {host!r}; only file:///absolute/path is allowed.")
    return Location(path=os.fsdecode(unquote_to_bytes(slash + rest)), fragment=fragment)


def cut_fragment(uri: str) -> tuple[str, str]:
    """A uri, local or remote, without its fragment, and the fragment.

    >>> cut_fragment("s3://bucket/report.pdf#page=3")
    ('s3://bucket/report.pdf', 'page=3')
    """
    found = _FRAGMENT.search(uri)
    return (uri[: found.start()], found.group(1)) if found else (uri, "")


def path_uri(path: str | Path, fragment: str = "") -> str:
    """The uri of a path: the path itself where that is unambiguous UTF-8, else percent-encoded ``file://``.

    >>> path_uri("/a/clip.mp4", "t=10,20")
    '/a/clip.mp4#t=10,20'
    """
    text = str(path)
    if not is_remote(text) and (not is_utf8(text) or _FRAGMENT.search(text) or _SCHEME.match(text)):
        text = "file://" + quote(os.fsencode(Path(text).absolute()), safe=_SAFE)
    return f"{text}#{fragment}" if fragment else text


def item_id(uri: str | Path) -> str:
    """The id that goes with a uri: percent-encoded ASCII without white space, safe in TREC files.

    Different files have different ids; the fragment stays readable.

    >>> item_id("/my photos/a cat.jpg"), item_id("report.pdf#page=3")
    ('/my%20photos/a%20cat.jpg', 'report.pdf#page=3')
    """
    text = str(uri)
    scheme = _SCHEME.match(text)
    if scheme and scheme.group(1).lower() in ("s3", "gs"):  # keys are plain names, as paths are
        key, fragment = cut_fragment(text)
        encoded = quote(key.encode("utf-8", "surrogateescape"), safe=_SAFE)
        return f"{encoded}#{fragment}" if fragment else encoded
    if scheme and scheme.group(1).lower() != "file":
        return quote(text.encode("utf-8", "surrogateescape"), safe=_SAFE + "%#?")
    where = split_uri(text)
    encoded = quote(os.fsencode(where.path), safe=_SAFE)
    return f"{encoded}#{where.fragment}" if where.fragment else encoded


def is_remote(uri: object) -> bool:
    """Whether this is an address of a file that lies elsewhere: ``s3://``, ``gs://``, ``https://`` or ``http://``.

    >>> is_remote("s3://bucket/a.jpg"), is_remote("/photos/a.jpg"), is_remote("file:///a.jpg")
    (True, False, False)
    """
    return isinstance(uri, str) and _REMOTE.match(uri) is not None


def is_utf8(text: str) -> bool:
    """False for names that hold surrogates, which is how Python shows bytes that are not UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def printable(path: str | Path) -> str:
    """A path for messages and string columns: bytes that are not UTF-8 are shown as ``\\xff``."""
    try:
        return os.fsencode(str(path)).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate that no file name can hold: it came from elsewhere
        return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def describe(source: object) -> str:
    """How a message names what it was given: the path, or what kind of object it is."""
    if isinstance(source, str | Path):
        return printable(source)
    if isinstance(source, bytes):
        return f"<{len(source):,} bytes>"
    return f"<{type(source).__name__}>"


def regular_file(path: str | Path) -> os.stat_result:
    """The status of a readable, non-empty regular file; `MediaError` that names the cause otherwise.

    Pipes and devices are refused before they are opened: reading one could block forever.
    """
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise MediaError(f"{printable(path)} cannot be opened: {cause(error)}.") from error
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"{printable(path)} is a folder; give a file, or mmrank.scan(folder) for all of them.")
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{printable(path)} is a device, pipe or socket, not a regular file.")
    if status.st_size == 0:
        raise MediaError(f"{printable(path)} is empty (0 bytes).")
    return status


def cause(error: BaseException) -> str:
    """The short reason of an exception, without the paths an OSError repeats."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().rstrip(".") or type(error).__name__
