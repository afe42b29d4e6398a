"""A column of whole numbers becomes one of floats, while others read and write.

Lance casts no int64 to float64 in place. So the values are copied into a column beside the old one, the two change
names in one commit (a reader finds the column at every moment, before as int, after as float), and the old one goes::

    price                      int64
    price, _wide_price         int64, float64    values copied
    _was_price, price          int64, float64    one commit: names exchanged
    price                      float64

A kill leaves ``_wide_price`` or ``_was_price`` behind; the next build goes on from there (`settle`). Whole numbers
that another process wrote meanwhile lie in ``_was_price``; they are brought over from its last version.
"""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Any

import pyarrow as pa

from mmrank.errors import IndexStoreError
from mmrank.index.commit import until_committed
from mmrank.index.filters import LANCE_ERRORS, one_of

FLOAT_EXACT = 2**53
"""Whole numbers up to this are exact in float64."""

WIDE, WAS = "_wide_", "_was_"
"""Metadata keys never get a column that begins with ``_`` (`mmrank.index.metadata.column_name`)."""

TRIES = 8


def widen(table: Any, name: str) -> bool:
    """Make an int column a float column, in about 50 ms for 200,000 rows. Several processes may do so at once.

    Returns False, and changes nothing, where a whole number beyond 2^53 is in it, which a float would not hold.
    Raises `IndexStoreError` when others change the table faster than that can be done.
    """
    for attempt in range(1, TRIES + 1):
        table.checkout_latest()
        try:
            if not pa.types.is_int64(table.schema.field(name).type):
                break
            if table.count_rows(f"{name} > {FLOAT_EXACT} OR {name} < -{FLOAT_EXACT}"):
                return False
            if WIDE + name not in table.schema.names:
                table.add_columns({WIDE + name: f"cast({name} as double)"})
            table.alter_columns({"path": name, "rename": WAS + name}, {"path": WIDE + name, "rename": name})
            break
        except LANCE_ERRORS as error:  # another process is at the same, or wrote rows meanwhile
            if attempt == TRIES:
                raise IndexStoreError(
                    f"Column {name!r} could not be changed from int to float, {TRIES} times in a row; run it again "
                    f"when fewer processes write to this index. ({error})"
                ) from error
            time.sleep(0.05 * attempt * random.uniform(0.5, 1.5))
    settle(table)
    return True


def settle(table: Any) -> None:
    """Finish what a killed `widen` left: drop columns that are of no use any more, and keep what late writers wrote."""
    table.checkout_latest()
    for left in [name for name in table.schema.names if name.startswith((WIDE, WAS))]:
        # A wide copy beside an int column may be at work in another process; its exchange would fail, and be repeated.
        try:
            dropped = int(table.drop_columns([left]).version)
        except LANCE_ERRORS:
            table.checkout_latest()
            if left in table.schema.names:  # else another process dropped it
                raise
            continue
        table.checkout_latest()
        if left.startswith(WAS):
            _carry_over(table, left.removeprefix(WAS), dropped - 1)


def _carry_over(table: Any, name: str, version: int) -> None:
    """Bring values that were written as int after they were copied: at `version`, the last with both columns.

    There they differ from the copy, which is of whole numbers only: a float that someone has written since the
    exchange is no whole number, and stays. A row that was written again since then is left as it is.
    """
    import lancedb

    old, value = WAS + name, f"cast({WAS}{name} as double)"
    whole = f"{name} = cast(cast({name} as bigint) as double)"
    late = f"{old} IS NOT NULL AND ({name} IS NULL OR ({name} != {value} AND {whole}))"
    folder = str(table.uri).rstrip("/").rpartition("/")[0]
    before = lancedb.connect(folder).open_table(table.name, version=version)  # a handle of its own: this one is shared
    rows = before.search().where(late).select(["id", name, old]).to_arrow().to_pylist()
    for row in rows:
        stale = f"{name} IS NULL" if row[name] is None else f"{name} = {row[name]!r}"
        mine = f"{one_of('id', [row['id']])} AND {stale}"
        until_committed(table, partial(table.update, where=mine, values={name: float(row[old])}))
