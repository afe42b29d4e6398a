"""Finding annotation files in a download, however deep its archives were unpacked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmrank.evaluation.dataset import DatasetError

DEPTH = 2
"""Annotations lie in the root, in a folder of it, or in a folder of that one."""


class Places:
    """The folders of a download in which annotation files may lie: the root first, then by depth and name.

    Raises `DatasetError` when the root is no folder.
    """

    def __init__(self, root: Path, depth: int = DEPTH) -> None:
        if not root.is_dir():
            raise DatasetError(f"There is no folder {str(root)!r}; give the root of the download (--root, or root=).")
        self.root = root
        self._folders = [root]
        level = [root]
        for _ in range(depth):
            level = [folder for parent in level for folder in _folders(parent)]
            self._folders += level

    def find(self, names: Sequence[str]) -> Path | None:
        """The first file that bears one of the names (or fits the pattern); an earlier name wins over a nearer place.

        None when there is none.
        """
        return next(self._found(names), None)

    def need(self, names: Sequence[str], what: str) -> Path:
        """As `find`, raising `DatasetError` that says what was looked for and where when there is none."""
        found = self.find(names)
        if found is None:
            raise self.lacking(names, what)
        return found

    def lacking(self, names: Sequence[str], what: str) -> DatasetError:
        """The error that says what was looked for and where."""
        tried = "\n".join(f"  {name}" for name in names)
        return DatasetError(f"{what} is neither in {self.root} nor in the folders below it. Looked for:\n{tried}")

    def _found(self, names: Sequence[str]) -> Iterator[Path]:
        for name in names:
            for folder in self._folders:
                here = sorted(folder.glob(name)) if "*" in name else [folder / name]
                yield from (path for path in here if path.is_file())


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except PermissionError:
        return []  # what cannot be listed holds nothing that could be read
