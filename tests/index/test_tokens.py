"""Token vectors kept beside the rows: written first, removed last, shared by equal contents, found again by id."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrank.embed.base import Embedded, Embedder
from mmrank.errors import IndexStoreError, UsageError
from mmrank.index import tokens, writer
from mmrank.index.index import Index
from mmrank.index.schema import PRIMARY_KEY
from mmrank.index.store import Store
from mmrank.media.load import digest, load
from mmrank.media.scan import scan
from mmrank.media.uri import item_id
from mmrank.types import Item, Query

WriteMedia = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, write_images: WriteMedia) -> Path:
    """Four pictures, the last a copy of the first."""
    pictures = write_images(tmp_path / "in", 3)
    shutil.copy(pictures / "0000.jpg", pictures / "copy.jpg")
    return pictures


@pytest.fixture
def index(tmp_path: Path, pixel_tokens: Embedder, folder: Path) -> Index:
    made = Index.create(tmp_path / "index", pixel_tokens)
    report = made.add(scan(folder))
    assert (report.added, report.failed) == (4, ())
    return made


def _expected(embedder: Embedder, items: Iterable[Item]) -> dict[str, np.ndarray]:
    """What the embedder gives each item by itself, as it is stored."""
    found = {}
    for item in items:
        loaded = load(item, size=embedder.needs.size, frames=embedder.needs.frames)
        embedded: Any = embedder.embed([embedder.prepare(loaded)])[0]
        found[item.id] = np.float32(embedded.token_vectors)
    return found


def _check(index: Index, embedder: Embedder, folder: Path) -> None:
    """The token vectors of every item of the folder, and no others."""
    items = list(scan(folder))
    expected = _expected(embedder, items)
    found = index.token_vectors([item.id for item in items])
    assert found.keys() == expected.keys()
    for name, rows in found.items():
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, expected[name])
    assert _contents(index) == sorted({digest(item) for item in items})


def _contents(index: Index) -> list[str]:
    table = index._store.find_tokens()
    assert table is not None
    kept: list[str] = sorted(table.search().select(["content"]).to_arrow()["content"].to_pylist())
    return kept


def test_kept_once_for_each_content(index: Index, pixel_tokens: Embedder, folder: Path) -> None:
    _check(index, pixel_tokens, folder)
    assert len(_contents(index)) == 3
    first, copy = (item_id(str(folder / name)) for name in ("0000.jpg", "copy.jpg"))
    found = index.token_vectors([copy, "unknown", first, copy])
    assert found.keys() == {first, copy}
    assert found[first] is found[copy]
    index.search_vectors(index.vectors([first]))  # the matrix is in memory now, and says whose content is whose
    assert index._viewer.view().loaded is not None
    _check(index, pixel_tokens, folder)
    assert index.token_vectors([]) == {}


def test_the_content_is_the_key(index: Index) -> None:
    table = index._store.find_tokens()
    assert table is not None
    assert table.schema.field("content").metadata == PRIMARY_KEY
    assert [index.columns for index in table.list_indices()] == [["content"]]
    assert tokens.put_tokens(table, dict.fromkeys(("unknown", _contents(index)[0]))) == {"unknown"}


def test_many_are_read_in_parts(
    index: Index, pixel_tokens: Embedder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "READ_ROWS", 2)
    _check(index, pixel_tokens, folder)


def test_large_groups_are_cut(
    tmp_path: Path, folder: Path, pixel_tokens: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_TOKEN_BYTES", 1)
    made = Index.create(tmp_path / "cut", pixel_tokens)
    made.late_interaction()  # nothing is in it yet, but it will have token vectors
    made.add(scan(folder), batch_size=1)
    assert made._store.items.stats()["fragment_stats"]["num_fragments"] == 4
    _check(made, pixel_tokens, folder)


def test_stats_say_what_is_held(index: Index, tmp_path: Path, embedder: Embedder) -> None:
    held = index.stats()["token_vectors"]
    assert held["contents"] == 3
    first = index.token_vectors([item.id for item in scan(tmp_path / "in")])
    assert held["vectors"] == sum(len(own) for own in {id(own): own for own in first.values()}.values())
    assert held["bytes"] >= held["vectors"] * 32 * 2
    assert Index.create(tmp_path / "pooled", embedder).stats()["token_vectors"] is None


def test_a_changed_page(index: Index, pixel_tokens: Embedder, folder: Path) -> None:
    Image.new("RGB", (40, 30), (200, 30, 30)).save(folder / "0002.jpg")
    report = index.add(scan(folder))
    assert (report.added, report.updated, report.unchanged) == (0, 1, 3)
    _check(index, pixel_tokens, folder)


def test_a_changed_page_and_one_that_moved(index: Index, pixel_tokens: Embedder, folder: Path) -> None:
    (folder / "copy.jpg").unlink()
    (folder / "0000.jpg").rename(folder / "moved.jpg")  # its content lives on under another id, in a later group
    Image.new("RGB", (40, 30), (200, 30, 30)).save(folder / "0000.jpg")
    report = index.add(scan(folder), prune=True)
    assert (report.added, report.updated, report.unchanged, report.removed) == (1, 1, 2, 1)
    assert report.failed == ()
    _check(index, pixel_tokens, folder)


def test_groups_of_one_and_a_page_that_moved(
    index: Index, pixel_tokens: Embedder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row that had the content is rewritten, on disk, before the one that gets it."""
    monkeypatch.setattr(writer, "FIRST_INTERVAL", 0.0)
    monkeypatch.setattr(writer, "INTERVAL_SHARE", 0.0)
    (folder / "0001.jpg").rename(folder / "zzzz.jpg")
    Image.new("RGB", (40, 30), (200, 30, 30)).save(folder / "0001.jpg")
    written = writer.upsert
    last: list[int] = []

    def counted(table: Any, rows: Any, *key: str) -> Any:
        if table.name == "items":
            last.append(rows.num_rows)
        return written(table, rows, *key)

    monkeypatch.setattr(writer, "upsert", counted)
    assert index.add(scan(folder), batch_size=1).failed == ()
    assert last == [1, 1]
    _check(index, pixel_tokens, folder)


def test_what_no_item_has_goes(index: Index, pixel_tokens: Embedder, folder: Path) -> None:
    first = item_id(str(folder / "0000.jpg"))
    index.delete(f"id = '{first}'")
    assert len(_contents(index)) == 3, "its copy still has that content"
    (folder / "0000.jpg").unlink()
    _check(index, pixel_tokens, folder)
    (folder / "copy.jpg").unlink()
    (folder / "0002.jpg").unlink()
    assert index.add(scan(folder), prune=True).removed == 2
    _check(index, pixel_tokens, folder)
    index.delete("true")
    assert _contents(index) == []
    index.optimize()
    index.add(scan(folder))
    _check(index, pixel_tokens, folder)


def test_other_metadata_embeds_nothing(index: Index, pixel_tokens: Embedder, folder: Path) -> None:
    table = index._store.find_tokens()
    assert table is not None
    before = table.version
    items = [Item(id=item.id, kind=item.kind, uri=item.uri, meta={"seen": 1}) for item in scan(folder)]
    assert index.add(items).updated == 4
    index._store.refresh()
    assert table.version == before, "token vectors were written again"
    assert index.add(items).unchanged == 4
    _check(index, pixel_tokens, folder)


_KILLED = """
import os, signal, sys
here, uri, folder = sys.argv[1:]
sys.path.insert(0, here)
from pixels import PixelTokenEmbedder
from mmrank.index import writer
from mmrank.index.index import Index
from mmrank.media.scan import scan
upsert = writer.upsert
def killed(table, rows, *key):
    if table.name == "items":
        os.kill(os.getpid(), signal.SIGKILL)
    return upsert(table, rows, *key)
writer.upsert = killed
Index.create(uri, PixelTokenEmbedder()).add(scan(folder))
"""


def test_killed_between_the_tables(tmp_path: Path, folder: Path, pixel_tokens: Embedder) -> None:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", _KILLED, here, str(tmp_path / "index"), str(folder)]
    ended = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert ended.returncode == -signal.SIGKILL
    index = Index.open(tmp_path / "index", pixel_tokens)
    assert len(index) == 0
    assert len(_contents(index)) == 3
    (folder / "0001.jpg").unlink()  # and what was to be indexed is gone meanwhile
    assert index.add(scan(folder)).added == 3
    assert len(_contents(index)) == 3, "what is young may belong to rows that are being written"
    tokens.sweep(index._store, older=timedelta(0))
    _check(index, pixel_tokens, folder)


def test_an_index_of_before_is_completed(tmp_path: Path, index: Index, pixel_tokens: Embedder, folder: Path) -> None:
    shutil.rmtree(tmp_path / "index" / "tokens.lance")
    older = Index.open(tmp_path / "index", pixel_tokens)
    with pytest.raises(IndexStoreError, match="pixel-tokens gives one vector an Item"):
        older.token_vectors(["a"])
    reader = Index.open(tmp_path / "index", pixel_tokens)
    report = older.add(scan(folder))
    assert (report.added, report.updated, report.unchanged) == (0, 4, 0)
    for one in (older, reader):
        _check(one, pixel_tokens, folder)
    assert older.add(scan(folder)).unchanged == 4


def test_token_vectors_without_items_are_not_believed(
    tmp_path: Path, index: Index, pixel_tokens: Embedder, folder: Path
) -> None:
    shutil.rmtree(tmp_path / "index" / "items.lance")
    again = Index.create(tmp_path / "index", pixel_tokens)
    assert _contents(again) == []
    assert again.add(scan(folder)).added == 4
    _check(again, pixel_tokens, folder)


def test_rows_whose_token_vectors_are_lost_get_them_again(index: Index, pixel_tokens: Embedder, folder: Path) -> None:
    table = index._store.find_tokens()
    assert table is not None
    table.delete(f"content = '{_contents(index)[0]}'")
    report = index.add(scan(folder))
    assert report.updated + report.unchanged == 4
    assert report.updated >= 1
    _check(index, pixel_tokens, folder)


def test_no_row_without_its_token_vectors(
    index: Index, pixel_tokens: Embedder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process removes them after this one has found them, and before it writes the row that relies on them."""
    shutil.copy(folder / "0001.jpg", folder / "late.jpg")
    put = tokens.put_tokens

    def robbed(table: Any, held: Any) -> set[str]:
        other = Store.open(index.uri).find_tokens()
        assert other is not None
        other.delete("true")
        table.checkout_latest()
        return put(table, held)

    monkeypatch.setattr(writer, "put_tokens", robbed)
    report = index.add(scan(folder))
    assert [why for _, why in report.failed] == [writer.NO_TOKENS]
    assert item_id(str(folder / "late.jpg")) not in {item.id for item in index.get(_ids(index))}
    monkeypatch.undo()
    again = index.add(scan(folder))
    assert (again.added, again.failed) == (1, ())
    _check(index, pixel_tokens, folder)


def _ids(index: Index) -> list[str]:
    ids: list[str] = index._store.items.search().select(["id"]).to_arrow()["id"].to_pylist()
    return ids


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("none", "gave none here"),
        ("empty", "gave none here"),
        ("nan", "NaN"),
        ("long", "unit vector"),
        ("narrow", "has shape"),
    ],
)
def test_token_vectors_are_looked_at(
    tmp_path: Path, folder: Path, pixel_tokens: Embedder, monkeypatch: pytest.MonkeyPatch, fault: str, why: str
) -> None:
    inner = pixel_tokens.embed
    spoil: dict[str, Callable[[Any], Any]] = {
        "empty": lambda rows: rows[:0],
        "nan": lambda rows: rows * np.float16("nan"),
        "long": lambda rows: rows * np.float16(2),
        "narrow": lambda rows: rows[:, :5],
    }

    def embed(prepared: Any) -> list[Embedded]:
        made: list[Any] = inner(prepared)
        if fault == "none":
            return [Embedded(vector=one.vector) for one in made]
        return [type(one)(vector=one.vector, token_vectors=spoil[fault](one.token_vectors)) for one in made]

    monkeypatch.setattr(pixel_tokens, "embed", embed)
    made = Index.create(tmp_path / "spoilt", pixel_tokens)
    report = made.add(scan(folder))
    assert len(report.failed) == 4
    assert all(why in told for _, told in report.failed), report.failed
    assert (len(made), _contents(made)) == (0, [])


def test_queries_fail_alone(index: Index, pixel_tokens: Any) -> None:
    wordless, broken, fine = index.query_tokens(
        [Query(image=Image.new("RGB", (8, 8))), Query(text="half a pair \ud800", id="b"), Query(text="a boat")]
    )
    assert isinstance(wordless, UsageError)
    assert isinstance(broken, UsageError)
    assert isinstance(fine, tuple)
    np.testing.assert_array_equal(fine[0], pixel_tokens.query_tokens(["a boat"])[0])


def test_an_index_of_one_vector_an_item_says_what_to_build(store: Store, embedder: Embedder) -> None:
    index = Index(store, embedder)
    for ask in (
        index.late_interaction,
        lambda: index.token_vectors(["a"]),
        lambda: index.query_tokens([Query(text="a")]),
    ):
        with pytest.raises(IndexStoreError, match="late:vidore/colqwen2"):
            ask()
    assert not (Path(store.uri) / "tokens.lance").exists()
