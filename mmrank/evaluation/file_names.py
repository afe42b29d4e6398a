"""What a pipeline file lets an evaluation choose: the values in its ``[names]``, and which of them are indexes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrank.pipeline_file import pipeline_path, read_pipeline
from mmrank.pipeline_names import NAMES, names_of

INDEX = "index"
"""The key by which stages of a pipeline file name an index."""

_NAME = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNames:
    """`title`: the pipeline's name, else the file's. `values`: its ``[names]``. `indexes`: those that name an index."""

    title: str
    values: Mapping[str, Any]
    indexes: tuple[str, ...]


def file_names(path: Path) -> FileNames:
    """Read and check a pipeline file; nothing is opened or loaded. Raises `UsageError` as `load_pipeline` does."""
    title = read_pipeline(path).name or path.stem
    raw = tomllib.loads(pipeline_path(path).read_text(encoding="utf-8"))
    stages = {key: value for key, value in raw.items() if key != NAMES}
    indexes = tuple(dict.fromkeys(name for name in _index_names(stages) if name in names_of(raw)))
    return FileNames(title=title, values=names_of(raw), indexes=indexes)


def _index_names(table: Any) -> Iterator[str]:
    """The names that stand alone as the value of an ``index`` key, wherever it is."""
    if isinstance(table, Mapping):
        whole = _NAME.fullmatch(table[INDEX]) if isinstance(table.get(INDEX), str) else None
        if whole is not None:
            yield whole[1]
        for value in table.values():
            yield from _index_names(value)
    elif isinstance(table, list):
        for value in table:
            yield from _index_names(value)
