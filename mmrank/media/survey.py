"""A first pass over a table: what each column holds, and which ids come more than once.

Costs 16 bytes a row, whatever is in it, and a reading of the file.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmrank.errors import MediaError
from mmrank.media.column_types import Maker, maker_of
from mmrank.media.columns import plain_name

MAX_COLUMNS = 1_000
"""More different keys than this in a JSONL file are values in the place of keys."""

ODD_SHARE = 0.02
"""A column of numbers or dates with at most this share of other text is worth a word: it is text because of them."""

SURE_CELLS = 10
"""Of fewer cells nobody can say what their column was meant to be."""


@dataclass(slots=True)
class ColumnLook:
    """How often its filled cells look like what, and the first that is text: (row, cell)."""

    kinds: Counter[str] = field(default_factory=Counter)
    text: tuple[int, str] | None = None

    @property
    def maker(self) -> Maker | None:
        return maker_of(set(self.kinds))

    @property
    def trouble(self) -> str | None:
        """Why a column that was nearly of one type is text, None where nothing is to say."""
        others = self.kinds.total() - self.kinds["text"]
        named = {"integer": "numbers", "number": "numbers", "truth": "booleans"}
        kinds = {named.get(kind, "dates" if kind in ("date", "time", "zoned time") else kind) for kind in self.kinds}
        if self.text is None or not kinds & {"numbers", "booleans", "dates"}:
            return None
        row, cell = self.text
        if self.kinds["text"] > max(1, ODD_SHARE * others) or others < SURE_CELLS or cell.isdecimal():
            return None  # 0123 among numbers is a code, and text is what it should be
        first = f"row {row:,}, {cell[:40]!r}" + (f", and {self.kinds['text'] - 1:,} more" * (self.kinds["text"] > 1))
        return f"{others:,} cells are {' or '.join(sorted(kinds - {'text'}))}, but kept as text because of {first}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """`names`: the columns as they are written. `looks`: by plain name. `repeated`: hash of an id that comes more
    than once -> the last row that has it (rows count from 1)."""

    names: tuple[str, ...]
    looks: Mapping[str, ColumnLook]
    repeated: Mapping[int, int]


def id_text(value: object) -> str | None:
    """The id a cell gives, None when it is empty.

    >>> id_text(7), id_text("")
    ('7', None)
    """
    return None if value is None or value == "" else str(value)


def survey(
    rows: Iterable[Mapping[str, Any] | str], id_column: str | None, look: Callable[[Any], str] | None, path: object
) -> Survey:
    """Read all rows once. `look`: tells a filled cell's kind; None where the file itself says the types.

    Raises `MediaError` when there are more than MAX_COLUMNS different columns.
    """
    names: dict[str, str] = {}
    looks: dict[str, ColumnLook] = {}
    hashes, numbers = array("q"), array("q")
    for number, row in enumerate(rows, 1):
        if isinstance(row, str):
            continue
        for name, cell in row.items():
            plain = plain_name(name)
            if plain not in names:
                names[plain] = name
                if len(names) > MAX_COLUMNS:
                    raise MediaError(f"{path} has more than {MAX_COLUMNS:,} different columns; it is no table.")
            if plain == id_column and (text := id_text(cell)) is not None:
                hashes.append(hash(text))
                numbers.append(number)
            if look is None or cell is None or cell == "":
                continue
            column = looks.get(plain)
            if column is None:
                column = looks[plain] = ColumnLook()
            kind = look(cell)
            column.kinds[kind] += 1
            if kind == "text" and column.text is None:
                column.text = (number, str(cell))
    return Survey(names=tuple(names.values()), looks=looks, repeated=_repeated(hashes, numbers))


def _repeated(hashes: array[int], numbers: array[int]) -> dict[int, int]:
    if not hashes:
        return {}
    ids = np.frombuffer(hashes, np.int64)
    order = np.argsort(ids, kind="stable")
    same = ids[order][1:] == ids[order][:-1]
    rows = np.frombuffer(numbers, np.int64)
    # the order is stable, so that of each id's rows the last is written last
    return {int(ids[place]): int(rows[place]) for place in order[1:][same]}
