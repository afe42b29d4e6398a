"""Rows of JSONL, CSV, TSV and Parquet files as Items with metadata, streamed.

===================================  =============================================================
column (any case)                    becomes
===================================  =============================================================
``id``                               the id (white space percent-encoded); default ``FILE#row=N``
``kind``, ``parent``                 themselves; the kind follows from the other columns if absent
``image``, ``video``, ``uri``        the media: a path relative to the data file, or a uri; in
                                     Parquet an image may be bytes, or a struct of bytes and path
``text``, else ``caption``           the item's text
every other                          metadata; lists of strings stay, other nested values as JSON
===================================  =============================================================

Rows count from 1, a CSV's header not counted. A bad row is reported and the next one read.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeAlias, cast, get_args

from mmrank.errors import MediaError
from mmrank.media.kinds import kind_of
from mmrank.media.uri import cause, item_id, path_uri, printable, split_uri
from mmrank.types import Item, Kind, MetaValue

ROW_SUFFIXES = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"})

PARQUET_BATCH = 64
"""Rows read at once: pictures may lie in them, and 64 of 1 MB are what a reader may cost."""

MAX_BAD_ROWS = 100
"""A file that begins with so many bad rows and no good one is not a collection, and is not reported row by row."""

Row: TypeAlias = Mapping[str, Any]

_MEDIA = ("image", "video", "uri")
_TEXT = ("text", "caption")
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?((0|[1-9]\d*)?\.\d+([eE][+-]?\d+)?|(0|[1-9]\d*)[eE][+-]?\d+)")
_TRUTH = {"true": True, "false": False}


def read_rows(path: str | Path, base_id: str) -> Iterator[Item | tuple[str, str]]:
    """The Items of a data file in order; for a row that is none, (uri of the row, why).

    `base_id`: the data file's id, which rows without an id of their own are counted under.
    Raises `MediaError` when the file as a whole cannot be read, or has no column to make Items of.
    """
    suffix = Path(path).suffix.lower()
    read = {".csv": _csv, ".tsv": _csv, ".parquet": _parquet}.get(suffix, _json_lines)
    good = 0
    for number, row in enumerate(read(Path(path)), 1):
        try:
            if isinstance(row, str):
                raise MediaError(row)
            item = _item({str(k).strip().lower(): v for k, v in row.items()}, Path(path), f"{base_id}#row={number}")
        except (MediaError, ValueError) as error:
            yield path_uri(path, f"row={number}"), str(error)
        else:
            good += 1
            yield item
        if number == MAX_BAD_ROWS and good == 0:
            raise MediaError(
                f"none of the first {number} rows of {printable(path)} makes an Item; the rest is not read."
            )


def _item(row: dict[str, Any], path: Path, default_id: str) -> Item:
    media = [name for name in _MEDIA if row.get(name) not in (None, "")]
    if len(media) > 1:
        raise MediaError(f"the row names {' and '.join(media)}; a row is one Item, so give one of them")
    text = next((str(row[name]) for name in _TEXT if row.get(name) not in (None, "")), None)
    if not media and text is None:
        raise MediaError(f"the row has nothing to find: none of its columns {', '.join((*_MEDIA, *_TEXT))} is filled")
    uri, image = _media(row[media[0]], path) if media else (None, None)
    used = {"id", "kind", "parent", *_MEDIA, "text" if row.get("text") not in (None, "") else "caption"}
    return Item(
        id=_row_id(row.get("id"), default_id),
        kind=_kind(row.get("kind"), media[0] if media else None, uri),
        uri=uri,
        image=image,
        text=text,
        meta={name: _meta(value) for name, value in row.items() if name not in used},
        parent=item_id(str(row["parent"])) if row.get("parent") not in (None, "") else None,
    )


def _row_id(given: object, default: str) -> str:
    if given is None or given == "":
        return default
    text = str(given)
    return item_id(text) if any(c.isspace() for c in text) else text


def _media(value: Any, path: Path) -> tuple[str | None, bytes | None]:
    """(uri, None) or (None, bytes)."""
    if isinstance(value, Mapping):  # how Hugging Face data sets keep images in Parquet
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return None, value
    if not isinstance(value, str) or not value:
        raise MediaError(f"its media is {type(value).__name__}; a path, a uri or (in Parquet) bytes are allowed")
    if "://" in value:
        return value, None
    where = split_uri(value)
    return path_uri(path.parent / where.path, where.fragment), None


def _kind(given: object, column: str | None, uri: str | None) -> Kind:
    if given not in (None, ""):
        if given not in get_args(Kind):
            raise MediaError(f"its kind is {given!r}; it must be one of {', '.join(get_args(Kind))}")
        return cast(Kind, given)
    if column is None:
        return "text"
    if column in ("image", "video"):
        return cast(Kind, column)
    where = split_uri(uri) if uri and "://" not in uri else None
    kind = kind_of(where.path if where else (uri or "").partition("#")[0])
    if kind == "page" and where and where.page is None:
        raise MediaError(f"{printable(where.path)} is a PDF and a row is one page; write it as FILE.pdf#page=N")
    if kind is None:
        raise MediaError(f"the kind of {printable(uri or '')} cannot be told from its suffix; add a column kind")
    return kind


def _meta(value: Any) -> MetaValue:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | bool | date | datetime):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(part, str) for part in value):
        return tuple(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _json_lines(path: Path) -> Iterator[Row | str]:
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.strip():
                    continue
                try:
                    row = json.loads(line.decode("utf-8-sig"))
                except (ValueError, RecursionError) as error:
                    yield f"the line is not JSON in UTF-8: {cause(error)}"
                    continue
                yield row if isinstance(row, dict) else f"the line holds {type(row).__name__}, not an object"
    except OSError as error:
        raise MediaError(f"{printable(path)} cannot be read: {cause(error)}.") from error


def _csv(path: Path) -> Iterator[Row | str]:
    """Read twice: a column is numbers only if all of it is, so that ids such as 007 stay as they are."""
    makers = {name: _column_maker(kinds) for name, kinds in _column_kinds(path).items()}
    for row in _csv_records(path):
        if None in row:
            yield f"the line has {len(row[None])} fields more than the header"
            continue
        cells = {name: text for name, text in row.items() if text is not None}
        yield {name: (makers[name](text) if text else None) for name, text in cells.items()}


def _csv_records(path: Path) -> Iterator[dict[Any, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"{printable(path)} cannot be read as CSV in UTF-8: {cause(error)}.") from error


def _column_kinds(path: Path) -> dict[str, set[str]]:
    """What the filled cells of every column look like."""
    kinds: dict[str, set[str]] = {}
    for row in _csv_records(path):
        for name, text in row.items():
            if name is not None:
                seen = kinds.setdefault(name, set())
                if text and "text" not in seen:
                    seen.add(_look(text))
    _check_columns(path, list(kinds))
    own = {"id", "parent", *_MEDIA, *_TEXT}
    return {name: {"text"} if name.strip().lower() in own else seen for name, seen in kinds.items()}


def _check_columns(path: Path, names: list[str]) -> None:
    if not {name.strip().lower() for name in names} & {*_MEDIA, *_TEXT}:
        raise MediaError(
            f"{printable(path)} has the columns {', '.join(names) or '(none)'}; "
            f"an Item needs one of {', '.join((*_MEDIA, *_TEXT))}."
        )


def _look(text: str) -> str:
    if text.lower() in _TRUTH:
        return "truth"
    if _INTEGER.fullmatch(text):
        return "integer"
    return "number" if _NUMBER.fullmatch(text) else "text"


def _column_maker(kinds: set[str]) -> Any:
    if kinds == {"truth"}:
        return lambda text: _TRUTH[text.lower()]
    if kinds == {"integer"}:
        return int
    return float if kinds and kinds <= {"integer", "number"} else str


def _parquet(path: Path) -> Iterator[Row | str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=PARQUET_BATCH):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise MediaError(f"{printable(path)} cannot be read as Parquet: {cause(error)}.") from error
