"""Metadata keys as columns of `items`: their names, their types, and adding them when they first appear.

Every key is a nullable column of its own, so that filters are plain SQL (``year >= 2020 AND camera = 'X100'``).

*Names.* A key that SQL reads as it stands is its column's name. In others every character outside ``[A-Za-z0-9_]``
becomes ``_``; and where that begins with a digit or ``_``, or is one of mmrank's own columns or an SQL word,
``meta_`` goes before it (``File Name`` -> ``File_Name``, ``2024`` -> ``meta_2024``, ``id`` -> ``meta_id``). LanceDB
does not tell upper from lower case in filters, so ``Year`` goes into the column ``year`` when that came first.

*Types.* The first value that is not None decides: bool, int64, float64, string, date32, timestamp in microseconds
(with a time zone: kept in UTC), list of strings. Whole numbers go into a float column; NaN is unknown, as None is.
Any other mixture is refused, item by item.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from mmrank.errors import UsageError
from mmrank.index.commit import until_committed
from mmrank.index.schema import OWN_COLUMNS
from mmrank.types import MetaValue

_DATE_WORDS = ("current_date", "current_time", "current_timestamp", "interval")
SQL_WORDS = frozenset({*_DATE_WORDS, "all", "any", "exists", "false", "not", "null", "some", "trim", "true"})
"""The words of which a filter on a column of that name fails or, worse, means something else in LanceDB 0.40:
of 150 SQL words tried, these; ``order``, ``group``, ``from``, ``date`` and the rest are fine."""

RESERVED = frozenset({*OWN_COLUMNS, *SQL_WORDS, "query_index"})
"""mmrank's own columns, `SQL_WORDS`, and the column LanceDB adds to the answers of a batch. Names with a leading
``_`` are kept free too: a column called ``_rowid`` makes a Lance table unreadable."""

ALLOWED = "str, int, float, bool, date, datetime, or a tuple of str"

FLOAT_EXACT = 2**53
"""Whole numbers up to this are exact in float64."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_]")


def column_name(key: str) -> str:
    """The column a metadata key is kept in.

    >>> column_name("year"), column_name("File Name"), column_name("id"), column_name("_score")
    ('year', 'File_Name', 'meta_id', 'meta_score')
    """
    name = _UNSAFE.sub("_", key)
    if not name.strip("_"):
        raise UsageError(f"Metadata key {key!r} has no letter or digit of ASCII; rename it.")
    if name[0].isdigit() or name[0] == "_" or name.lower() in RESERVED:
        return "meta_" + name.lstrip("_")
    return name


def add_columns(table: Any, metas: Iterable[Mapping[str, MetaValue]]) -> None:
    """Add the columns these items' metadata need and the table lacks. Several processes may do so at once."""
    seen = list(metas)

    def write() -> None:
        fields = new_fields(table.schema, seen)
        if fields:
            table.add_columns(fields)

    until_committed(table, write)


def new_fields(schema: pa.Schema, metas: Iterable[Mapping[str, MetaValue]]) -> list[pa.Field]:
    """The fields to add to `schema`; metadata that cannot be stored is passed over (`columns_of` says why)."""
    there = {name.lower() for name in schema.names}
    fields: dict[str, pa.Field] = {}
    for meta in metas:
        try:
            columns = columns_of(schema, meta)
        except UsageError:
            continue
        for name, value in columns.items():
            if name.lower() not in there and name.lower() not in fields:
                fields[name.lower()] = pa.field(name, _type_of(name, value))
    return list(fields.values())


def columns_of(schema: pa.Schema, meta: Mapping[str, MetaValue]) -> dict[str, Any]:
    """An item's metadata as column -> value, as it will come back; unknown values are left out.

    Raises `UsageError` that names column, type and value when something does not fit, or two keys share a column.
    """
    names = {name.lower(): name for name in schema.names}
    columns: dict[str, Any] = {}
    for key, given in meta.items():
        value = _plain(key, given)
        if value is None:
            continue
        name = column_name(key)
        name = names.get(name.lower(), name)
        if name in columns:
            raise UsageError(f"Two metadata keys go into column {name!r} (one is {key!r}); rename one of them.")
        kind = schema.field(name).type if name in schema.names else _type_of(key, value)
        columns[name] = _fitted(name, value, kind)
    return columns


def _plain(key: str, value: Any) -> Any:
    """The value without NumPy around it; None for unknown."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, str) and not _is_utf8(value):
        raise UsageError(f"Metadata {key!r} is {value!r}, which is not valid Unicode and cannot be stored.")
    return value


def _type_of(key: str, value: Any) -> pa.DataType:
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int):
        return pa.int64()
    if isinstance(value, float):
        return pa.float64()
    if isinstance(value, str):
        return pa.string()
    if isinstance(value, datetime):
        return pa.timestamp("us", tz="UTC") if value.tzinfo else pa.timestamp("us")
    if isinstance(value, date):
        return pa.date32()
    if isinstance(value, tuple | list) and all(isinstance(part, str) and _is_utf8(part) for part in value):
        return pa.list_(pa.string())
    raise UsageError(f"Metadata {key!r} is {value!r} ({type(value).__name__}); it must be {ALLOWED}.")


def _fitted(name: str, value: Any, kind: pa.DataType) -> Any:
    """The value as the column will hold it."""
    own = _type_of(name, value)
    if pa.types.is_int64(own) and pa.types.is_floating(kind) and abs(value) <= FLOAT_EXACT:
        return float(value)
    if own != kind:
        raise UsageError(f"Column {name!r} is {kind}, and {value!r} does not fit. Give a {kind}, or use another key.")
    if pa.types.is_int64(own) and not -(2**63) <= value < 2**63:
        raise UsageError(f"Metadata {name!r} is {value}, which does not fit into 64 bits. Give it as a string.")
    if pa.types.is_timestamp(own):
        return value.astimezone(UTC) if own.tz else value
    return list(value) if pa.types.is_list(own) else value


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
