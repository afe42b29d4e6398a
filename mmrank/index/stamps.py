"""What a row was last read from, told without opening anything: the size and the time of its file.

A stamp stands for a content hash: same stamp, same content. It is written with the row, in a column of its own, and
compared with `os.stat` before anything is opened. What it cannot show is a file that was overwritten with other bytes
of the same length and then given its old time back; ``verify=True`` hashes all files whatever their stamps say.

A file that was changed less than `UNSETTLED` seconds ago gets no stamp: it may be written once more within the same
tick of its clock and would look as it did (git's "racy" index entries, Documentation/technical/racy-git). The next
build hashes it again, finds it unchanged and keeps a stamp then.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmrank.errors import MediaError
from mmrank.index.commit import until_committed
from mmrank.index.schema import SOURCE, STAMP
from mmrank.media.file_meta import FileMeta
from mmrank.media.remote import stamp_of
from mmrank.media.uri import is_remote, split_uri
from mmrank.types import Item

UNSETTLED = 2.0
"""Seconds: the coarsest clock of a file system in use is FAT's, which ticks every other second."""

_HASH_BYTES = 8


def stamp(item: Item) -> str | None:
    """What content and metadata of an item can be told by: size and time of its file, and what was given besides.

    ``KINDandPLACE:SIZE:TIME|METADATA``, the first and the last as hashes; of a file in a store its ETag stands for the
    time. The last is empty but for items whose file is opened only when somebody looks at their metadata (`FileMeta`):
    there it stands for what is known without, so that two equal stamps mean equal metadata too.

    None where content was given (text, bytes), the file cannot be looked at, or it was changed just now.

    >>> stamp(Item(id="n", kind="text", text="a note")) is None
    True
    """
    place = _place(item)
    told = None if place is None else _told(place)
    if place is None or told is None:
        return None
    given = _hash(item.kind, place, item.text)
    meta = item.meta
    sealed = _hash(meta.seal) if isinstance(meta, FileMeta) else ""
    return f"{given}:{told}|{sealed}"


def content_part(stamp: str) -> str:
    """The part of a stamp that the content is told by, without what it says of metadata.

    >>> content_part("0123456789abcdef:12:99|fedcba9876543210")
    '0123456789abcdef:12:99'
    """
    return stamp.rpartition("|")[0]


def settled(status: os.stat_result, now: float) -> bool:
    """Whether another write from `now` on (seconds since 1970) must change the file's time.

    Not while its time is within `UNSETTLED` of now. A time in the future is as good as one in the past when the file
    system itself last touched the file long enough ago; Windows has no such time.
    """
    changed = status.st_mtime if sys.platform == "win32" else min(status.st_mtime, status.st_ctime)
    return changed <= now - UNSETTLED


def local_path(uri: str | None) -> str | None:
    """The local path behind a uri, None where there is none.

    >>> local_path("/a/report.pdf#page=2"), local_path("https://example.org/a.jpg")
    ('/a/report.pdf', None)
    """
    if uri is None:
        return None
    try:
        return split_uri(uri).path
    except MediaError:  # a web address: not a file of ours
        return None


def keep_columns(table: Any) -> None:
    """Add the columns of stamps and sources, null, to the `items` of an index that an older mmrank made."""

    def write() -> None:
        missing = [pa.field(name, pa.string()) for name in (STAMP, SOURCE) if name not in table.schema.names]
        if missing:
            table.add_columns(missing)

    until_committed(table, write)


def mark(table: Any, marks: dict[str, tuple[str | None, str | None]]) -> None:
    """Put other stamps and sources on rows that are there, by id, and touch nothing else of them; one commit.

    Ids without a row are passed over: another process has removed it.
    """
    if not marks:
        return
    schema = pa.schema([table.schema.field(name) for name in ("id", STAMP, SOURCE)])
    stamps, sources = zip(*marks.values(), strict=True)
    rows = pa.table(
        [pa.array(list(marks)), pa.array(stamps, pa.string()), pa.array(sources, pa.string())], schema=schema
    )
    until_committed(table, lambda: table.merge_insert("id").when_matched_update_all().execute(rows))


def _place(item: Item) -> str | None:
    """The uri that an item's content is read from; None where it was given."""
    if item.kind == "text" and item.text is not None:
        return None
    source = item.uri if item.image is None or item.kind == "text" else item.image
    return str(source) if isinstance(source, str | Path) else None


def _told(place: str) -> str | None:
    """Size and time, or ETag, of the file behind a uri; None where it cannot be told by them."""
    if is_remote(place):
        return stamp_of(place)
    try:
        status = os.stat(split_uri(place).path)  # noqa: PTH116 - once for every file of a collection: no Path object
    except (OSError, ValueError, MediaError):  # whoever opens it says why it cannot be
        return None
    if not stat.S_ISREG(status.st_mode) or not settled(status, time.time()):
        return None
    return f"{status.st_size}:{status.st_mtime_ns}"


def _hash(*parts: str | None) -> str:
    total = hashlib.blake2b(digest_size=_HASH_BYTES)
    for part in parts:  # lengths keep "ab" + "c" apart from "a" + "bc", and nothing from the empty text
        text = b"-" if part is None else part.encode("utf-8", "surrogatepass")
        total.update(b"%d:" % len(text) + text)
    return total.hexdigest()
