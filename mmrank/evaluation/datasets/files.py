"""Reading a data set's files: annotations found in one of several layouts, media by their likely names."""

# ruff: noqa: PTH118 - a Path for each of a hundred thousand names would cost more than finding it

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmrank.evaluation.dataset import DatasetError, Media

SHOWN = 5
"""How many missing files an error names."""


def first_existing(root: Path, names: Sequence[str], what: str) -> Path:
    """The first of several relative paths (or glob patterns) that is there under `root`.

    Raises `DatasetError` that says what was looked for and where.
    """
    if not root.is_dir():
        raise DatasetError(f"There is no folder {str(root)!r}; give the root of the download (--root, or root=).")
    for name in names:
        found = sorted(root.glob(name)) if any(c in name for c in "*?[") else [root / name]
        if found and found[0].exists():
            return found[0]
    tried = "\n".join(f"  {name}" for name in names)
    raise DatasetError(f"{what} is not under {root}. Looked for:\n{tried}")


def read_json(path: Path) -> Any:
    """A JSON file. Raises `DatasetError` that names the file when it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not valid JSON: {error}. Download it again.") from None


def read_jsonl(path: Path) -> Iterator[Any]:
    """The values of a JSON lines file, blank lines passed over. Raises `DatasetError` that names file and line.

    Lines end at line feeds only: a separator such as U+2028 within a text does not end one.
    """
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise DatasetError(f"{path}:{number} is not valid JSON: {error}. Download it again.") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without blank ones, white space around them removed."""
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def rows_of(path: Path, value: Any, fields: Sequence[str]) -> list[dict[str, Any]]:
    """`value`, read from `path`, as a list of objects that have all `fields`.

    Raises `DatasetError` that names the row and what it lacks.
    """
    if not isinstance(value, list):
        raise DatasetError(f"{path} holds a {type(value).__name__}, not a list of rows; is it the right file?")
    for number, row in enumerate(value):
        if not isinstance(row, Mapping):
            raise DatasetError(f"Row {number} of {path} is a {type(row).__name__}, not an object with fields.")
        lacking = [name for name in fields if name not in row]
        if lacking:
            has = ", ".join(map(str, row)) or "none"
            raise DatasetError(f"Row {number} of {path} has no field {lacking[0]!r}; it has: {has}.")
    return value


@dataclass(slots=False)
class MediaFiles:
    """Finds the media of a data set and counts what is not there.

    `roots` are the folders that layouts are known to use; `policy` is the reader's `media` argument. Folders are
    listed once, so that a hundred thousand files cost a few listings and as many look-ups of names.
    """

    roots: Sequence[Path]
    policy: Media
    missing: list[str] = field(default_factory=list)
    _listed: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    def find(self, names: Sequence[str], *, by_stem: bool = False) -> str | None:
        """The path of the first of `names` under the first root that has it; None when there is none (then counted).

        `by_stem`: else any file below the roots whose name without its extension is that of `names[0]`.
        With policy "none" nothing has to be there: the first name under the first root comes back for what is not.
        """
        for root in self._there:
            for name in names:
                folder, file = os.path.split(os.path.normpath(name))
                place = os.path.join(root, folder) if folder else root
                if file in self._files(place):
                    return os.path.join(place, file)
        if self.policy == "none":
            return os.path.join(str(self.roots[0]), names[0])
        found = self._stems.get(Path(names[0]).stem) if by_stem else None
        if found is None:
            self.missing.append(names[0])
        return found

    @cached_property
    def _there(self) -> list[str]:
        return [str(root) for root in self.roots if root.is_dir()]

    def _files(self, folder: str) -> frozenset[str]:
        if folder not in self._listed:
            try:
                with os.scandir(folder) as entries:
                    self._listed[folder] = frozenset(entry.name for entry in entries if entry.is_file())
            except (FileNotFoundError, NotADirectoryError):
                self._listed[folder] = frozenset()
        return self._listed[folder]

    @cached_property
    def _stems(self) -> dict[str, str]:
        stems: dict[str, str] = {}
        for root in self.roots:
            if root.is_dir():
                for path in sorted(root.rglob("*")):
                    if path.is_file():
                        stems.setdefault(path.stem, str(path))
        return stems

    def check(self, title: str) -> tuple[str, ...]:
        """The missing files, once each. Raises `DatasetError` when there are any and the policy is "required"."""
        missing = tuple(dict.fromkeys(self.missing))
        if missing and self.policy == "required":
            some = "".join(f"\n  {name}" for name in missing[:SHOWN])
            more = f"\n  and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
            places = ", ".join(str(root) for root in self.roots)
            raise DatasetError(
                f"{len(missing):,} media files of {title} are not there:{some}{more}\nLooked in: {places}. "
                "Complete the download, or allow missing files (--allow-missing, media='allow_missing'): then the "
                "rest is evaluated under a name that says so."
            )
        return missing
