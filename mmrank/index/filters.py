"""SQL conditions over the items table, and errors that say what a filter may name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from mmrank.errors import UsageError
from mmrank.index.declared import type_name
from mmrank.index.schema import SOURCE, STAMP, TEXT_VECTOR, VECTOR

LANCE_ERRORS = (RuntimeError, ValueError, OSError)
"""What LanceDB raises: parse and schema errors as ValueError, execution as RuntimeError, files that are gone as
OSError or RuntimeError."""

ITEM_HIDDEN = frozenset({"content", VECTOR, TEXT_VECTOR, STAMP, SOURCE})
"""Columns that are no part of an Item."""


_TOKENS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/|[()]""", re.DOTALL)
"""What brackets are told from: quoted texts and names, comments; and the brackets themselves."""


def quoted(text: str) -> str:
    """A SQL string literal.

    >>> quoted("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def one_of(column: str, values: Iterable[str]) -> str:
    """True where the column holds one of the values; false everywhere when there are none."""
    listed = ", ".join(quoted(v) for v in values)
    return f"{column} IN ({listed})" if listed else "false"


def whole(condition: str) -> str:
    """A SQL condition in brackets, so that Lance reads all of it or refuses it.

    Lance parses the first complete expression and silently leaves what follows it: ``year > 2020 LIMIT 3`` would
    filter by ``year > 2020``. The line break ends a comment that would otherwise swallow the closing bracket.
    Raises `UsageError` for a ``)`` that closes nothing, which would end the brackets early.

    >>> whole("year > 2020")
    '(year > 2020\\n)'
    """
    depth = 0
    for token in _TOKENS.findall(condition):
        depth += (token == "(") - (token == ")")
        if depth < 0:
            raise UsageError(f"The filter {condition!r} has a ')' that closes no bracket; take it out or open one.")
    return f"({condition}\n)"


def both(*conditions: str | None) -> str | None:
    """All of the conditions that are given; None when none is.

    >>> both("a = 1 OR b = 2", None, "c = 3")
    '(a = 1 OR b = 2\\n) AND (c = 3\\n)'
    """
    return " AND ".join(whole(c) for c in conditions if c is not None) or None


def item_columns(table: Any) -> list[str]:
    """The columns an Item is made of: all but vectors and hashes."""
    return [name for name in table.schema.names if name not in ITEM_HIDDEN and not name.startswith("_")]


_FAULT = re.compile(r"(?:Schema error|sql parser error|invalid SQL predicate|Error during planning): (.*)")
_BESIDE = re.compile(r" Valid fields are .*|,? \S+\.rs:\d+:\d+\)?")
"""Lance's own list of columns (ours follows) and the place in its source."""


_LITERAL = re.compile(r"Received literal (\w+?)\((.+)\) and could not convert to literal of type '(\w+)")
_CAST = re.compile(r"Cast error: Cannot cast string '(.*)' to value of (\w+) type")
_WORDS = {
    "Utf8": "text",
    "LargeUtf8": "text",
    "Int64": "whole numbers",
    "Float64": "numbers",
    "Boolean": "true or false",
    "Date32": "dates",
    "Timestamp": "dates and times",
    "List": "lists of texts",
}
_WRITE = {
    "Utf8": "write texts in single quotes, as in brand = 'Leica'",
    "Float64": "write numbers without quotes, as in price < 80",
    "Int64": "write whole numbers without quotes, as in year >= 2020; cast(year as double) > 2.5 compares with others",
    "Boolean": "write the column alone, or NOT and the column",
    "Date32": "write dates as in taken >= date '2025-01-31'",
    "Timestamp": "write times as in taken >= timestamp '2025-01-31 18:00:00'",
    "List": "ask what is in them, as in array_has(tags, 'cat')",
}


def _mismatch(text: str) -> str | None:
    """What Lance says of a value of another type than its column, in plain words and with what to write."""
    if found := _LITERAL.search(text):
        given, wanted = found[2].replace('"', "'"), found[3]
        return f"{given} is compared with a column of {_WORDS.get(wanted, wanted)}; {_WRITE.get(wanted, 'write those')}"
    if found := _CAST.search(text):
        return f"'{found[1]}' is none of the {_WORDS.get(found[2], found[2])}; {_WRITE.get(found[2], 'write those')}"
    return None


def _reason(error: Exception) -> str:
    """What Lance has against a filter, without its wrapping."""
    text = " ".join(str(error).split())
    if mismatch := _mismatch(text):
        return mismatch
    found = _FAULT.search(text)
    reason = _BESIDE.sub("", found[1] if found else text).rstrip("., ")
    # The closing bracket that Lance waits for is ours (`whole`); the caller's condition was over before that word.
    reason = re.sub(r"^Expected: \), found: (.+?)\)*$", r"\1 cannot stand there", reason)
    return re.sub(r"found: \)+$", "found: its end", reason)


_UNKNOWN = re.compile(r'No field named "?([^".]+)"?')


def _near(reason: str, columns: list[str]) -> str:
    """What may have been meant by a column that is not there; nothing when the reason says it, or nothing is near."""
    found = _UNKNOWN.search(reason)
    if found is None or "Did you mean" in reason:
        return ""
    near = difflib.get_close_matches(found[1].lower(), columns, n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else f" Texts go in single quotes: '{found[1]}'."


def _typed_columns(table: Any) -> str:
    """The columns a filter may name; those that are no texts with their types."""
    kinds = {name: type_name(table.schema.field(name).type) for name in item_columns(table)}
    return ", ".join(name if kind == "str" else f"{name} ({kind})" for name, kind in kinds.items())


def check_filter(table: Any, where: str | None) -> None:
    """Raise `UsageError` when Lance cannot read this filter to its end; nothing when it can (or there is none).

    Raises what Lance raises when the table cannot be read at all: then no filter is to blame.
    """
    if where is None:
        return
    condition = whole(where)
    try:
        table.search().where(condition).select(["kind"]).limit(1).to_arrow()
    except LANCE_ERRORS as error:
        table.search().select(["kind"]).limit(1).to_arrow()
        reason = _reason(error)
        raise UsageError(
            f"The filter {where!r} cannot be used: {reason}.{_near(reason, item_columns(table))} "
            f"A filter is a SQL condition over the columns {_typed_columns(table)}; "
            "for example: kind = 'image' AND uri LIKE '%2024%'."
        ) from error
