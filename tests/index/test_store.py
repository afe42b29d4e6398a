from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import lancedb
import pyarrow as pa
import pytest

from mmrank.embed.base import Embedder
from mmrank.errors import IndexStoreError
from mmrank.index.schema import PRIMARY_KEY, items_schema
from mmrank.index.store import SIDE_TABLES, Store

TABLES = ("items", *SIDE_TABLES)


def test_create_makes_it_and_opens_it_the_next_time(tmp_path: Path, embedder: Embedder) -> None:
    first = Store.create(tmp_path / "a" / "b", embedder)
    assert first.items.count_rows() == 0
    assert Store.create(str(tmp_path / "a" / "b"), embedder).manifest == first.manifest
    assert Store.open(tmp_path / "a" / "b", embedder).manifest == first.manifest


def test_every_table_has_its_key(store: Store) -> None:
    for table, key in (
        (store.items, "id"),
        (store.thumbnails, "id"),
        (store.frames, "id"),
        (store.failures, "uri"),
        (store.settings, "key"),
    ):
        field = table.schema.field(key)
        assert not field.nullable
        assert field.metadata == PRIMARY_KEY


def test_home_is_expanded(tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store.create("~/photos", embedder).uri == str(tmp_path / "photos")
    assert (tmp_path / "photos" / "items.lance").is_dir()


def test_an_index_in_memory(embedder: Embedder) -> None:
    with pytest.raises(IndexStoreError, match="There is no index at memory://"):
        Store.open("memory://", embedder)


def test_another_embedders_index_is_refused(store: Store, foreign_embedder: Embedder) -> None:
    for action in (Store.create, Store.open):
        with pytest.raises(IndexStoreError, match="do not compare"):
            action(store.uri, foreign_embedder)


def test_what_is_not_there_is_not_made_by_opening(tmp_path: Path) -> None:
    with pytest.raises(IndexStoreError, match="does not exist"):
        Store.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_an_empty_folder_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(IndexStoreError, match="There is no index at"):
        Store.open(tmp_path)


def test_a_folder_of_files_is_to_be_indexed_beside_itself(tmp_path: Path, embedder: Embedder) -> None:
    """The photographs were named where the index was meant; what is advised then works."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.txt").write_text("a kite")
    wanted = re.escape(f"mmrank index {folder} --to {folder}.index")
    with pytest.raises(IndexStoreError, match=wanted):
        Store.open(folder)
    with pytest.raises(IndexStoreError, match=re.escape(f"for example {folder}.index")):
        Store.create(folder, embedder)
    assert Store.create(f"{folder}.index", embedder).items.count_rows() == 0


@pytest.mark.parametrize("action", ["create", "open"])
def test_a_file_is_no_index(tmp_path: Path, embedder: Embedder, action: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexStoreError, match="is a file"):
        getattr(Store, action)(tmp_path / "file", embedder)


def test_the_empty_uri_is_refused(embedder: Embedder) -> None:
    with pytest.raises(IndexStoreError, match="empty"):
        Store.create(" ", embedder)


def test_a_folder_with_other_things_stays_as_it_is(tmp_path: Path, embedder: Embedder) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(IndexStoreError, match=r"holds other things \(holiday.jpg\)"):
        Store.create(tmp_path, embedder)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_hidden_files_do_not_matter_nor_do_files_put_beside_an_index(tmp_path: Path, embedder: Embedder) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"x")
    Store.create(tmp_path, embedder)
    (tmp_path / "README.txt").write_text("my index")
    Store.create(tmp_path, embedder)


def test_a_lancedb_of_someone_else_is_refused(tmp_path: Path, embedder: Embedder) -> None:
    lancedb.connect(tmp_path).create_table("theirs", schema=pa.schema([pa.field("x", pa.int64())]))
    with pytest.raises(IndexStoreError, match=r"theirs.lance"):
        Store.create(tmp_path, embedder)


def test_a_table_called_items_of_someone_else_is_refused(tmp_path: Path, embedder: Embedder, store: Store) -> None:
    shutil.rmtree(Path(store.uri) / "items.lance")
    lancedb.connect(store.uri).create_table("items", schema=items_schema(32))
    with pytest.raises(IndexStoreError, match="not made by mmrank"):
        Store.create(store.uri, embedder)


@pytest.mark.parametrize("made", range(len(SIDE_TABLES) + 1))
def test_a_kill_while_it_is_made_is_mended_by_making_it_again(
    store: Store, embedder: Embedder, foreign_embedder: Embedder, made: int
) -> None:
    """Side tables come first, `items` last; a table that is begun is a folder without a version."""
    there = SIDE_TABLES[:made]
    for name in TABLES:
        if name not in there:
            shutil.rmtree(Path(store.uri) / f"{name}.lance")
    begun = [*SIDE_TABLES, "items"][made]
    (Path(store.uri) / f"{begun}.lance" / "_versions").mkdir(parents=True)
    with pytest.raises(IndexStoreError, match=r"begun and never finished|There is no index"):
        Store.open(store.uri)
    mended = Store.create(store.uri, foreign_embedder)  # nothing is in it yet: any embedder may have it
    assert mended.manifest.embedder == foreign_embedder.spec
    for name in TABLES:
        assert getattr(mended, name).count_rows() == 0


@pytest.mark.parametrize("name", SIDE_TABLES)
def test_a_table_that_is_gone_is_said(store: Store, embedder: Embedder, name: str) -> None:
    shutil.rmtree(Path(store.uri) / f"{name}.lance")
    for action in (Store.create, Store.open):
        with pytest.raises(IndexStoreError, match=f"damaged: it has items, but the table.* {name} are gone"):
            action(store.uri, embedder)


def test_a_table_that_is_torn_is_said(store: Store, embedder: Embedder) -> None:
    for file in (Path(store.uri) / "items.lance" / "_versions").glob("*.manifest"):
        file.write_bytes(b"torn")
    with pytest.raises(IndexStoreError, match=r"'items'.* cannot be opened"):
        Store.create(store.uri, embedder)


def test_settings_are_json_and_replaced(store: Store) -> None:
    assert store.setting("it's") is None
    store.set_setting("it's", {"a": [1, 2.5, None]})
    store.set_setting("it's", {"a": "ü"})
    store.set_setting("other", 3)
    assert Store.open(store.uri).setting("it's") == {"a": "ü"}
    assert store.settings.count_rows() == 2


def test_refresh_shows_what_others_wrote(store: Store) -> None:
    other = Store.open(store.uri)
    other.items.add_columns([pa.field("year", pa.int64())])
    other.set_setting("a", 1)
    before = store.items.version
    assert "year" not in store.items.schema.names
    assert store.refresh() == other.items.version > before
    assert "year" in store.items.schema.names
    assert store.setting("a") == 1


def test_a_version_stays_as_it_was(store: Store) -> None:
    version = store.refresh()
    old = store.items_at(version)
    store.items.add_columns([pa.field("year", pa.int64())])
    assert "year" not in old.schema.names
    assert old.version == version
    with pytest.raises(IndexStoreError, match="Version 99"):
        store.items_at(99)


_CREATE = """
import sys
sys.path.insert(0, sys.argv[1])
from pixels import PixelEmbedder
from mmrank.index.store import Store
embedder = PixelEmbedder()
print("ready", flush=True)
sys.stdin.readline()
for number in range(5):
    Store.create(f"{sys.argv[2]}/{number}", embedder)
"""


def test_two_processes_that_make_the_same_index_make_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CREATE, str(Path(__file__).parent), str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for number in range(5):
        assert Store.open(tmp_path / str(number)).items.count_rows() == 0
