"""What a build knows of the rows before it, without asking the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from mmrank.embed.base import Embedder
from mmrank.index.build import add
from mmrank.index.known import Known
from mmrank.index.stamps import stamp
from mmrank.index.store import Store
from mmrank.media.load import digest
from mmrank.types import Item, MetaValue

META: dict[str, MetaValue] = {
    "price": 3,
    "weight": 1.5,
    "name": "größe",
    "fresh": True,
    "tags": ("a", "b"),
    "day": date(2025, 1, 1),
    "taken": datetime(2025, 1, 1, 12, 30, 5, 17),
    "sent": datetime(2025, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))),
    "unknown": None,
}
NOTE = Item(id="a", kind="text", text="a note", uri="/n.txt", parent="p", meta=META)


def same(known: Known, item: Item, source: str | None = None) -> bool:
    return known.same(item, None, digest(item), source)


@pytest.fixture
def known(store: Store, embedder: Embedder) -> Known:
    add(store, embedder, [NOTE, *(Item(id=str(n), kind="text", text=f"note {n}") for n in range(100))])
    return Known.of(store)


def test_what_is_in_the_table_is_the_same(known: Known) -> None:
    assert same(known, NOTE)
    assert same(known, replace(NOTE, meta={**META, "sent": datetime(2025, 1, 1, 10, tzinfo=UTC)}))
    assert all(same(known, Item(id=str(n), kind="text", text=f"note {n}")) for n in range(100))


@pytest.mark.parametrize("key", sorted(META))
def test_every_difference_in_metadata_is_seen(known: Known, key: str) -> None:
    other: MetaValue = "now known" if META[key] is None else None
    assert not same(known, replace(NOTE, meta={**META, key: other}))


def test_numbers_whose_hashes_python_confuses_are_told_apart(store: Store, embedder: Embedder) -> None:
    item = replace(NOTE, meta={"price": -1})
    add(store, embedder, [item])
    known = Known.of(store)
    assert same(known, item)
    assert not same(known, replace(item, meta={"price": -2}))  # hash(-1) == hash(-2)


def test_every_other_difference_is_seen(known: Known) -> None:
    for other in (
        replace(NOTE, text="another"),
        replace(NOTE, uri=None),
        replace(NOTE, parent=None),
        replace(NOTE, id="b"),
    ):
        assert not same(known, other)
    assert not same(known, NOTE, source="/rows.csv")
    assert not known.same(replace(NOTE, meta={"price": "abc"}), None, digest(NOTE), None)


def test_what_is_about_to_change_is_forgotten(known: Known) -> None:
    assert known.has("a")
    assert known.holds("a")
    known.forget("a")
    known.forget("not there")
    assert known.has("a")
    assert not known.holds("a")
    assert not same(known, NOTE)


def test_with_verify_stamps_are_not_believed(
    store: Store, embedder: Embedder, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmrank.index.stamps.UNSETTLED", 0.0)
    item = Item(id="p", kind="image", uri=str(media / "0000.jpg"))
    add(store, embedder, [item])
    told = stamp(item)
    assert told is not None
    assert Known.of(store).stamped("p", told)
    assert Known.of(store).same(item, told, None, None)
    careful = Known.of(store, verify=True)
    assert not careful.stamped("p", told)
    assert not careful.same(item, told, "another content", None)
    assert careful.same(item, told, digest(item), None)


def test_an_empty_index_knows_nothing(store: Store) -> None:
    assert not Known.of(store).has("a")
