"""Reading Parquet tables of a data set: plain columns at once, pictures streamed into files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mmrank.evaluation.dataset import DatasetError

STREAMED_ROWS = 32
"""Rows of pictures held at once while unpacking: a page picture takes up to a few megabytes."""

TAIL_BYTES = 1 << 16
"""A Parquet file's last bytes hold where everything in it lies: with its size they tell one version from another."""

LONGEST_STEM = 120

_SIGNATURES: Mapping[bytes, str] = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif"}


def column_names(path: Path) -> tuple[str, ...]:
    """The columns of a table. Raises `DatasetError` that names the file when it is no Parquet."""
    return tuple(_open(path).schema_arrow.names)


def read_columns(paths: Sequence[Path], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of all `paths` in order, with these columns alone.

    Raises `DatasetError` for a column that is not there, with those that are.
    """
    rows: list[dict[str, Any]] = []
    for path in paths:
        file = _open(path)
        has = file.schema_arrow.names
        lacking = [name for name in columns if name not in has]
        if lacking:
            raise DatasetError(f"{path} has no column {lacking[0]!r}; it has {', '.join(has)}.")
        rows += file.read(columns=list(columns)).to_pylist()
    return rows


def unpack_pictures(paths: Sequence[Path], column: str, stems: Sequence[str], folder: Path) -> list[str | None]:
    """Write the pictures of a column as files, once, and give the file of each row; None where a row has no picture.

    Args:
        paths: the tables.
        column: bytes, or Hugging Face's ``{"bytes", "path"}``.
        stems: the file of each row of all tables, without suffix, relative; of equal ones the first row's is kept.
        folder: where they go, in a folder of its own for this version of the tables.

    Rows are streamed, so that memory does not grow with the table. Safe to kill: a file appears under its name only
    when it is whole. Raises `DatasetError` when the folder cannot be written.
    """
    place = folder / _version(paths)
    there = _files_by_stem(place)
    if not set(stems) <= there.keys():
        try:
            _write_absent(paths, column, stems, place, set(there))
        except OSError as error:
            raise DatasetError(
                f"Pictures cannot be unpacked to {place}: {error.strerror or error}. Name another folder with unpack=."
            ) from error
        there = _files_by_stem(place)
    return [there.get(stem) for stem in stems]


def safe_stem(text: str) -> str:
    """`text` as a file name without suffix, different for different texts.

    >>> safe_stem("a report/page 3")
    'a%20report%2Fpage%203'
    """
    name = quote(text, safe="").replace(".", "%2E")
    if len(name) <= LONGEST_STEM:
        return name
    return name[:LONGEST_STEM].rstrip("%") + "-" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetError(f"{path} is not valid Parquet: {error}. Download it again.") from None


def _version(paths: Sequence[Path]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for path in paths:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - TAIL_BYTES))
            digest.update(f"{path.name} {size}\n".encode("utf-8", "surrogateescape") + file.read())
    return digest.hexdigest()


def _files_by_stem(folder: Path) -> dict[str, str]:
    """Relative path without suffix to path, of the whole files below a folder."""
    return {
        os.path.splitext(os.path.relpath(os.path.join(parent, name), folder))[0]: os.path.join(parent, name)  # noqa: PTH118, PTH122
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.endswith(".part")
    }


def _write_absent(paths: Sequence[Path], column: str, stems: Sequence[str], place: Path, done: set[str]) -> None:
    number = 0
    for path in paths:
        for batch in _open(path).iter_batches(batch_size=STREAMED_ROWS, columns=[column]):
            for value in batch.column(0):
                stem = stems[number]
                number += 1
                if stem in done:
                    continue
                data = _bytes(value.as_py())
                if data:
                    _write(place / f"{stem}{_suffix(data)}", data)
                done.add(stem)


def _bytes(value: Any) -> bytes | None:
    found = value.get("bytes") if isinstance(value, dict) else value
    return found if isinstance(found, bytes) else None


def _suffix(data: bytes) -> str:
    return next((suffix for start, suffix in _SIGNATURES.items() if data.startswith(start)), ".bin")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    unfinished.write_bytes(data)
    unfinished.replace(path)
