"""Files and folders to Items, lazily, never dying on a file."""

# ruff: noqa: PTH100, PTH110, PTH111, PTH112, PTH114, PTH115, PTH116, PTH118, PTH119, PTH122, PTH208
# Strings and os.path: a walk over two million files makes no Path objects.

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from mmrank.errors import MediaError, UsageError
from mmrank.media.frame_index import video_info
from mmrank.media.kinds import PDF_SUFFIXES, kind_of
from mmrank.media.page import page_count
from mmrank.media.rows import ROW_SUFFIXES, read_rows
from mmrank.media.texts import CHUNK_CHARACTERS, chunk_text, read_text
from mmrank.media.uri import cause, item_id, path_uri, printable, split_uri
from mmrank.types import KINDS, Item, Kind

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
) -> Scan:
    """Items for files and for everything below folders; a lazy iterable that can be iterated again.

    Images are one Item each. PDFs become pages (``report.pdf#page=3``), videos longer than one and a half
    `span_seconds` spans of about that length (``clip.mp4#t=30,60``; None: never), texts longer than
    `chunk_characters` chunks (``notes.md#chunk=2``), rows of JSONL, CSV, TSV and Parquet files Items with
    metadata (`mmrank.media.rows`). Parts carry the id of the whole as `parent`, and `meta` the file's name.

    `paths`: one or several; ``~`` is expanded, uris come out absolute. `kinds`: only these. `recursive`: also folders
    in folders. `base`: write ids (not uris) relative to this folder, for collections that move.

    Folders are walked in sorted order, links followed, no folder twice. Hidden files are skipped, as are
    suffixes that mean nothing here; both are counted in ``scan.skipped``. What cannot be read is listed in
    ``scan.failures`` as (uri, why) and the walk goes on. Memory grows with the largest single folder (its names,
    about 100 bytes each), not with the tree.

    Raises `UsageError` at once when a path does not exist or is a web address, or an option cannot be meant.

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
    )


class Scan:
    """What `scan` gives. `failures` and `skipped` belong to the latest iteration and grow while it runs."""

    def __init__(
        self,
        paths: str | Path | Iterable[str | Path],
        kinds: Collection[Kind] | Kind | None,
        *,
        recursive: bool,
        span_seconds: float | None,
        chunk_characters: int,
        base: str | Path | None,
    ) -> None:
        self.failures: list[tuple[str, str]] = []
        self.skipped: Counter[str] = Counter()
        self._roots = [_root(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        self._kinds = _checked_kinds(kinds)
        self._recursive = recursive
        self._span_seconds = span_seconds
        self._chunk_characters = chunk_characters
        self._base = None if base is None else os.path.abspath(os.path.expanduser(base))
        if span_seconds is not None and not span_seconds > 0:
            raise UsageError(f"span_seconds is {span_seconds}; it must be above 0, or None to keep videos whole.")
        if chunk_characters < 1:
            raise UsageError(f"chunk_characters is {chunk_characters}; it must be at least 1.")

    @property
    def roots(self) -> tuple[str, ...]:
        """The absolute paths that are scanned, as the caller gave them."""
        return tuple(dict.fromkeys(self._roots))

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of Item that are looked for."""
        return self._kinds

    def __iter__(self) -> Iterator[Item]:
        self.failures = []
        self.skipped = Counter()
        given = set(self._roots)
        seen: set[tuple[int, int]] = set()
        for root in dict.fromkeys(self._roots):
            if os.path.isdir(root):
                for path in self._walk(root, seen):
                    if path not in given:
                        yield from self._items(path)
            else:
                yield from self._items(root, named=True)

    def _walk(self, root: str, seen: set[tuple[int, int]]) -> Iterator[str]:
        """Regular files below `root`, depth first, each folder's names in the order of their bytes."""
        stack = [(root, self._names(root, seen))]
        while stack:
            folder, names = stack[-1]
            if not names:
                stack.pop()
                continue
            name = names.pop()
            path = os.path.join(folder, name)
            if name.startswith("."):
                self.skipped[HIDDEN] += 1
                continue
            try:
                mode = os.stat(path).st_mode  # follows links; a loop of links is an OSError
            except OSError as error:
                self._fail(path, _link_trouble(path, error))
                continue
            if stat.S_ISREG(mode):
                yield path
            elif stat.S_ISDIR(mode):
                if self._recursive:
                    stack.append((path, self._names(path, seen)))
            else:
                self.skipped[SPECIAL] += 1

    def _names(self, folder: str, seen: set[tuple[int, int]]) -> list[str]:
        """The names in a folder, last first; none when it was visited before (a link loop) or cannot be listed."""
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                self.skipped[SEEN] += 1
                return []
            seen.add((status.st_dev, status.st_ino))
            return sorted(os.listdir(folder), key=os.fsencode, reverse=True)
        except OSError as error:
            self._fail(folder, f"the folder cannot be listed: {cause(error)}")
            return []

    def _items(self, path: str, *, named: bool = False) -> Iterator[Item]:
        """The Items of one file; trouble goes to `failures`."""
        suffix = os.path.splitext(path)[1].lower()
        kind = kind_of(path)
        if suffix not in ROW_SUFFIXES and kind is None:
            if named:
                self._fail(path, f"files of type {printable(suffix) or 'no suffix'} cannot be searched")
            else:
                self.skipped[printable(suffix) or "(no suffix)"] += 1
            return
        if kind is not None and kind not in self._kinds:
            self.skipped[suffix] += 1
            return
        try:
            yield from self._rows(path) if kind is None else self._parts(path, kind)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's file sets off in a parser must not end the walk
            self._fail(path, cause(error))

    def _parts(self, path: str, kind: Kind) -> Iterator[Item]:
        if kind == "page" and os.path.splitext(path)[1].lower() in PDF_SUFFIXES:
            for page in range(1, page_count(path) + 1):
                yield self._item(path, kind, f"page={page}", page=page)
        elif kind == "video":
            spans = self._spans(path)
            for start, end in spans:
                yield self._item(path, kind, f"t={start:.10g},{end:.10g}", start=start, end=end)
            if not spans:
                yield self._item(path, kind)
        elif kind == "text":
            chunks = chunk_text(read_text(path), self._chunk_characters)
            if len(chunks) == 1:
                yield self._item(path, kind, text=chunks[0])
            else:
                for number, text in enumerate(chunks, 1):
                    yield self._item(path, kind, f"chunk={number}", text=text, chunk=number)
        else:
            yield self._item(path, kind)

    def _rows(self, path: str) -> Iterator[Item]:
        for row in read_rows(path, self.id_of(path)):
            if isinstance(row, tuple):
                self.failures.append(row)
            elif row.kind in self._kinds:
                yield row

    def _spans(self, path: str) -> list[tuple[float, float]]:
        """Equal spans; what is left at the end makes a span of its own from half a length on, else joins the last."""
        duration = round(video_info(path).duration, 3)
        if self._span_seconds is None or duration <= 1.5 * self._span_seconds:
            return []
        count = int(duration / self._span_seconds + 0.5)
        starts = [round(i * self._span_seconds, 3) for i in range(count)]
        return list(zip(starts, [*starts[1:], duration], strict=True))

    def _item(self, path: str, kind: Kind, fragment: str = "", *, text: str | None = None, **meta: int | float) -> Item:
        whole = self.id_of(path)
        return Item(
            id=f"{whole}#{fragment}" if fragment else whole,
            kind=kind,
            uri=path_uri(path, fragment),
            text=text,
            meta={"name": printable(os.path.basename(path)), **meta},
            parent=whole if fragment else None,
        )

    def id_of(self, path: str) -> str:
        """The id of the Item that a file is, and of the whole that its parts belong to."""
        return item_id(path_uri(path if self._base is None else os.path.relpath(path, self._base)))

    def _fail(self, path: str, why: str) -> None:
        self.failures.append((path_uri(path), why))


def _root(path: str | Path) -> str:
    """The absolute path of what the caller named."""
    try:
        text = split_uri(path).path if isinstance(path, str) and path.startswith(("file://", "http")) else str(path)
    except MediaError as error:
        raise UsageError(str(error)) from error
    full = os.path.abspath(os.path.expanduser(text))  # links stay as the caller wrote them
    if not text or not os.path.exists(full):
        raise UsageError(f"{printable(text) or 'The empty path'} does not exist; give files or folders that do.")
    return full


def _checked_kinds(kinds: Collection[Kind] | Kind | None) -> frozenset[Kind]:
    if kinds is None:
        return frozenset(KINDS)
    chosen = frozenset([kinds] if isinstance(kinds, str) else kinds)
    unknown = sorted(str(kind) for kind in chosen - set(KINDS))
    if unknown or not chosen:
        raise UsageError(f"kinds is {unknown or 'empty'}; it must name some of {', '.join(KINDS)}.")
    return chosen


def _link_trouble(path: str, error: OSError) -> str:
    if os.path.islink(path) and isinstance(error, FileNotFoundError):
        return f"a broken link to {printable(os.readlink(path))}"
    return cause(error)
