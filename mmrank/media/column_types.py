"""What a column of a text table holds, judged by all of its cells: so that ids such as 007 stay as they are.

A column is whole numbers, numbers, booleans, dates or times only if every filled cell is one; else it is text.
Numbers and dates are the ones written without doubt: ``12``, ``-0.5``, ``1e-3``; ``2025-02-28``,
``2025-02-28T18:00:00+01:00``. A JSON string is never taken for a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?((0|[1-9]\d*)?\.\d+([eE][+-]?\d+)?|(0|[1-9]\d*)[eE][+-]?\d+)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?")
_TRUTH = {"true": True, "false": False}
_BIG = 10**18

Maker = Callable[[Any], Any]
"""A filled cell to the value it is kept as; ValueError for one that looks like the others and is none."""


def look_at_text(text: str) -> str:
    """What a CSV cell looks like.

    >>> [look_at_text(cell) for cell in ("7", "007", "1.5", "TRUE", "2025-02-28", '["a", "b"]')]
    ['integer', 'text', 'number', 'truth', 'date', 'list']
    """
    if text.lower() in _TRUTH:
        return "truth"
    if _INTEGER.fullmatch(text):
        return "integer"
    if _NUMBER.fullmatch(text):
        return "number"
    if text.startswith("[") and _strings(text) is not None:
        return "list"
    return _moment(text) or "text"


def look_at_value(value: Any) -> str:
    """What a JSON value is."""
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int):
        return "integer" if abs(value) < _BIG else "number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return _moment(value) or "text"
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "list" if value else "empty list"
    return "nested"


def maker_of(kinds: set[str]) -> Maker | None:
    """How a column of these looks is made; None: as text.

    >>> maker_of({"integer", "number"})("2"), maker_of({"date"})("2025-02-28"), maker_of({"date", "text"})
    (2.0, datetime.date(2025, 2, 28), None)
    """
    if kinds == {"truth"}:
        return lambda cell: _TRUTH[str(cell).lower()]
    if kinds == {"integer"}:
        return int
    if kinds and kinds <= {"integer", "number"}:
        return float
    if kinds == {"date"}:
        return date.fromisoformat
    if kinds and kinds <= {"date", "time"}:
        return datetime.fromisoformat
    if kinds == {"zoned time"}:
        return lambda cell: datetime.fromisoformat(cell).astimezone(UTC)
    if "list" in kinds and kinds <= {"list", "empty list"}:
        return lambda cell: tuple(cell) if isinstance(cell, list) else _strings(cell)
    return None


def as_text(value: Any) -> str:
    """A JSON value as the text it is written as.

    >>> as_text(True), as_text("a"), as_text(1.5)
    ('true', 'a', '1.5')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(text: str) -> str | None:
    if not text[:4].isdigit():
        return None
    if _DATE.fullmatch(text):
        return "date"
    found = _TIME.fullmatch(text)
    return None if found is None else "zoned time" if found[3] else "time"


def _strings(text: str) -> tuple[str, ...] | None:
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(parts) if isinstance(parts, list) and all(isinstance(part, str) for part in parts) else None
