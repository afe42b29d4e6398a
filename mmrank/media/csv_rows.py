"""CSV and TSV files as records, whoever wrote them: the encoding, the separator and the quotes are found out.

UTF-8 (with or without a byte-order mark), UTF-16 with one, else Windows' cp1252, which is said. Comma, semicolon, tab
or bar. A quoted field may hold line breaks; a quote that is never closed is reported, and so is a record that has more
fields than the header. One with fewer is filled up with nothing.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from mmrank.errors import MediaError
from mmrank.media.uri import cause, printable

SEPARATORS = ",;\t|"

SAMPLE_RECORDS = 50
"""Records that are looked at to find the separator."""

_READ_BYTES = 1 << 20
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvForm:
    """How a file is written: its encoding, its separator, and the names in its first record."""

    encoding: str
    separator: str
    names: tuple[str, ...]


def csv_form(path: Path) -> CsvForm:
    """Find out how a CSV is written. Raises `MediaError` when it cannot be read, or has no names in its first line."""
    try:
        encoding = _encoding(path)
        separator = _separator(path, encoding)
        with path.open(encoding=encoding, newline="") as file:
            names = next(csv.reader(file, delimiter=separator), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"{printable(path)} cannot be read as CSV: {cause(error)}.") from error
    if not any(name.strip() for name in names):
        raise MediaError(f"{printable(path)} has no column names in its first line.")
    named = tuple(name if name.strip() else f"column_{place}" for place, name in enumerate(names, 1))
    return CsvForm(encoding=encoding, separator=separator, names=named)


def csv_records(path: Path, form: CsvForm) -> Iterator[dict[str, str] | str]:
    """Records as column -> cell, cells that are empty left out; for a line that is none, why. Blank lines are passed.

    Raises `MediaError` when the file cannot be read to its end.
    """
    reader = None
    try:
        with path.open(encoding=form.encoding, newline="") as file:
            lines = _Lines(file)
            reader = csv.reader(lines, delimiter=form.separator)
            next(reader, None)
            began = reader.line_num + 1
            for cells in reader:
                if lines.ended:  # a record ends with its line, so it asked for another only if a quote is open
                    yield f"the quote that opens in line {began} or below is never closed; the rest of the file is lost"
                elif len(cells) > len(form.names) and any(cells[len(form.names) :]):
                    yield f"line {began} has {len(cells) - len(form.names)} fields more than the header"
                elif any(cells):  # a line of separators alone is a blank one
                    yield {name: cell for name, cell in zip(form.names, cells, strict=False) if cell}
                began = reader.line_num + 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        line = "" if reader is None else f" beyond line {reader.line_num}"
        raise MediaError(f"{printable(path)} cannot be read as CSV{line}: {cause(error)}.") from error


class _Lines:
    """The lines of a file, and whether it was asked for one more than there are."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            self.ended = True
            raise StopIteration
        return line


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
        for mark, name in _BOMS:
            if head.startswith(mark):
                return name
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block := file.read(_READ_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _separator(path: Path, encoding: str) -> str:
    """The one that cuts the most records into as many fields as the header has, at least two."""
    best, most = "\t" if path.suffix.lower() == ".tsv" else ",", (0.0, 0)
    for separator in dict.fromkeys(best + SEPARATORS):
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=separator)
            header = next(reader, [])
            sample = [len(record) for record, _ in zip(reader, range(SAMPLE_RECORDS), strict=False) if record]
        if len(header) < 2:
            continue
        share = sum(count == len(header) for count in sample) / len(sample) if sample else 1.0
        if (share, len(header)) > most:
            best, most = separator, (share, len(header))
    return best
