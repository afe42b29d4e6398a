"""Captions in tables: CSV, TSV, JSON, JSON lines and Parquet, with the column names that releases of a data set use."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.by_id import without_suffix
from mmrank.evaluation.datasets.files import read_json, read_jsonl, rows_of
from mmrank.evaluation.datasets.paired import Caption, numbered, safe_id

OWNERS = ("video_id", "clip_name", "image_id", "videoID", "video", "image")
TEXTS = ("sentence", "caption", "captions", "text")
OWN_IDS = ("key", "retrieval_key", "sen_id")
"""Columns, the first that is there: what a caption is about, its text or texts, its own id."""

_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\..+)")


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, by its suffix: .csv, .tsv, .json (a list of objects), .jsonl, .parquet (all parts of it).

    A CSV is read with quotes where it has valid ones, else as it stands; fields beyond the last column are unquoted
    commas of its text and join it. Binary columns of Parquet (the videos themselves) are not read.

    Raises `DatasetError` when it is no such table.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        return rows_of(path, read_json(path), ())
    if suffix == ".jsonl":
        return rows_of(path, list(read_jsonl(path)), ())
    if suffix == ".parquet":
        return [row for part in _parts(path) for row in _read_parquet(part)]
    return read_csv(path, delimiter="\t" if suffix == ".tsv" else ",")


def read_text(path: Path) -> str:
    """A UTF-8 file. Raises `DatasetError` that names it when it is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8: {error}. Download it again.") from None


def read_csv(path: Path, *, delimiter: str = ",") -> list[dict[str, Any]]:
    """The rows of a table with a header, as `read_table` says; blank lines are passed over."""
    text = read_text(path)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:  # MSR-VTT's csv knows no quotes: one at the start of a sentence is part of it
        lines = [line.rstrip("\r").split(delimiter) if line.strip() else [] for line in text.split("\n")]
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line]
    if not filled:
        raise DatasetError(f"{path} is empty. Download it again.")
    header = [name.strip() for name in filled[0][1]]
    rows = []
    for number, line in filled[1:]:
        if len(line) < len(header):
            raise DatasetError(
                f"Row {number} of {path} has {len(line)} fields and the header {len(header)} ({', '.join(header)})."
            )
        last = len(header) - 1
        rows.append(dict(zip(header, [*line[:last], delimiter.join(line[last:])], strict=True)))
    return rows


def _parts(path: Path) -> list[Path]:
    """All parts of a table in several files (NAME-00000-of-00002.parquet), in order."""
    named = _PART.fullmatch(path.name)
    if named is None:
        return [path]
    start, _, count, suffix = named.groups()
    parts = [path.with_name(f"{start}-{number:05d}-of-{count}{suffix}") for number in range(int(count))]
    absent = [part.name for part in parts if not part.is_file()]
    if absent:
        raise DatasetError(f"{path} is one of {len(parts)} parts, and {', '.join(absent)} is not there.")
    return parts


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        plain = [
            name for name, kind in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True) if _light(kind)
        ]
        rows: list[dict[str, Any]] = file.read(columns=plain).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetError(f"{path} is not valid Parquet: {error}. Download it again.") from None
    return rows


def _light(kind: Any) -> bool:
    from pyarrow import types

    return not (types.is_binary(kind) or types.is_large_binary(kind) or types.is_struct(kind))


def caption_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Caption]:
    """The captions in rows, one or a list of them each, grouped by what they are about in order of its first row.

    A caption's own id is kept where each has one and no two are the same; else they are numbered within their owner.

    Raises `DatasetError` when there is no row, no known column, or a caption that is no text.
    """
    if not rows:
        raise DatasetError(f"{path} holds no rows. Download it again.")
    owner, text = _column(rows, OWNERS, path), _column(rows, TEXTS, path)
    own = next((name for name in OWN_IDS if name in rows[0]), None)
    texts: dict[str, list[str]] = {}
    ids: dict[str, list[str]] = {}
    for number, row in enumerate(rows):
        name = without_suffix(str(row.get(owner) or "").strip())
        told = row.get(text)
        several: list[Any] = told if isinstance(told, list) else [told]
        if not name or not all(isinstance(each, str) for each in several):
            raise DatasetError(f"Row {number} of {path} has {owner} {name!r} and {text} {told!r}; both must be texts.")
        texts.setdefault(name, []).extend(several)
        own_id = row.get(own) if own and not isinstance(told, list) else None
        ids.setdefault(name, []).extend([] if own_id is None else [safe_id(str(own_id).strip())])
    captions = numbered(texts)
    given = [each for name in texts for each in ids[name]]
    if len(given) != len(captions) or len(set(given)) != len(given) or "" in given:
        return captions
    return [Caption(id=own, owner=c.owner, text=c.text) for own, c in zip(given, captions, strict=True)]


def _column(rows: Sequence[Mapping[str, Any]], names: Sequence[str], path: Path) -> str:
    for name in names:
        if name in rows[0]:
            return name
    raise DatasetError(f"{path} has none of the columns {', '.join(names)}; it has {', '.join(map(str, rows[0]))}.")
