"""Pruning: what is gone goes, what is in doubt stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmrank.embed.base import Embedder
from mmrank.errors import UsageError
from mmrank.index.index import Index
from mmrank.media.scan import scan
from mmrank.media.uri import item_id
from mmrank.types import Item

WriteMedia = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, write_images: WriteMedia) -> Path:
    write_images(tmp_path / "media" / "a", 3)
    write_images(tmp_path / "media" / "b", 2, seed=1)
    (tmp_path / "media" / "note.md").write_text("a note\n\n" + "much more " * 30)
    return tmp_path / "media"


@pytest.fixture
def index(tmp_path: Path, embedder: Embedder, folder: Path) -> Index:
    built = Index.create(str(tmp_path / "index"), embedder)
    built.add(scan(folder))
    return built


def names(index: Index) -> set[str]:
    return {Path(str(item.uri)).name for item in index.get([h.item.id for h in index.search("x", k=99)])}


def test_vanished_files_go_from_every_table(index: Index, folder: Path) -> None:
    (folder / "a" / "0001.jpg").unlink()
    shutil.rmtree(folder / "b")
    report = index.add(scan(folder), prune=True)
    assert (report.removed, report.unchanged, report.added) == (3, 3, 0)
    assert names(index) == {"0000.jpg", "0002.jpg", "note.md"}
    assert index.thumbnail(item_id(str(folder / "a" / "0001.jpg"))) is None
    assert index.thumbnail(item_id(str(folder / "a" / "0002.jpg"))) is not None


def test_without_prune_nothing_goes(index: Index, folder: Path) -> None:
    (folder / "a" / "0001.jpg").unlink()
    assert index.add(scan(folder)).removed == 0
    assert len(index) == 6


def test_other_roots_and_other_kinds_are_left_alone(index: Index, folder: Path) -> None:
    (folder / "a" / "0001.jpg").unlink()
    (folder / "note.md").unlink()
    assert index.add(scan(folder / "b"), prune=True).removed == 0
    assert index.add(scan(folder, kinds=["text"]), prune=True).removed == 0  # a root that gave nothing: in doubt
    report = index.add(scan(folder, kinds=["image"]), prune=True)
    assert report.removed == 1
    assert "note.md" in names(index)


def test_a_root_that_gives_nothing_may_be_an_unmounted_disk(index: Index, folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    report = index.add(scan(folder), prune=True)
    assert report.removed == 0
    assert len(index) == 6
    ((_root, why),) = [w for w in report.warnings if w[0] == str(folder)]
    assert "6 rows were kept" in why


def test_what_lies_below_something_unreadable_stays(index: Index, folder: Path) -> None:
    shutil.rmtree(folder / "b")
    (folder / "b").symlink_to(folder / "nowhere")
    report = index.add(scan(folder), prune=True)
    assert report.removed == 0
    assert len(index) == 6


def test_a_file_that_cannot_be_read_any_more_keeps_its_row(index: Index, folder: Path) -> None:
    (folder / "a" / "0001.jpg").write_bytes(b"")
    report = index.add(scan(folder), prune=True)
    assert [Path(uri).name for uri, _ in report.failed] == ["0001.jpg"]
    assert len(index) == 6


def test_chunks_that_a_shorter_text_no_longer_has_go(tmp_path: Path, embedder: Embedder, folder: Path) -> None:
    note = folder / "note.md"
    note.write_text("\n\n".join(f"paragraph {n} " + "word " * 20 for n in range(6)))
    index = Index.create(str(tmp_path / "chunks"), embedder)
    before = index.add(scan(folder, kinds=["text"], chunk_characters=200)).added
    assert before > 2
    note.write_text("\n\n".join(f"paragraph {n} " + "word " * 20 for n in range(3)))
    report = index.add(scan(folder, kinds=["text"], chunk_characters=200), prune=True)
    assert len(index) == before - report.removed
    assert report.removed == before - len(list(scan(folder, kinds=["text"], chunk_characters=200)))


def test_a_file_that_another_process_adds_meanwhile_stays(
    index: Index, folder: Path, write_images: WriteMedia, tmp_path: Path
) -> None:
    extra = write_images(tmp_path / "extra", 1, seed=9) / "0000.jpg"
    found = scan(folder)

    class Late:
        """Puts a file into the folder, and its row into the index, when the scan is at its end."""

        def __call__(self, progress: object) -> None:
            target = folder / "a" / "late.jpg"
            if getattr(progress, "stage", "") == "indexing" and not target.exists():
                shutil.copy(extra, target)
                index.add(scan(target))

    (folder / "a" / "0000.jpg").unlink()
    report = index.add(found, progress=Late(), prune=True)
    assert report.removed == 1
    assert "late.jpg" in names(index)


def test_items_with_ids_of_ones_own_go_with_their_file_only(index: Index, folder: Path) -> None:
    mine = Item(id="mine", kind="image", uri=str(folder / "a" / "0000.jpg"), text="my caption")
    index.add([mine])
    assert index.add(scan(folder), prune=True).removed == 0
    (folder / "a" / "0000.jpg").unlink()
    assert index.add(scan(folder), prune=True).removed == 2


def test_rows_of_a_table_that_cannot_be_read_stay(index: Index, folder: Path) -> None:
    rows = folder / "rows.jsonl"
    rows.write_text(json.dumps({"id": "row1", "image": "a/0001.jpg", "text": "a caption"}))
    assert index.add(scan(folder)).added == 1
    rows.write_text("{broken")
    report = index.add(scan(folder), prune=True)
    assert len(report.failed) == 1
    assert report.removed == 0


def test_what_a_removal_cut_short_left_behind_is_not_shown_again(index: Index, folder: Path) -> None:
    row = str(folder / "a" / "0000.jpg")
    name = item_id(row)
    index._store.items.delete(f"id = '{name}'")  # as a kill right after the first of the three deletes leaves it
    assert index.thumbnail(name) is not None
    index.add([Item(id=name, kind="text", text="a note now")])
    assert index.thumbnail(name) is None


def test_pruning_needs_a_scan(index: Index) -> None:
    with pytest.raises(UsageError, match=r"index\.add\(mmrank\.scan\(folder\), prune=True\)"):
        index.add([], prune=True)
