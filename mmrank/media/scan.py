"""Files and folders to Items, lazily, never dying on a file."""

# ruff: noqa: PTH100, PTH111, PTH112, PTH114, PTH115, PTH116, PTH118, PTH119, PTH120, PTH122, PTH208
# Strings and os.path: a walk over two million files makes no Path objects.

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from mmrank.errors import MediaError, UsageError
from mmrank.media.beside import Beside
from mmrank.media.containers import CONTAINER_SUFFIXES, Containers, is_container
from mmrank.media.file_items import FileItems
from mmrank.media.kinds import kind_of
from mmrank.media.remote_walk import RemoteItems, remote_walk
from mmrank.media.rows import Note
from mmrank.media.scan_options import checked_kinds, root_of
from mmrank.media.texts import CHUNK_CHARACTERS
from mmrank.media.uri import cause, is_remote, item_id, path_uri, printable
from mmrank.types import Item, Kind

SPAN_SECONDS = 30.0
"""Length of the spans a long video is cut into: about the length of the clips that retrieval models were trained on."""

HIDDEN, SEEN, SPECIAL = "(hidden)", "(folder seen before)", "(device, pipe or socket)"
"""What `Scan.skipped` counts besides suffixes."""


def scan(
    paths: str | Path | Iterable[str | Path],
    kinds: Collection[Kind] | Kind | None = None,
    *,
    recursive: bool = True,
    span_seconds: float | None = SPAN_SECONDS,
    chunk_characters: int = CHUNK_CHARACTERS,
    base: str | Path | None = None,
    metadata: bool = True,
    sidecars: bool = True,
    columns: Mapping[str, str | None] | None = None,
) -> Scan:
    """Items for files and for everything below folders; a lazy iterable that can be iterated again.

    Images are one Item each. PDFs become pages (``report.pdf#page=3``), videos longer than one and a half
    `span_seconds` spans of about that length (``clip.mp4#t=30,60``; None: never), texts longer than
    `chunk_characters` chunks (``notes.md#chunk=2``), rows of JSONL, CSV, TSV, Parquet and Arrow files Items with
    metadata (`mmrank.media.rows`), samples of WebDataset's tar files likewise (`mmrank.media.shards`), and folders of
    Hugging Face ``datasets`` what they hold. Parts carry the id of the whole as `parent`.

    `columns`: which column of a table plays which part, where its name does not say so: ``{"image": "photo_path",
    "id": "sku"}``; the parts are in `mmrank.media.columns`.

    `meta` holds the file's name and, with `metadata`, what the file says of itself: size, time, place, camera, length,
    title (docs/scan.md has the table). A picture's header is read when somebody looks into `meta`, not before. With
    `sidecars`, what lies beside a picture, video or PDF belongs to it: captions (``a.txt``, ``a.jpg.txt``), metadata
    (``a.json``, ``a.jpg.json``, Google's export) and subtitles (``a.srt``, ``a.vtt``, ``a.en.srt``), of which every
    span gets what is said in it. A caption is no Item of its own, unless its picture is not of the `kinds`.

    `paths`: one or several; ``~`` is expanded, uris come out absolute. Addresses (``s3://bucket/photos``, ``gs://...``,
    ``https://host/a.jpg``) are read where they are: docs/stores.md. `kinds`: only these. `recursive`: also folders
    in folders. `base`: write ids (not uris) relative to this folder, for collections that move.

    Folders are walked in sorted order, links followed, no folder twice. Hidden files are skipped, as are
    suffixes that mean nothing here; both are counted in ``scan.skipped``. What cannot be read is listed in
    ``scan.failures`` as (uri, why) and the walk goes on; ``scan.warnings`` lists sidecars that could not be read, and
    whose files came without them. Memory grows with the largest single folder (its names,
    about 100 bytes each), not with the tree.

    Raises `UsageError` at once when a path does not exist or an option cannot be meant.

    >>> items = scan("~/Pictures", kinds=["image"])        # doctest: +SKIP
    >>> for item in items: print(item.uri)                 # doctest: +SKIP
    >>> items.failures, items.skipped                      # doctest: +SKIP
    """
    return Scan(
        paths,
        kinds,
        recursive=recursive,
        span_seconds=span_seconds,
        chunk_characters=chunk_characters,
        base=base,
        metadata=metadata,
        sidecars=sidecars,
        columns=columns,
    )


class Scan:
    """What `scan` gives. `failures`, `warnings` and `skipped` belong to the latest iteration and grow while it runs."""

    def __init__(
        self,
        paths: str | Path | Iterable[str | Path],
        kinds: Collection[Kind] | Kind | None,
        *,
        recursive: bool,
        span_seconds: float | None,
        chunk_characters: int,
        base: str | Path | None,
        metadata: bool,
        sidecars: bool,
        columns: Mapping[str, str | None] | None = None,
    ) -> None:
        self.failures: list[tuple[str, str]] = []
        self.warnings: list[tuple[str, str]] = []
        self.skipped: Counter[str] = Counter()
        self._roots = [root_of(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        self._kinds = checked_kinds(kinds)
        self._recursive = recursive
        self._sidecars = sidecars
        self._beside: set[int] = set()
        self._base = None if base is None else os.path.abspath(os.path.expanduser(base))
        if span_seconds is not None and not span_seconds > 0:
            raise UsageError(f"span_seconds is {span_seconds}; it must be above 0, or None to keep videos whole.")
        if chunk_characters < 1:
            raise UsageError(f"chunk_characters is {chunk_characters}; it must be at least 1.")
        self._containers = Containers(columns, span_seconds)
        self._containers.check([root for root in self._roots if not is_remote(root)])
        self.source: str | None = None
        """The table or archive whose Items come at this moment."""
        self._files = FileItems(
            id_of=self.id_of,
            warn=lambda uri, what: self.warnings.append((uri, what)),
            span_seconds=span_seconds,
            chunk_characters=chunk_characters,
            metadata=metadata,
        )

    @property
    def roots(self) -> tuple[str, ...]:
        """The absolute paths that are scanned, as the caller gave them."""
        return tuple(dict.fromkeys(self._roots))

    def is_sidecar(self, path: str) -> bool:
        """Whether this file came with the one that it lies beside, and made no Item of its own."""
        return hash(path) in self._beside

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of Item that are looked for."""
        return self._kinds

    def __iter__(self) -> Iterator[Item]:
        self.failures = []
        self.warnings = []
        self.skipped = Counter()
        self._beside = set()
        self._containers.begin()
        given = set(self._roots)
        seen: set[tuple[int, int]] = set()
        known = ("", _NO_SIDECARS)  # the folder of the last named file: a shell names all files of one, one by one
        for root in dict.fromkeys(self._roots):
            if is_remote(root):
                yield from self._elsewhere(root)
            elif os.path.isdir(root):
                for path, size, beside in self._walk(root, seen):
                    if path not in given and not self._containers.claims(path):
                        yield from self._items(path, size, beside)
            else:
                folder = os.path.dirname(root)
                if folder != known[0]:
                    known = (folder, self._beside_named(folder, given))
                yield from self._items(root, _size(root), known[1], named=True)

    def _elsewhere(self, root: str) -> Iterator[Item]:
        """The Items of what lies at an address, or below it; sidecars are not looked for there."""
        remote = RemoteItems(
            kinds=self._kinds,
            suffixes=CONTAINER_SUFFIXES,
            local=lambda path, size, named: self._items(path, size, _NO_SIDECARS, named=named),
            id_of=self.id_of,
            reports=(self.failures, self.warnings),
            metadata=self._files.metadata,
        )
        files = remote_walk(root, recursive=self._recursive, skipped=self.skipped, hidden=HIDDEN, fail=self._fail)
        for file, named in files:
            try:
                for item in remote.of(file, named=named):
                    if self.source is not None:  # it is the copy that is read, and the file that it is a copy of
                        self.source = file.uri
                    yield item
            except MediaError as error:
                self._fail(file.uri, str(error))

    def _walk(self, root: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, int, Beside]]:
        """Regular files below `root`, depth first, each folder's names in the order of their bytes; their sizes, and
        what lies beside them."""
        stack = [(root, *self._names(root, seen))]
        while stack:
            folder, names, beside = stack[-1]
            if not names:
                stack.pop()
                continue
            name = names.pop()
            path = os.path.join(folder, name)
            if name.startswith("."):
                self.skipped[HIDDEN] += 1
                continue
            try:
                status = os.stat(path)  # follows links; a loop of links is an OSError
            except OSError as error:
                self._fail(path, _link_trouble(path, error))
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status.st_size, beside
            elif stat.S_ISDIR(status.st_mode):
                if self._recursive:
                    stack.append((path, *self._names(path, seen)))
            else:
                self.skipped[SPECIAL] += 1

    def _names(self, folder: str, seen: set[tuple[int, int]]) -> tuple[list[str], Beside]:
        """The names in a folder, last first; none when it was visited before (a link loop) or cannot be listed."""
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                self.skipped[SEEN] += 1
                return [], _NO_SIDECARS
            seen.add((status.st_dev, status.st_ino))
            names, gone = self._containers.enter(folder, sorted(os.listdir(folder), key=os.fsencode, reverse=True))
            for path, why in gone:
                self._fail(path, why)
            return names, Beside(names, self._kinds) if self._sidecars else _NO_SIDECARS
        except OSError as error:
            self._fail(folder, f"the folder cannot be listed: {cause(error)}")
            return [], _NO_SIDECARS

    def _beside_named(self, folder: str, given: Collection[str]) -> Beside:
        """What lies beside the files of a folder that were named. A text named without its picture is itself."""
        try:
            names = os.listdir(folder) if self._sidecars else []
        except OSError:  # a file may be read in a folder that may not be listed
            return _NO_SIDECARS
        named = (name for name in names if not kind_of(name) or os.path.join(folder, name) in given)
        texts = (name for name in names if name.lower().endswith(".txt"))
        return Beside({*named, *texts}, self._kinds)

    def _items(self, path: str, size: int, beside: Beside, *, named: bool = False) -> Iterator[Item]:
        """The Items of one file; trouble goes to `failures`."""
        suffix = os.path.splitext(path)[1].lower()
        kind = kind_of(path)
        name = os.path.basename(path)
        if beside.is_sidecar(name):
            self._beside.add(hash(path))
            return  # it comes with the file it belongs to
        if kind is None and not is_container(path):
            if named:
                self._fail(path, f"files of type {printable(suffix) or 'no suffix'} cannot be searched")
            else:
                self.skipped[printable(suffix) or "(no suffix)"] += 1
            return
        if kind is not None and kind not in self._kinds:
            self.skipped[suffix] += 1
            return
        try:
            yield from self._rows(path) if kind is None else self._files.of(path, kind, size, beside.of(name))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's file sets off in a parser must not end the walk
            self._fail(path, cause(error))

    def _rows(self, path: str) -> Iterator[Item]:
        self.source = path
        try:
            for row in self._containers.read(path, self.id_of(path)):
                if isinstance(row, tuple):
                    self.failures.append(row)
                elif isinstance(row, Note):
                    self.warnings.append((row.uri, row.what))
                elif row.kind in self._kinds:
                    yield row
        finally:
            self.source = None

    def id_of(self, path: str) -> str:
        """The id of the Item that a file is, and of the whole that its parts belong to."""
        if self._base is None or is_remote(path):
            return item_id(path_uri(path))
        return item_id(path_uri(os.path.relpath(path, self._base)))

    def _fail(self, path: str, why: str) -> None:
        self.failures.append((path_uri(path), why))


_NO_SIDECARS = Beside((), ())


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # it is gone since; whoever opens it says so


def _link_trouble(path: str, error: OSError) -> str:
    if os.path.islink(path) and isinstance(error, FileNotFoundError):
        return f"a broken link to {printable(os.readlink(path))}"
    return cause(error)
