"""The types a metadata column may have, by name; strings read as one of them; columns declared before any row.

A declared column is there from the start, with the type that was named: the first value does not decide. A place is
two columns of floats, ``KEY_lat`` and ``KEY_lon`` in degrees, so that a filter is plain SQL
(``where_lat BETWEEN 52 AND 53 AND where_lon BETWEEN 13 AND 14``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from mmrank.errors import UsageError


class MetaType(NamedTuple):
    """A type of metadata: what it is kept as, and what may be given, in words that end a sentence."""

    arrow: pa.DataType
    give: str


TYPES: dict[str, MetaType] = {
    "int": MetaType(pa.int64(), "a whole number, such as 3"),
    "float": MetaType(pa.float64(), "a number, such as 3 or 2.5"),
    "bool": MetaType(pa.bool_(), "true or false"),
    "str": MetaType(pa.string(), "a text"),
    "date": MetaType(pa.date32(), "a date, such as 2025-01-31"),
    "datetime": MetaType(pa.timestamp("us"), "a date and time without a zone, such as 2025-01-31T18:30:00"),
    "datetime_utc": MetaType(
        pa.timestamp("us", tz="UTC"), "a date and time with its zone, such as 2025-01-31T18:30:00+01:00"
    ),
    "list": MetaType(pa.list_(pa.string()), "a list of texts, in Python a tuple of str"),
}
"""All types but "place", which is two columns of "float"."""

PLACE = "place"
LATITUDE, LONGITUDE = "_lat", "_lon"

_INT = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PLACE = re.compile(rf"({_FLOAT.pattern})\s*[,;\s]\s*({_FLOAT.pattern})")
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def type_name(kind: pa.DataType) -> str:
    """What a column of this Arrow type is called here; Arrow's own name for others.

    >>> type_name(pa.int64()), type_name(pa.date32()), type_name(pa.timestamp("us", tz="UTC"))
    ('int', 'date', 'datetime_utc')
    """
    return next((name for name, known in TYPES.items() if known.arrow == kind), str(kind))


def misfit(name: str, value: Any, kind: pa.DataType, why: str = "") -> UsageError:
    """The error for a value that a column does not take: what came, what the column is, what to do."""
    known = TYPES.get(type_name(kind))
    give = known.give if known else f"a {kind}"
    return UsageError(
        f"Column {name!r} is {type_name(kind)}, and {value!r} does not fit{f' ({why})' if why else ''}. "
        f"Give {give}, or use another key."
    )


def from_text(name: str, text: str, kind: pa.DataType) -> Any:
    """A string as a value of a column of another type, where it reads as one without doubt.

    Numbers as they are typed without separators, true/false/yes/no/1/0, ISO dates and times; a day without a time is
    its midnight. Raises `UsageError` for anything else: ``1,5`` may be one and a half, or fifteen.

    >>> from_text("price", " 12.50 ", pa.float64()), from_text("taken", "2025-01-31", pa.date32())
    (12.5, datetime.date(2025, 1, 31))
    """
    plain = text.strip()
    if pa.types.is_int64(kind) and _INT.fullmatch(plain):
        return int(plain)
    if pa.types.is_floating(kind) and _FLOAT.fullmatch(plain):
        return float(plain)
    if pa.types.is_boolean(kind) and plain.lower() in _BOOLS:
        return _BOOLS[plain.lower()]
    if pa.types.is_temporal(kind):
        return _moment(name, plain, kind)
    raise misfit(name, text, kind)


def _moment(name: str, text: str, kind: pa.DataType) -> date | datetime:
    """A date or a date and time; `text` is stripped."""
    try:
        if pa.types.is_date(kind):
            if not _DATE.fullmatch(text):
                raise misfit(name, text, kind)
            return date.fromisoformat(text)
        if not _DATE.match(text):
            raise misfit(name, text, kind)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        raise misfit(name, text, kind, str(error)) from None
    return in_zone(name, moment, kind)


def in_zone(name: str, moment: datetime, kind: pa.DataType) -> datetime:
    """A moment as a column of timestamps takes it: in UTC where the column has a zone. Raises when only one has one."""
    if (moment.tzinfo is None) != (kind.tz is None):
        has, lacks = ("value", "column") if moment.tzinfo else ("column", "value")
        raise misfit(name, moment.isoformat(), kind, f"the {has} has a time zone and the {lacks} has none")
    return moment.astimezone(UTC) if moment.tzinfo else moment


def is_place(value: Any) -> bool:
    """True for a pair of numbers, as (latitude, longitude) is.

    >>> is_place((52.5, 13.4)), is_place(("a", "b")), is_place((1, 2, 3))
    (True, False, False)
    """
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(isinstance(part, int | float) and not isinstance(part, bool) for part in value)
    )


def place_columns(name: str) -> tuple[str, str]:
    """The two columns of a place."""
    return name + LATITUDE, name + LONGITUDE


def place_of(name: str, value: Any) -> dict[str, float]:
    """A place as column -> degrees, from (latitude, longitude) or a string of the two.

    Raises `UsageError` for what is no place on earth.

    >>> place_of("where", (52.5, 13.4))
    {'where_lat': 52.5, 'where_lon': 13.4}
    >>> place_of("where", "52.5, 13.4")
    {'where_lat': 52.5, 'where_lon': 13.4}
    """
    pair = value
    if isinstance(value, str) and (found := _PLACE.fullmatch(value.strip())):
        pair = (float(found[1]), float(found[2]))
    if not is_place(pair) or not (abs(pair[0]) <= 90 and abs(pair[1]) <= 180):
        raise UsageError(
            f"Metadata {name!r} is {value!r}, which is no place. Give (latitude, longitude) in degrees, -90 to 90 and "
            "-180 to 180, such as (52.52, 13.40)."
        )
    return dict(zip(place_columns(name), (float(pair[0]), float(pair[1])), strict=True))


def check_types(metadata: Mapping[str, str]) -> None:
    """Raise `UsageError` for a type that is none, with the allowed ones and what may have been meant."""
    allowed = [*TYPES, PLACE]
    for key, kind in metadata.items():
        if kind not in allowed:
            near = difflib.get_close_matches(str(kind).lower(), allowed, n=1)
            raise UsageError(
                f"Metadata {key!r} is declared {kind!r}; it must be one of {', '.join(allowed)}."
                + (f" Did you mean {near[0]!r}?" if near else "")
            )
