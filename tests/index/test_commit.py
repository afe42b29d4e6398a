from __future__ import annotations

import pyarrow as pa
import pytest

from mmrank.errors import IndexStoreError
from mmrank.index import commit
from mmrank.index.commit import delete, until_committed, upsert
from mmrank.index.schema import THUMBNAILS_SCHEMA
from mmrank.index.store import Store


def _rows(**jpegs: bytes) -> pa.Table:
    return pa.table({"id": list(jpegs), "jpeg": list(jpegs.values())}, schema=THUMBNAILS_SCHEMA)


def test_upsert_counts_what_is_new_and_what_is_not(store: Store) -> None:
    assert upsert(store.thumbnails, _rows(a=b"1", b=b"2")) == (2, 0)
    assert upsert(store.thumbnails, _rows(b=b"3", c=b"4")) == (1, 1)
    assert upsert(store.thumbnails, _rows()) == (0, 0)
    kept = store.thumbnails.to_arrow().to_pylist()
    assert {row["id"]: row["jpeg"] for row in kept} == {"a": b"1", "b": b"3", "c": b"4"}


def test_two_handles_that_insert_the_same_new_key_leave_one_row(store: Store) -> None:
    other = Store.open(store.uri)
    assert upsert(store.thumbnails, _rows(a=b"1")).added == 1
    upsert(other.thumbnails, _rows(a=b"2"))  # its handle has not seen the first
    store.refresh()
    assert store.thumbnails.to_arrow().to_pylist() == [{"id": "a", "jpeg": b"2"}]


def test_a_lost_race_is_run_again_from_the_newest_version(store: Store) -> None:
    other = Store.open(store.uri)
    other.items.add_columns([pa.field("year", pa.int64())])
    seen: list[bool] = []

    def write() -> None:
        there = "year" in store.items.schema.names
        seen.append(there)
        if not there:
            store.items.add_columns([pa.field("year", pa.int64())])  # real Lance conflict: the handle is old

    until_committed(store.items, write)
    assert seen == [False, True]


def test_losing_every_race_is_an_error_that_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "ATTEMPTS", 3)
    monkeypatch.setattr(commit, "FIRST_PAUSE", 0.0)
    tried = 0

    def write() -> None:
        nonlocal tried
        tried += 1
        raise RuntimeError("lance error: Retryable commit conflict for version 5")

    with pytest.raises(IndexStoreError, match=r"'items' was changed by others.* 3 times"):
        until_committed(store.items, write)
    assert tried == 3


def test_other_errors_are_not_tried_again(store: Store) -> None:
    with pytest.raises(RuntimeError, match="disk full"):
        until_committed(store.items, lambda: (_ for _ in ()).throw(RuntimeError("disk full")))


def test_delete(store: Store) -> None:
    upsert(store.thumbnails, _rows(a=b"1", b=b"2"))
    delete(store.thumbnails, "id IN ('a')")
    assert store.thumbnails.count_rows() == 1
