"""Files that hold many Items, as `scan` meets them: tables, shards, and folders of data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmrank.media.archive import ARCHIVE_SUFFIXES, is_archive
from mmrank.media.columns import Columns
from mmrank.media.hf_folder import data_files, named_files, split_of
from mmrank.media.rows import ROW_SUFFIXES, Note, read_rows
from mmrank.media.shards import read_shard
from mmrank.media.tables import check_columns
from mmrank.types import Item

CONTAINER_SUFFIXES = ROW_SUFFIXES | frozenset(ARCHIVE_SUFFIXES)
"""Of tables and shards, in lower case."""


def is_container(path: str) -> bool:
    """Whether a file is taken for a table or a shard, by its suffix.

    >>> is_container("products.csv"), is_container("train-0001.tar.gz"), is_container("a.jpg")
    (True, True, False)
    """
    return path.lower().endswith(tuple(CONTAINER_SUFFIXES))


class Containers:
    """One scan's way with them. `columns`: role -> column of tables, as `mmrank.scan` takes it."""

    def __init__(self, columns: Mapping[str, str | None] | None, span_seconds: float | None) -> None:
        self._columns = Columns(dict(columns or {}))
        self._span_seconds = span_seconds
        self._claimed: set[int] = set()

    def check(self, paths: Sequence[str]) -> None:
        """Raise `UsageError` when a table among the named files lacks a column that is mapped."""
        for path in paths:
            if Path(path).suffix.lower() in ROW_SUFFIXES and Path(path).is_file():
                check_columns(path, self._columns)

    def begin(self) -> None:
        """A walk starts: no folder has been seen."""
        self._claimed = set()

    def enter(self, folder: str, names: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
        """The names of a folder that are to be walked; (path, why) of what is missing in it.

        Files that a table here has rows for are claimed from then on (about 60 bytes each).
        """
        self._claimed.update(hash(path) for path in named_files(folder, names))
        return data_files(folder, names)

    def claims(self, path: str) -> bool:
        """Whether a file comes as a row of a table that was met."""
        return hash(path) in self._claimed

    def read(self, path: str, base_id: str) -> Iterator[Item | Note | tuple[str, str]]:
        """The Items of a table or shard; (uri, why) for what is none. Raises `MediaError` as `read_rows` does."""
        if is_archive(path):
            return read_shard(path, base_id, self._span_seconds)
        split = split_of(path)
        return read_rows(path, base_id, self._columns, {} if split is None else {"split": split})
