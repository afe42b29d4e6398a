"""Writes that other processes may race: tried again from the newest version until they are in."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from mmrank.errors import IndexStoreError

T = TypeVar("T")

ATTEMPTS = 12
"""Lance itself retries a merge up to 10 times before it gives up; a dozen rounds of that outlast any honest race."""

FIRST_PAUSE = 0.02
"""Seconds before the second attempt: about one small commit. Doubled each time, up to `LONGEST_PAUSE`."""

LONGEST_PAUSE = 1.0

_CONFLICT_WORDS = ("conflict", "concurrent", "preempted", "append with different schema")
"""How Lance words a lost race. It raises plain RuntimeError, so the text is all there is to tell it by:
"Retryable commit conflict for version 5: This Merge transaction was preempted by concurrent transaction ...", and
"Append with different schema: `price` should have type double but type was int64" where a column was widened."""


class Upserted(NamedTuple):
    """What an upsert did, as the table counted it."""

    added: int
    updated: int


def until_committed(table: Any, write: Callable[[], T]) -> T:
    """Run `write`; when another writer came first, look at the newest version and run it again.

    Raises `IndexStoreError` when it loses every time, and whatever `write` raises otherwise.
    """
    pause = FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return write()
        except RuntimeError as error:
            if not any(word in str(error).lower() for word in _CONFLICT_WORDS):
                raise
            if attempt == ATTEMPTS:
                raise IndexStoreError(
                    f"Table {table.name!r} was changed by others faster than this write could be made, "
                    f"{ATTEMPTS} times in a row. Run it again when fewer processes write to this index. ({error})"
                ) from error
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(2 * pause, LONGEST_PAUSE)
        table.checkout_latest()
    raise AssertionError("unreachable")


def delete(table: Any, condition: str) -> None:
    """Remove the rows an SQL condition holds for."""
    until_committed(table, lambda: table.delete(condition))


def upsert(table: Any, rows: pa.Table, key: str = "id") -> Upserted:
    """Put rows in by key, each key at most once in `rows`: one commit, all or nothing.

    A column of the table that `rows` lacks keeps its value, or is null in new rows. Vectors must have been checked
    before: LanceDB turns those with NaN into nulls here, because its other settings refuse the nulls that
    `text_vector` is meant to hold.
    """
    if not rows.num_rows:
        return Upserted(0, 0)

    def write() -> Upserted:
        merge = table.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
        result = merge.execute(rows, on_bad_vectors="null")
        return Upserted(result.num_inserted_rows, result.num_updated_rows)

    return until_committed(table, write)
