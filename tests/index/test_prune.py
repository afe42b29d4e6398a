"""Pruning: what is gone goes, what is in doubt stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmrank.embed.base import Embedder
from mmrank.errors import UsageError
from mmrank.index.index import Index
from mmrank.media.scan import Scan, scan
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


def test_a_note_that_is_a_caption_now_goes(index: Index, folder: Path) -> None:
    """A picture of its name came; rows of notes that a scan without captions left are removed, too."""
    (folder / "kite.txt").write_text("a red kite")
    assert index.add(scan(folder), prune=True).added == 1
    shutil.copy(folder / "a" / "0000.jpg", folder / "kite.jpg")
    assert index.add(scan(folder)).removed == 0
    assert {"kite.txt", "kite.jpg"} <= names(index)
    assert index.add(scan(folder), prune=True).removed == 1
    assert "kite.txt" not in names(index)
    assert [hit.item.uri for hit in index.search("kite", mode="text")] == [str(folder / "kite.jpg")]


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


def failures(index: Index) -> set[str]:
    index._store.refresh()
    return {Path(uri).name for uri in index._store.failures.to_arrow()["uri"].to_pylist()}


@pytest.mark.parametrize("after", [0, 1, 3, 4])
def test_a_root_that_vanishes_while_it_is_scanned_loses_nothing(index: Index, folder: Path, after: int) -> None:
    (folder / "a" / "0000.jpg").unlink()  # really gone, but that cannot be told from the rest any more
    found = scan(folder)

    class Vanishing(type(found)):  # type: ignore[misc]
        """Its folder is renamed when so many items were given; a new one stands in its place, as below a lost mount."""

        def __iter__(self) -> Iterator[Item]:
            for number, item in enumerate(super().__iter__()):
                if number == after:
                    folder.rename(folder.with_name("elsewhere"))
                    folder.mkdir()
                yield item

    found.__class__ = Vanishing
    report = index.add(found, prune=True)
    assert report.removed == 0
    assert len(index) == 6
    assert [root for root, why in report.warnings if "out of reach" in why] == [str(folder)]
    shutil.rmtree(folder)
    folder.with_name("elsewhere").rename(folder)
    assert index.add(scan(folder), prune=True).removed == 1


def test_pages_and_spans_that_a_shorter_file_no_longer_has_go(
    tmp_path: Path, embedder: Embedder, media: Path, folder: Path
) -> None:
    shutil.copy(media / "report.pdf", folder)
    shutil.copy(media / "clip.mp4", folder)
    index = Index.create(str(tmp_path / "parts"), embedder)

    def found() -> Scan:
        return scan(folder, kinds=["page", "video"], span_seconds=0.5)

    assert index.add(found()).added == 2 + 4
    _cut_pdf(folder / "report.pdf")
    _cut_video(folder / "clip.mp4", media / "clip.mp4")
    report = index.add(found(), prune=True)
    assert len(index) == 1 + len([item for item in found() if item.kind == "video"]) == 1 + 2
    assert report.removed == 1 + 2


def _cut_pdf(path: Path) -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    document.del_page(1)
    document.save(path.with_suffix(".new"))
    document.close()
    path.with_suffix(".new").replace(path)


def _cut_video(path: Path, whole: Path) -> None:
    """The first half of a clip, its packets as they are."""
    import av

    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
        for packet in packets[: len(packets) // 2]:
            packet.stream = stream
            target.mux(packet)


def test_rows_that_a_table_no_longer_has_go(index: Index, folder: Path) -> None:
    def write(*numbers: int) -> None:
        lines = [{"id": f"row{n}", "image": "a/0001.jpg", "text": f"caption {n}"} for n in numbers]
        lines += [{"id": f"text{n}", "text": f"text {n}"} for n in numbers]
        (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    write(1, 2, 3)
    assert index.add(scan(folder), prune=True).added == 6
    write(1, 3)
    assert index.add(scan(folder), prune=True).removed == 2
    assert [item.id for item in index.get(["row1", "text3"])] == ["row1", "text3"]
    with (folder / "rows.jsonl").open("a") as file:
        file.write("{broken")
    write_broken = (folder / "rows.jsonl").read_text().replace('"row3"', '"row4"')
    (folder / "rows.jsonl").write_text(write_broken)
    report = index.add(scan(folder), prune=True)  # one row cannot be read: it may be row3
    assert (report.added, report.removed, len(report.failed)) == (1, 0, 1)
    assert failures(index) == {"rows.jsonl#row=5"}
    write(1, 4)
    assert index.add(scan(folder), prune=True).removed == 2  # row3 and text3
    assert failures(index) == set()
    (folder / "rows.jsonl").write_text("\n")
    report = index.add(scan(folder), prune=True)
    assert (report.removed, len(report.failed)) == (0, 1)
    (folder / "rows.jsonl").unlink()
    assert index.add(scan(folder), prune=True).removed == 4
    assert len(index) == 6


def test_a_table_without_a_row_is_in_doubt(index: Index, folder: Path) -> None:
    table = folder / "rows.csv"
    table.write_text("id,text\na,one\nb,two\n")
    index.add(scan(folder), prune=True)
    table.write_text("id,text\n")
    report = index.add(scan(folder), prune=True)
    assert report.removed == 0
    assert "the 2 rows it had were kept" in dict(report.warnings)[str(table)]


def test_rows_of_a_table_elsewhere_go_with_their_file_only(index: Index, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "rows.jsonl"
    table.write_text(json.dumps({"id": "row1", "image": str(folder / "a" / "0001.jpg")}))
    index.add(scan(table))
    table.unlink()
    assert index.add(scan(folder), prune=True).removed == 0
    (folder / "a" / "0001.jpg").unlink()
    assert index.add(scan(folder), prune=True).removed == 2


def test_failures_of_files_that_are_gone_are_forgotten(index: Index, folder: Path, media: Path) -> None:
    for name in ("gone.jpg", "still.jpg", "gone.pdf"):
        (folder / name).write_bytes(b"nothing")
    (folder / "rows.jsonl").write_text(json.dumps({"id": "r", "image": "missing.jpg"}) + "\n{broken\n")
    index.add(scan(folder), prune=True)
    before = failures(index)
    assert {"gone.jpg", "still.jpg", "gone.pdf", "rows.jsonl#row=2"} <= before
    (folder / "gone.jpg").unlink()
    (folder / "gone.pdf").unlink()
    index.add(scan(folder))
    assert failures(index) == before
    index.add(scan(folder), prune=True)
    assert failures(index) == before - {"gone.jpg", "gone.pdf"}
