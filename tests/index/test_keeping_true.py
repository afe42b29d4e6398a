"""The same command again: what is opened, hashed, embedded and written, and what is not."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmrank.embed.base import Embedder
from mmrank.index.build import add
from mmrank.index.index import Index
from mmrank.index.report import AddReport
from mmrank.index.schema import SOURCE, STAMP
from mmrank.index.store import Store
from mmrank.media.load import digest
from mmrank.media.scan import scan
from mmrank.types import Item

WriteImages = Callable[..., Path]

LONG_AGO = time.time() - 3600

_opened: list[str] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str):
        _opened.append(arguments[0])


sys.addaudithook(_listen)


@contextmanager
def opened(below: Path) -> Iterator[list[str]]:
    """The files below a folder that Python opens meanwhile."""
    global _opened  # noqa: PLW0603 - an audit hook stays for good, so it is told when to listen
    files: list[str] = []
    _opened = []
    try:
        yield files
    finally:
        files += [path for path in _opened if path.startswith(f"{below}{os.sep}")]
        _opened = None


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the items that are hashed, as they are."""
    ids: list[str] = []

    def noted(item: Item) -> str:
        ids.append(item.id)
        return digest(item)

    monkeypatch.setattr("mmrank.index.work.digest", noted)
    return ids


def settle(folder: Path) -> None:
    """Make all files old enough to be told by their time."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO, LONG_AGO))


def rows(store: Store) -> dict[str, dict[str, Any]]:
    store.refresh()
    return {row["id"]: row for row in store.items.to_arrow().to_pylist()}


def counts(report: AddReport) -> tuple[int, int, int, int]:
    return report.added, report.updated, report.unchanged, len(report.failed)


@pytest.fixture
def folder(tmp_path: Path, write_images: WriteImages) -> Path:
    made = write_images(tmp_path / "in", 40)
    settle(made)
    return made


def test_a_second_run_opens_hashes_embeds_and_writes_nothing(
    store: Store, watched: Any, folder: Path, hashed: list[str]
) -> None:
    add(store, watched, scan(folder))
    assert len(hashed) == 40
    version = store.refresh()
    hashed.clear()
    watched.embedded = []
    with opened(folder) as files:
        assert counts(add(store, watched, scan(folder))) == (0, 0, 40, 0)
    assert (files, hashed, watched.embedded) == ([], [], [])
    assert store.refresh() == version


def test_verify_hashes_everything_and_finds_what_no_time_shows(
    store: Store, watched: Any, folder: Path, hashed: list[str]
) -> None:
    add(store, watched, scan(folder))
    path = folder / "0003.jpg"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1  # within the picture, the length as it was
    path.write_bytes(content)
    os.utime(path, (LONG_AGO, LONG_AGO))
    hashed.clear()
    assert counts(add(store, watched, scan(folder))) == (0, 0, 40, 0)
    assert hashed == []
    assert counts(add(store, watched, scan(folder), verify=True)) == (0, 1, 39, 0)
    assert len(hashed) == 40


def test_a_file_written_twice_within_a_tick_of_its_clock_is_noticed(
    store: Store, watched: Any, folder: Path, write_images: WriteImages, tmp_path: Path
) -> None:
    other = (write_images(tmp_path / "other", 1, seed=7) / "0000.jpg").read_bytes()
    path = folder / "0000.jpg"
    size = max(len(other), path.stat().st_size)
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    add(store, watched, scan(folder))
    before = rows(store)
    path.write_bytes(other.ljust(size, b"\0"))
    os.utime(path, ns=(now, now))  # the same size, the same time
    assert counts(add(store, watched, scan(folder))) == (0, 1, 39, 0)
    after = rows(store)
    changed = next(name for name in after if name.endswith("0000.jpg"))
    assert after[changed]["vector"] != before[changed]["vector"]


def test_a_touched_file_is_hashed_once_and_gets_its_new_stamp(
    store: Store, watched: Any, folder: Path, hashed: list[str]
) -> None:
    add(store, watched, scan(folder))
    before = rows(store)
    os.utime(folder / "0005.jpg", (LONG_AGO + 60, LONG_AGO + 60))
    hashed.clear()
    watched.embedded = []
    assert counts(add(store, watched, scan(folder))) == (0, 0, 40, 0)
    assert [Path(name).name for name in hashed] == ["0005.jpg"]
    assert watched.embedded == []
    after = rows(store)
    touched = next(name for name in after if name.endswith("0005.jpg"))
    assert after[touched][STAMP] != before[touched][STAMP]
    assert {**after[touched], STAMP: before[touched][STAMP]} == before[touched]
    hashed.clear()
    add(store, watched, scan(folder))
    assert hashed == []


def test_other_metadata_rewrites_the_row_and_opens_nothing(
    store: Store, watched: Any, folder: Path, hashed: list[str]
) -> None:
    def priced(price: int) -> list[Item]:
        return [Item(id=p.name, kind="image", uri=str(p), meta={"price": price}) for p in sorted(folder.iterdir())]

    add(store, watched, priced(1))
    hashed.clear()
    watched.embedded = []
    with opened(folder) as files:
        assert counts(add(store, watched, [*priced(2)[:1], *priced(1)[1:]])) == (0, 1, 39, 0)
    assert (files, hashed, watched.embedded) == ([], [], [])
    assert rows(store)["0000.jpg"]["price"] == 2


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("in_memory", [False, True])
def test_another_caption_rewrites_the_row_and_embeds_nothing(
    store: Store, watched: Any, folder: Path, in_memory: bool, verify: bool
) -> None:
    def captioned(*captions: str | None) -> list[Item]:
        given = [
            {"image": path.read_bytes()} if in_memory else {"uri": str(path)}
            for path in sorted(folder.iterdir())[: len(captions)]
        ]
        named = zip(given, captions, strict=True)
        return [Item(id=f"p{n}", kind="image", text=text, **one) for n, (one, text) in enumerate(named)]

    add(store, watched, captioned("a red kite", None, "a grey owl"))
    before = rows(store)
    watched.embedded = []
    assert counts(add(store, watched, captioned("a red kite", None, "a grey owl"), verify=verify)) == (0, 0, 3, 0)
    assert counts(add(store, watched, captioned("a red kite", "a blue jay", None), verify=verify)) == (0, 2, 1, 0)
    assert watched.embedded == []
    after = rows(store)
    assert [after[f"p{n}"]["text"] for n in range(3)] == ["a red kite", "a blue jay", None]
    assert [after[name]["vector"] for name in before] == [before[name]["vector"] for name in before]
    index = Index(store, watched)
    assert [hit.item.id for hit in index.search("jay", mode="text")] == ["p1"]
    assert index.search("owl", mode="text").hits == ()
    assert counts(add(store, watched, captioned("a red kite", "a blue jay", None), verify=verify)) == (0, 0, 3, 0)


def test_one_picture_with_two_captions_is_embedded_once(store: Store, watched: Any, folder: Path) -> None:
    path = str(folder / "0000.jpg")
    items = [Item(id=text, kind="image", uri=path, text=text) for text in ("kite", "owl")]
    assert counts(add(store, watched, items)) == (2, 0, 0, 0)
    assert len(watched.embedded) == 1
    assert {name: row["text"] for name, row in rows(store).items()} == {"kite": "kite", "owl": "owl"}


def test_an_embedder_that_reads_captions_is_asked_again(store: Store, watched: Any, folder: Path) -> None:
    watched.embeds_captions = True
    item = Item(id="a", kind="image", uri=str(folder / "0000.jpg"), text="a kite")
    add(store, watched, [item])
    watched.embedded = []
    assert counts(add(store, watched, [replace(item, text="an owl")])) == (0, 1, 0, 0)
    assert watched.embedded == ["a"]


def test_an_index_of_an_older_mmrank_gets_its_stamps(
    store: Store, watched: Any, folder: Path, hashed: list[str]
) -> None:
    add(store, watched, scan(folder))
    store.items.drop_columns([STAMP, SOURCE])
    old = Store.open(store.uri)
    hashed.clear()
    watched.embedded = []
    assert counts(add(old, watched, scan(folder))) == (0, 0, 40, 0)
    assert (len(hashed), watched.embedded) == (40, [])
    hashed.clear()
    assert counts(add(Store.open(store.uri), watched, scan(folder))) == (0, 0, 40, 0)
    assert hashed == []


def test_one_changed_price_writes_one_row(store: Store, watched: Any, tmp_path: Path) -> None:
    def write(prices: list[int]) -> Path:
        path = tmp_path / "in" / "goods.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "price"])
            writer.writerows([f"good-{n}", f"the good number {n}", price] for n, price in enumerate(prices))
        return path

    prices = list(range(1_000))
    add(store, watched, scan(write(prices)))
    watched.embedded = []
    prices[500] = -1
    assert counts(add(store, watched, scan(write(prices)))) == (0, 1, 999, 0)
    assert watched.embedded == []
    assert rows(store)["good-500"]["price"] == -1


def test_a_moved_file_is_not_embedded_again_and_is_told_from_a_copy(
    store: Store, watched: Any, tmp_path: Path, media: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("0000.jpg", "0001.jpg", "report.pdf", "clip.mp4"):
        shutil.copy(media / name, folder)

    def scanned() -> Any:
        return scan(folder, span_seconds=0.5)

    first = add(store, watched, scanned())
    assert (first.added, first.moved) == (1 + 1 + 2 + 4, 0)
    before = {row["content"]: row for row in rows(store).values()}
    watched.embedded = []
    (folder / "0000.jpg").rename(folder / "renamed.jpg")
    shutil.copy(folder / "0001.jpg", folder / "copy.jpg")
    (folder / "moved").mkdir()
    (folder / "report.pdf").rename(folder / "moved" / "report.pdf")
    (folder / "clip.mp4").rename(folder / "moved" / "film.mp4")
    report = add(store, watched, scanned())
    assert (report.added, report.moved, report.unchanged) == (1 + 1 + 2 + 4, 1 + 2 + 4, 1)
    assert watched.embedded == []
    after = rows(store)
    assert len(after) == 16  # the old ones stay until they are pruned
    for row in after.values():
        assert row["vector"] == before[row["content"]]["vector"]
    frames = store.frames.to_arrow().to_pylist()
    assert len(frames) == 8


def test_a_moved_picture_takes_its_token_vectors_along(
    tmp_path: Path, pixel_tokens: Embedder, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.create(tmp_path / "index", pixel_tokens)
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(media / "0000.jpg", folder)
    add(store, pixel_tokens, scan(folder))
    assert store.tokens is not None
    before = store.tokens.to_arrow().to_pylist()
    (folder / "0000.jpg").rename(folder / "renamed.jpg")

    def embed(*_: object) -> None:
        raise AssertionError("nothing is to be embedded")

    monkeypatch.setattr(type(pixel_tokens), "embed", embed)
    report = add(store, pixel_tokens, scan(folder))
    assert (report.failed, report.added, report.moved) == ((), 1, 1)
    store.refresh()
    assert store.tokens.to_arrow().to_pylist() == before


def test_rows_remember_the_table_they_came_from(store: Store, watched: Any, tmp_path: Path) -> None:
    table = tmp_path / "rows.jsonl"
    table.write_text("".join(json.dumps({"id": f"r{n}", "text": f"row {n}"}) + "\n" for n in range(3)))
    add(store, watched, scan(table))
    assert {row[SOURCE] for row in rows(store).values()} == {str(table)}
    table.rename(tmp_path / "renamed.jsonl")
    watched.embedded = []
    assert counts(add(store, watched, scan(tmp_path / "renamed.jsonl"))) == (0, 0, 3, 0)
    assert watched.embedded == []
    assert {row[SOURCE] for row in rows(store).values()} == {str(tmp_path / "renamed.jsonl")}
