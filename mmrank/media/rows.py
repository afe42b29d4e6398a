"""Rows of CSV, TSV, JSONL, Parquet and Arrow files as Items with metadata, streamed.

Which column plays which part: `mmrank.media.columns`. What the other columns hold is judged by all of their cells
(`mmrank.media.column_types`), so the file is read twice; of Parquet and Arrow files only the column of ids is.

Rows count from 1, a CSV's header not counted. A bad row is reported and the next one read. Of several rows with one
id the last is kept. Pictures that lie in a table's cells have the uri ``FILE#row=N&column=NAME``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrank.errors import MediaError
from mmrank.media.columns import MEDIA, Columns, Roles, plain_name
from mmrank.media.row_items import MissingMediaError, row_items
from mmrank.media.survey import Survey, id_text
from mmrank.media.tables import ROW_SUFFIXES, Row, Table, open_table
from mmrank.media.uri import path_uri, printable
from mmrank.types import Item, MetaValue

__all__ = ["MAX_BAD_ROWS", "ROW_SUFFIXES", "Note", "read_rows"]

MAX_BAD_ROWS = 100
"""A file that begins with so many bad rows and no good one is not a collection, and is not reported row by row."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something to say about what was read all the same: the uri of the row or file, and what."""

    uri: str
    what: str


def read_rows(
    path: str | Path, base_id: str, columns: Columns | None = None, extra: Mapping[str, MetaValue] | None = None
) -> Iterator[Item | Note | tuple[str, str]]:
    """The Items of a data file in order; for a row that is none, (uri, why); what there is to say besides as Notes.

    `base_id`: the data file's id, which rows without an id of their own are counted under. `columns`: which column
    plays which part. `extra`: metadata of every row that has none of that name.
    A picture, video or PDF that a row names and that is not there is reported under its own uri, with the row.
    Raises `MediaError` when the file as a whole cannot be read, lacks a column, or has none to make Items of.
    """
    path, columns = Path(path), columns or Columns({})
    table = open_table(path)
    survey = table.survey(columns.id_column)
    roles = columns.resolve(survey.names, path, image=table.picture_column)
    names = {plain_name(name): name for name in survey.names}
    cells, repeats = _Cells(table, survey, roles), _Repeats(survey, roles)
    good = False
    for number, row in enumerate(table.rows({column for role in MEDIA for column in roles[role]}), 1):
        try:
            if isinstance(row, str):
                raise MediaError(row)
            if repeats.comes_again(row, number):
                continue
            values = {**(extra or {}), **cells.typed(row, number)}
            yield from row_items(
                values, number, table=path, names=names, roles=roles, default_id=f"{base_id}#row={number}"
            )
            good = True
        except MissingMediaError as error:
            yield error.uri, f"row {number:,} of {printable(path)} names {printable(error.uri)}: {error}"
            good = True
        except (MediaError, ValueError) as error:
            yield path_uri(path, f"row={number}"), str(error)
            if number >= MAX_BAD_ROWS and not good:
                raise MediaError(
                    f"none of the first {number} rows of {printable(path)} makes an Item; the rest is not read."
                ) from error
    for what in (*table.notes, *repeats.notes, *cells.notes):
        yield Note(path_uri(path), what)


class _Repeats:
    """Rows whose id comes again below: passed over, and named when the last one has other content."""

    def __init__(self, survey: Survey, roles: Roles) -> None:
        self._last = survey.repeated
        self._id = next(iter(roles["id"]), "")
        self._earlier: dict[int, tuple[int, int]] = {}
        """Hash of an id -> the first row that has it, and the hash of its content."""
        self.notes: list[str] = []

    def comes_again(self, row: Row, number: int) -> bool:
        """Whether a later row has the same id; of this one nothing is to be made then."""
        if not self._last or (text := id_text(row.get(self._id))) is None or (key := hash(text)) not in self._last:
            return False
        content = hash(repr(sorted(row.items(), key=lambda cell: cell[0])))
        first, before = self._earlier.setdefault(key, (number, content))
        if number < self._last[key]:
            return True
        if content != before:
            self.notes.append(
                f"rows {first:,} and {number:,} have the id {text!r} and different content; row {number:,} is kept"
            )
        return False


class _Cells:
    """The cells of metadata columns as what their columns are."""

    def __init__(self, table: Table, survey: Survey, roles: Roles) -> None:
        own = {column for columns in roles.values() for column in columns}
        self._table = table
        self._looks = {name: look for name, look in survey.looks.items() if name not in own}
        self._makers = {name: look.maker for name, look in self._looks.items()}
        self._odd: dict[str, tuple[int, int, str]] = {}
        """Column -> (cells that look like the others and are none, the first one's row, and the cell)."""

    def typed(self, row: Row, number: int) -> Row:
        return {name: self._value(name, cell, number) for name, cell in row.items()}

    def _value(self, name: str, cell: Any, number: int) -> Any:
        if cell is None or cell == "" or name not in self._looks:
            return cell
        make = self._makers[name]
        if make is None:
            return self._table.as_text(cell)
        try:
            return make(cell)
        except (ValueError, OverflowError):
            count, first, what = self._odd.get(name, (0, number, str(cell)[:40]))
            self._odd[name] = (count + 1, first, what)
            return None

    @property
    def notes(self) -> Iterator[str]:
        for name, look in self._looks.items():
            if what := look.trouble:
                yield f"column {name!r}: {what}"
        for name, (count, first, what) in self._odd.items():
            more = f", and {count - 1:,} more" if count > 1 else ""
            yield f"column {name!r} holds dates, and row {first:,} has {what!r}{more}; left empty there"
