"""What a scan does below an address: lists the files, and makes Items of them as if they lay on this machine."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from mmrank.errors import MediaError, MissingDependencyError, UsageError
from mmrank.media.exif import picture_meta
from mmrank.media.file_meta import FileMeta
from mmrank.media.kinds import kind_of
from mmrank.media.remote import RemoteFile, allow_remote, is_bucket, normal, remember, remote_file
from mmrank.media.remote_copies import by_own_name, held
from mmrank.media.remote_stores import AbsentError, store_for
from mmrank.media.uri import cut_fragment, item_id, path_uri, printable
from mmrank.types import Item, Kind, MetaValue

_LIBRARIES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs")}


def remote_root(uri: str) -> str:
    """An address that the caller gave to be scanned, which is thereby allowed.

    Raises `UsageError` for what is no address, `MissingDependencyError` when the library for it is not installed.
    """
    root = normal(uri)
    scheme = root.partition("://")[0]
    if scheme in _LIBRARIES and find_spec(_LIBRARIES[scheme][0]) is None:
        raise MissingDependencyError(*_LIBRARIES[scheme], f"reading {scheme}:// addresses")
    if cut_fragment(root)[1]:
        raise UsageError(f"{printable(uri)} names a part of a file; give the file, and all its parts are scanned.")
    allow_remote(root)
    return root


def remote_walk(
    root: str, *, recursive: bool, skipped: Counter[str], hidden: str, fail: Callable[[str, str], None]
) -> Iterator[tuple[RemoteFile, bool]]:
    """The files below an address, in the order of their names' bytes, and whether the file is the address itself.

    A listing is streamed, a thousand names at a time. Names that begin with a dot, anywhere below the root, are
    counted as `hidden` in `skipped`; marks of empty folders (names that end in ``/``) are passed over. What cannot be
    listed goes to `fail`.
    """
    try:
        itself = _itself(root)
        if itself is not None:
            remember(itself)
            yield itself, True
            return
        found = False
        for page in store_for(root).pages(root, recursive=recursive):
            found = found or bool(page)
            for file in page:
                below = file.uri[len(root) + 1 :]
                if file.uri.endswith("/"):
                    continue
                if any(part.startswith(".") for part in below.split("/")):
                    skipped[hidden] += 1
                elif cut_fragment(file.uri)[1]:
                    fail(file.uri, "its name ends like the mark of a part (#page=, #t=, ...); give it another one")
                else:
                    remember(file)
                    yield file, False
        if not found:
            fail(root, "nothing lies there: no file is called that, or begins with it")
    except MediaError as error:
        fail(root, str(error))


def _itself(root: str) -> RemoteFile | None:
    """The file at this very address; None where there is none, but perhaps a folder."""
    if "/" not in root.partition("://")[2]:
        if is_bucket(root):
            return None
        raise MediaError(f"{printable(root)} is a web server; give the addresses of files there.")
    try:
        return remote_file(root)
    except AbsentError:
        if is_bucket(root):
            return None
        raise


def plain_name(uri: str) -> str:
    """The address without what follows its file's name: ``?signature=...`` of a web address.

    >>> plain_name("https://host/a.jpg?x=1")
    'https://host/a.jpg'
    """
    return uri if is_bucket(uri) else uri.partition("?")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteItems:
    """Makes the Items of files that lie elsewhere, with what a scan does for files of this machine.

    `kinds`: those that are looked for. `suffixes`: of the tables and archives that are read, besides the kinds' own.
    `local`: gives the Items of a local file, by path, size and whether it was named itself. `id_of`: the id that a
    local file goes by. `reports`: the lists that `local` adds (uri, what) to. `metadata`: whether the size is kept.
    """

    kinds: Collection[Kind]
    suffixes: Collection[str]
    local: Callable[[str, int, bool], Iterator[Item]]
    id_of: Callable[[str], str]
    reports: tuple[list[tuple[str, str]], ...]
    metadata: bool

    def of(self, file: RemoteFile, *, named: bool) -> Iterator[Item]:
        """The Items of a remote file. Raises `MediaError` when it cannot be read.

        A picture is fetched when somebody looks at its metadata or pixels, not for this. What has to be opened to know
        its parts (PDFs, videos, texts, tables) is: its copy is worked on, and called by its own address.
        """
        name = plain_name(file.uri)
        kind = kind_of(name)
        if kind == "image" and kind in self.kinds:
            given: dict[str, MetaValue] = {"name": printable(posixpath.basename(name))}
            if self.metadata and file.size is not None:
                given["bytes"] = file.size
            meta = FileMeta(given, partial(_picture_meta, file.uri)) if self.metadata else given
            yield Item(id=item_id(file.uri), kind=kind, uri=file.uri, meta=meta)
        elif kind in self.kinds or (kind is None and name.lower().endswith(tuple(self.suffixes))):
            with held(file.uri) as copy, by_own_name(copy, file.uri):
                starts = [len(report) for report in self.reports]
                try:
                    for item in self.local(str(copy), file.size or 0, named):
                        yield _as_remote(item, copy, file.uri, self.id_of(str(copy)))
                finally:
                    for report, start in zip(self.reports, starts, strict=True):
                        _tell_of(report, start, copy, file.uri)
        else:  # it says why this is nothing to look for
            yield from self.local(name, file.size or 0, named)


def _picture_meta(uri: str) -> dict[str, MetaValue]:
    """What a picture's header says; nothing where it cannot be had: whoever wants the pixels says why."""
    try:
        with held(uri) as copy:
            return picture_meta(str(copy))
    except MediaError:
        return {}


def _as_remote(item: Item, copy: Path, uri: str, whole: str) -> Item:
    """The Item of a remote file, from that which its copy made. `whole`: the id that the copy goes by."""
    meta = item.meta
    if meta.get("name") == printable(copy.name):
        meta = {**meta, "name": printable(posixpath.basename(plain_name(uri)))}
    return replace(
        item,
        id=_moved(item.id, whole, item_id(uri)),
        uri=None if item.uri is None else _moved(item.uri, path_uri(copy), uri),
        parent=None if item.parent is None else _moved(item.parent, whole, item_id(uri)),
        meta=meta,
    )


def _tell_of(lines: list[tuple[str, str]], start: int, copy: Path, uri: str) -> None:
    """In what was reported from `start` on, call a remote file by its address instead of its copy's path."""
    lines[start:] = [
        (_moved(name, path_uri(copy), uri), why.replace(str(copy), printable(uri))) for name, why in lines[start:]
    ]


def _moved(text: str, old: str, new: str) -> str:
    """`text` with the beginning `old`, whole or up to a ``#``, replaced."""
    return new + text[len(old) :] if text == old or text.startswith(old + "#") else text
