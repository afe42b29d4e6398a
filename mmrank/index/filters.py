"""SQL conditions over the items table, and errors that say what a filter may name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mmrank.errors import UsageError
from mmrank.index.schema import TEXT_VECTOR, VECTOR

LANCE_ERRORS = (RuntimeError, ValueError, OSError)
"""What LanceDB raises: parse and schema errors as ValueError, execution as RuntimeError, files that are gone as
OSError or RuntimeError."""

ITEM_HIDDEN = frozenset({"content", VECTOR, TEXT_VECTOR})
"""Columns that are no part of an Item."""


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


def both(*conditions: str | None) -> str | None:
    """All of the conditions that are given; None when none is.

    >>> both("a = 1 OR b = 2", None, "c = 3")
    '(a = 1 OR b = 2) AND (c = 3)'
    """
    given = [c for c in conditions if c is not None]
    return " AND ".join(f"({c})" for c in given) if len(given) > 1 else (given[0] if given else None)


def item_columns(table: Any) -> list[str]:
    """The columns an Item is made of: all but vectors and hashes."""
    return [name for name in table.schema.names if name not in ITEM_HIDDEN]


def check_filter(table: Any, where: str | None) -> None:
    """Raise `UsageError` when Lance cannot read this filter; nothing when it can (or there is none)."""
    if where is None:
        return
    try:
        table.search().where(where).select(["kind"]).limit(1).to_arrow()
    except LANCE_ERRORS as error:
        detail = str(error).split("\n", maxsplit=1)[0]
        raise UsageError(
            f"The filter {where!r} cannot be used: {detail} "
            f"A filter is a SQL condition over the columns {', '.join(item_columns(table))}; "
            "for example: kind = 'image' AND uri LIKE '%2024%'."
        ) from error
