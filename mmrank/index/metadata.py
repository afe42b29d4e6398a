"""Metadata keys as columns of `items`: their names, their types, and adding them when they first appear.

Every key is a nullable column of its own, so that filters are plain SQL (``year >= 2020 AND camera = 'X100'``).

*Names.* A key that SQL reads as it stands is its column's name. In others every character outside ``[A-Za-z0-9_]``
becomes ``_``; and where that begins with a digit or ``_``, or is one of mmrank's own columns or an SQL word,
``meta_`` goes before it (``File Name`` -> ``File_Name``, ``2024`` -> ``meta_2024``, ``id`` -> ``meta_id``). LanceDB
does not tell upper from lower case in filters, so ``Year`` goes into the column ``year`` when that came first.

*Types.* Declared (`declare`), or the first value that is not None decides: bool, int64, float64, string, date32,
timestamp in microseconds (with a time zone: kept in UTC), list of strings; a pair of numbers is a place, two columns of
floats. NaN is unknown, as None is. What fits without doubt is taken: whole numbers in a float column, dates in a column
of times, strings that read as the column's type (`mmrank.index.declared.from_text`). A column of whole numbers that
meets another number becomes one of floats (`mmrank.index.widen`). Any other mixture is refused, item by item.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from mmrank.errors import UsageError
from mmrank.index.commit import until_committed
from mmrank.index.declared import (
    PLACE,
    TYPES,
    check_types,
    from_text,
    in_zone,
    is_place,
    misfit,
    place_columns,
    place_of,
)
from mmrank.index.declared import type_name as name_of_type
from mmrank.index.schema import OWN_COLUMNS
from mmrank.index.widen import FLOAT_EXACT, WAS, WIDE, settle, widen
from mmrank.types import MetaValue

_DATE_WORDS = ("current_date", "current_time", "current_timestamp", "interval")
SQL_WORDS = frozenset({*_DATE_WORDS, "all", "any", "exists", "false", "not", "null", "some", "trim", "true"})
"""The words of which a filter on a column of that name fails or, worse, means something else in LanceDB 0.40:
of 150 SQL words tried, these; ``order``, ``group``, ``from``, ``date`` and the rest are fine."""

RESERVED = frozenset({*OWN_COLUMNS, *SQL_WORDS, "query_index"})
"""mmrank's own columns, `SQL_WORDS`, and the column LanceDB adds to the answers of a batch. Names with a leading
``_`` are kept free too: a column called ``_rowid`` makes a Lance table unreadable."""

ALLOWED = "str, int, float, bool, date, datetime, a tuple of str, or (latitude, longitude)"

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


def declare(table: Any, metadata: Mapping[str, str]) -> None:
    """Add columns of the types named (`mmrank.index.declared.TYPES`, or "place"), for keys that have none yet.

    A column of whole numbers that is declared "float" becomes one. Raises `UsageError` for a type that is none, and
    for a key whose column has another type already; nothing is changed then.

        declare(store.items, {"price": "float", "taken": "date", "where": "place"})
    """
    check_types(metadata)
    schema = table.schema
    there = {name.lower(): name for name in schema.names}
    wanted = _declared(metadata)
    widened: list[str] = []
    for name, kind in wanted.items():
        own = schema.field(there[name.lower()]).type if name.lower() in there else kind
        if pa.types.is_int64(own) and pa.types.is_floating(kind):
            widened.append(there[name.lower()])
        elif own != kind:
            raise UsageError(
                f"Metadata {name!r} is declared {name_of_type(kind)}, but the column in this index is "
                f"{name_of_type(own)}. Declare it {name_of_type(own)}, use another key, or build a new index."
            )

    def write() -> None:
        names = {name.lower() for name in table.schema.names}
        fields = [pa.field(name, kind) for name, kind in wanted.items() if name.lower() not in names]
        if fields:
            table.add_columns(fields)

    until_committed(table, write)
    for name in widened:
        if not widen(table, name):
            raise UsageError(
                f"Metadata {name!r} is declared float, but its column holds whole numbers beyond 2^53, which a float "
                "cannot keep. Declare it int, or use another key."
            )


def _declared(metadata: Mapping[str, str]) -> dict[str, pa.DataType]:
    """The columns of declared keys."""
    wanted: dict[str, pa.DataType] = {}
    for key, kind in metadata.items():
        name = column_name(key)
        names = place_columns(name) if kind == PLACE else (name,)
        if taken := {one.lower() for one in names} & {one.lower() for one in wanted}:
            raise UsageError(f"Two declared keys go into column {min(taken)!r} (one is {key!r}); rename one of them.")
        wanted |= dict.fromkeys(names, TYPES["float" if kind == PLACE else kind].arrow)
    return wanted


def add_columns(table: Any, metas: Iterable[Mapping[str, MetaValue]]) -> None:
    """Add the columns these items' metadata need and the table lacks, and widen those that must hold other numbers.

    Several processes may do so at once. What a killed one left half done is finished.
    """
    seen = list(metas)
    if any(name.startswith((WIDE, WAS)) for name in table.schema.names):
        settle(table)

    def write() -> None:
        fields = new_fields(table.schema, seen)
        if fields:
            table.add_columns(fields)

    until_committed(table, write)
    for name in _too_narrow(table.schema, seen):
        widen(table, name)  # where it cannot be, the items that need it are refused (`columns_of`, settled)


def _too_narrow(schema: pa.Schema, metas: Iterable[Mapping[str, MetaValue]]) -> list[str]:
    """The columns of whole numbers that these items bring other numbers for."""
    narrow = {field.name for field in schema if pa.types.is_int64(field.type)}
    found: set[str] = set()
    for meta in metas if narrow else ():
        try:
            columns = columns_of(schema, meta)
        except UsageError:
            continue
        found |= {name for name, value in columns.items() if name in narrow and isinstance(value, float)}
    return sorted(found)


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
            first = fields.get(name.lower())
            if first is not None and pa.types.is_int64(first.type) and isinstance(value, float):
                fields[name.lower()] = pa.field(first.name, pa.float64())
            elif name.lower() not in there and first is None:
                fields[name.lower()] = pa.field(name, _type_of(name, value))
    return list(fields.values())


def columns_of(schema: pa.Schema, meta: Mapping[str, MetaValue], *, settled: bool = False) -> dict[str, Any]:
    """An item's metadata as column -> value, as it will come back; unknown values are left out.

    A number for a column of whole numbers comes as a float: `add_columns` widens the column. `settled`: it had its
    chance, and what does not fit now is refused.

    Raises `UsageError` that names column, type and value when something does not fit, or two keys share a column.
    """
    names = {name.lower(): name for name in schema.names}
    columns: dict[str, Any] = {}
    for key, given in meta.items():
        value = _plain(key, given)
        if value is None:
            continue
        for wanted, part in _parts(column_name(key), value, names).items():
            name = names.get(wanted.lower(), wanted)
            if name in columns:
                raise UsageError(f"Two metadata keys go into column {name!r} (one is {key!r}); rename one of them.")
            kind = schema.field(name).type if name in schema.names else _type_of(key, part)
            columns[name] = _fitted(name, part, kind, settled=settled)
    return columns


def _parts(name: str, value: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """A value by column: a place makes two, also as a string where its columns are there; all else is one."""
    placed = name.lower() not in names and all(one.lower() in names for one in place_columns(name))
    if is_place(value) or (placed and isinstance(value, str)):
        return dict(place_of(name, value))
    return {name: value}


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


def _fitted(name: str, value: Any, kind: pa.DataType, *, settled: bool) -> Any:
    """The value as the column will hold it."""
    own = _type_of(name, value)
    if pa.types.is_int64(own) and pa.types.is_floating(kind) and abs(value) <= FLOAT_EXACT:
        return float(value)
    if pa.types.is_floating(own) and pa.types.is_int64(kind) and not settled:
        return float(value)
    if isinstance(value, str) and not pa.types.is_string(kind):
        value = from_text(name, value, kind)
    elif pa.types.is_date(own) and pa.types.is_timestamp(kind) and kind.tz is None:
        value = datetime(value.year, value.month, value.day)
    elif pa.types.is_timestamp(own) and pa.types.is_timestamp(kind):
        value = in_zone(name, value, kind)
    elif own != kind:
        raise misfit(name, value, kind, _hint(own, kind))
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UsageError(f"Metadata {name!r} is {value}, which does not fit into 64 bits. Give it as a string.")
    return list(value) if pa.types.is_list(kind) else value


def _hint(own: pa.DataType, kind: pa.DataType) -> str:
    """Why a number that looks as if it fitted does not."""
    if pa.types.is_floating(own) and pa.types.is_int64(kind):
        return "the column holds whole numbers beyond 2^53, and cannot become one of floats"
    return "beyond 2^53" if pa.types.is_int64(own) and pa.types.is_floating(kind) else ""


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
