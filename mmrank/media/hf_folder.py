"""Folders that Hugging Face ``datasets`` wrote or reads: what belongs to them, and what is only kept there.

*   ``save_to_disk``: ``state.json`` names the ``.arrow`` files that are the data; others (``cache-*.arrow``) are what
    was computed from them. ``dataset_dict.json`` beside its folder tells the split, which becomes metadata.
*   ``imagefolder``, ``videofolder``: a ``metadata.csv``, ``.jsonl`` or ``.parquet`` with a column ``file_name``; the
    files it names come as its rows, and not once more as files.
"""

# ruff: noqa: PTH118
# Strings and os.path, as in the walk.

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmrank.errors import MediaError
from mmrank.media.columns import plain_name
from mmrank.media.tables import open_table
from mmrank.media.uri import printable

STATE, DICT = "state.json", "dataset_dict.json"
OWN_FILES = frozenset({STATE, "dataset_info.json"})
METADATA_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")

_FILE_NAME = "file_name"
_MAX_STATE_BYTES = 16 << 20


def data_files(folder: str, names: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The names of a folder without what is no data of its own, and (path, why) of data that is missing.

    Folders that are no saved data set come back as they are.
    """
    if STATE not in names or not any(name.endswith(".arrow") for name in names):
        return list(names), []
    state = _read(Path(folder) / STATE)
    if state is None:
        return list(names), []
    listed = [file.get("filename") for file in state.get("_data_files") or [] if isinstance(file, dict)]
    data = {name for name in listed if isinstance(name, str)}
    kept = [name for name in names if name not in OWN_FILES and (not name.endswith(".arrow") or name in data)]
    gone = sorted(data - set(names))
    why = f"{STATE} names this file of the data set, and it is not there"
    return kept, [(os.path.join(folder, name), why) for name in gone]


def split_of(path: str | Path) -> str | None:
    """The split a data file of a saved data set belongs to, None where nothing says so."""
    if Path(path).suffix != ".arrow":
        return None
    folder = Path(path).absolute().parent
    whole = _read(folder.parent / DICT)
    if whole is not None and folder.name in (whole.get("splits") or ()):
        return folder.name
    split = (_read(folder / STATE) or {}).get("_split")
    return split if isinstance(split, str) else None


def named_files(folder: str, names: Sequence[str]) -> Iterator[str]:
    """The paths of the files that a folder's metadata file has rows for, none where it has no such file."""
    for name in METADATA_FILES:
        if name not in names:
            continue
        try:
            table = open_table(os.path.join(folder, name))
            if _FILE_NAME not in map(plain_name, table.names([_FILE_NAME])):
                continue
            for row in table.rows(()):
                value = row.get(_FILE_NAME) if not isinstance(row, str) else None
                if isinstance(value, str) and value:
                    yield os.path.normpath(os.path.join(folder, value))
        except MediaError:
            continue  # said when its turn comes in the walk


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > _MAX_STATE_BYTES:
            raise MediaError(f"{printable(path)} has more than {_MAX_STATE_BYTES:,} bytes.")
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError, MediaError):
        return None  # not there, or of another program: a folder like any other
    return state if isinstance(state, dict) else None
