"""CSV, TSV, JSONL, Parquet and Arrow files behind one shape: named columns, rows read as often as one likes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from mmrank.errors import MediaError, UsageError
from mmrank.media.arrow_rows import ArrowTable
from mmrank.media.column_types import as_text, look_at_text, look_at_value
from mmrank.media.columns import Columns, plain_name
from mmrank.media.csv_rows import csv_form, csv_records
from mmrank.media.survey import Survey, survey
from mmrank.media.uri import cause, printable

ROW_SUFFIXES = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow"})

Row: TypeAlias = Mapping[str, Any]
"""A row by the plain names of its columns."""


class Table(Protocol):
    """One file of rows. `rows` gives a text, why, for what is no row."""

    @property
    def picture_column(self) -> str | None: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def names(self, wanted: Collection[str] = ()) -> tuple[str, ...]: ...

    def survey(self, id_column: str | None) -> Survey: ...

    def rows(self, keep: Collection[str]) -> Iterator[Row | str]: ...

    def as_text(self, cell: Any) -> Any: ...


def open_table(path: str | Path) -> Table:
    """The table in a file. Raises `MediaError` when it cannot be read as what its suffix says."""
    suffix = Path(path).suffix.lower()
    if suffix in (".parquet", ".arrow"):
        return _Arrow(Path(path))
    return _Csv(Path(path)) if suffix in (".csv", ".tsv") else _JsonLines(Path(path))


def check_columns(path: str | Path, columns: Columns) -> None:
    """Raise `UsageError` when a table lacks a column that was named for it; anything else is left to its reading."""
    if not columns.named:
        return
    try:
        names = open_table(path).names({plain_name(name) for name in columns.named})
    except MediaError:  # what cannot be read is on the report, as of any file
        return
    try:
        columns.resolve(names, path)
    except MediaError as error:
        raise UsageError(str(error)) from error


class _Csv:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._form = csv_form(path)
        self.picture_column = None
        odd = f"it is not in UTF-8 and was read as Windows text ({self._form.encoding})"
        self.notes = (odd,) if self._form.encoding == "cp1252" else ()

    def names(self, wanted: Collection[str] = ()) -> tuple[str, ...]:
        return self._form.names

    def survey(self, id_column: str | None) -> Survey:
        found = survey(csv_records(self._path, self._form), id_column, look_at_text, printable(self._path))
        return Survey(names=self._form.names, looks=found.looks, repeated=found.repeated)

    def rows(self, keep: Collection[str]) -> Iterator[Row | str]:
        empty = {plain_name(name): None for name in self._form.names}
        for record in csv_records(self._path, self._form):
            if isinstance(record, str):
                yield record
            else:
                yield {**empty, **{plain_name(name): cell for name, cell in record.items()}}

    def as_text(self, cell: Any) -> Any:
        return cell


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.picture_column = None
        self.notes = ()

    def names(self, wanted: Collection[str] = ()) -> tuple[str, ...]:
        """The keys of the rows up to the one that completes the wanted ones."""
        found: dict[str, str] = {}
        missing = set(wanted)
        for row in self._lines():
            if isinstance(row, dict):
                for name in row:
                    found.setdefault(plain_name(name), name)
                missing -= found.keys()
                if wanted and not missing:
                    break
        return tuple(found.values())

    def survey(self, id_column: str | None) -> Survey:
        return survey(self._lines(), id_column, look_at_value, printable(self._path))

    def rows(self, keep: Collection[str]) -> Iterator[Row | str]:
        for row in self._lines():
            yield row if isinstance(row, str) else {plain_name(name): value for name, value in row.items()}

    def as_text(self, cell: Any) -> Any:
        return as_text(cell)

    def _lines(self) -> Iterator[dict[str, Any] | str]:
        try:
            with self._path.open("rb") as file:
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
            raise MediaError(f"{printable(self._path)} cannot be read: {cause(error)}.") from error


class _Arrow:
    def __init__(self, path: Path) -> None:
        self._table = ArrowTable(path)
        self.picture_column = self._table.picture_column
        self.notes: tuple[str, ...] = ()

    def names(self, wanted: Collection[str] = ()) -> tuple[str, ...]:
        return self._table.names

    def survey(self, id_column: str | None) -> Survey:
        name = next((name for name in self._table.names if plain_name(name) == id_column), None)
        rows = self._table.rows([name]) if name is not None else ()
        found = survey(rows, id_column, None, printable(self._table.path))
        return Survey(names=self._table.names, looks={}, repeated=found.repeated)

    def rows(self, keep: Collection[str]) -> Iterator[Row | str]:
        """Of columns of bytes only those in `keep`."""
        bytes_elsewhere = {name for name in self._table.byte_columns if plain_name(name) not in keep}
        wanted = [name for name in self._table.names if name not in bytes_elsewhere]
        self.notes = tuple(f"column {name!r} holds bytes and is left out" for name in sorted(bytes_elsewhere))
        for row in self._table.rows(wanted):
            yield {plain_name(name): value for name, value in row.items()}

    def as_text(self, cell: Any) -> Any:
        return cell
