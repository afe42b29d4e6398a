"""What a build puts into the tables, and what it leaves alone. Kills and races are in test_build_processes.py."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from mmrank.embed.base import Embedder
from mmrank.errors import IndexStoreError, UsageError
from mmrank.index.build import add
from mmrank.index.report import AddReport, IncompleteBuildError, Progress
from mmrank.index.rows import row_to_item
from mmrank.index.schema import STAMP
from mmrank.index.store import Store
from mmrank.media.image import open_image
from mmrank.media.load import load
from mmrank.media.scan import scan
from mmrank.types import Item

WriteImages = Callable[..., Path]


def _rows(store: Store) -> dict[str, dict[str, Any]]:
    store.refresh()
    rows = store.items.to_arrow().to_pylist()
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows), "a row is there twice"
    return by_id


def _ids(table: Any) -> list[str]:
    table.checkout_latest()
    return sorted(table.to_arrow()["id"].to_pylist())


def _counts(report: AddReport) -> tuple[int, int, int, int]:
    return report.added, report.updated, report.unchanged, len(report.failed)


def _failures(store: Store) -> dict[str, str]:
    store.refresh()
    return {row["uri"]: row["why"] for row in store.failures.to_arrow().to_pylist()}


def _note(name: str, text: str, **kept: Any) -> Item:
    return Item(id=name, kind="text", text=text, **kept)


# What goes in


def test_a_mixed_folder_goes_in_whole(store: Store, embedder: Embedder, media: Path) -> None:
    found = list(scan(media))
    report = add(store, embedder, found, batch_size=4)
    assert _counts(report) == (11, 0, 0, 0)
    assert report.recall is None
    assert report.seconds > 0
    rows = _rows(store)
    for item in found:
        row = rows[item.id]
        loaded = load(item, size=embedder.needs.size, frames=embedder.needs.frames)
        [expected] = embedder.embed([embedder.prepare(loaded)])
        np.testing.assert_allclose(row["vector"], expected.vector, atol=1e-5)
        if expected.text_vector is None:
            assert row["text_vector"] is None
        else:
            np.testing.assert_allclose(row["text_vector"], expected.text_vector, atol=1e-5)
        assert row_to_item(row) == replace(item, text=loaded.text)
    pictures = sorted(item.id for item in found if item.kind != "text")
    assert _ids(store.thumbnails) == pictures
    assert _ids(store.frames) == [item.id for item in found if item.kind == "video"]


def test_frames_and_thumbnails_are_those_of_the_video(store: Store, embedder: Embedder, media: Path) -> None:
    add(store, embedder, scan(media, kinds="video"))
    [item] = scan(media, kinds="video")
    loaded = load(item, size=embedder.needs.size, frames=embedder.needs.frames)
    [expected] = embedder.embed([embedder.prepare(loaded)])
    store.refresh()
    [row] = store.frames.to_arrow().to_pylist()
    np.testing.assert_allclose(row["times"], loaded.times, atol=1e-4)
    assert expected.frame_vectors is not None
    np.testing.assert_allclose(row["vectors"], expected.frame_vectors, atol=1e-5)
    [shown] = store.thumbnails.to_arrow().to_pylist()
    middle = np.asarray(loaded.frames[len(loaded.frames) // 2], np.int16)
    assert np.abs(np.asarray(open_image(shown["jpeg"]), np.int16) - middle).mean() < 6


def test_without_thumbnails(store: Store, embedder: Embedder, media: Path) -> None:
    add(store, embedder, scan(media, kinds="image"), thumbnails=False)
    assert _ids(store.thumbnails) == []


def test_pictures_in_memory_go_in_and_are_not_held(store: Store, watched: Any) -> None:
    made: list[int] = []

    def pictures() -> Iterator[Item]:
        for number in range(100):
            made.append(number)
            yield Item(id=str(number), kind="image", image=Image.new("RGB", (40, 40), (number * 2, 99, 3)))

    ahead: list[int] = []
    watched.before_batch = lambda: ahead.append(len(made) - len(watched.embedded))
    assert _counts(add(store, watched, pictures(), batch_size=4)) == (100, 0, 0, 0)
    assert max(ahead) <= 80  # 512 by weight in the digests' window and as much in a chunk, at 16 each; plus batches


def test_nothing_is_fine(store: Store, embedder: Embedder) -> None:
    assert _counts(add(store, embedder, [])) == (0, 0, 0, 0)


# What is left alone, and what is not


def test_again_embeds_nothing_and_writes_nothing(store: Store, watched: Any, media: Path) -> None:
    for file in filter(Path.is_file, media.rglob("*")):
        os.utime(file, (1_700_000_000, 1_700_000_000))  # files of this very second are looked at once more
    add(store, watched, scan(media))
    before, watched.embedded = store.refresh(), []
    assert _counts(add(store, watched, scan(media))) == (0, 0, 11, 0)
    assert watched.embedded == []
    assert store.refresh() == before


def test_changed_content_is_embedded_again(
    store: Store, watched: Any, tmp_path: Path, write_images: WriteImages
) -> None:
    folder = write_images(tmp_path / "in", 5)
    add(store, watched, scan(folder))
    before, watched.embedded = _rows(store), []
    Image.new("RGB", (50, 50), "red").save(folder / "0002.jpg")
    assert _counts(add(store, watched, scan(folder))) == (0, 1, 4, 0)
    [changed] = watched.embedded
    assert changed.endswith("0002.jpg")
    rows = _rows(store)
    assert rows[changed]["vector"] != before[changed]["vector"]
    assert {name: row for name, row in rows.items() if name != changed} == {
        name: row for name, row in before.items() if name != changed
    }
    shown = {row["id"]: row["jpeg"] for row in store.thumbnails.to_arrow().to_pylist()}
    assert open_image(shown[changed]).resize((1, 1)).getpixel((0, 0))[0] > 240  # type: ignore[index]


def test_changed_metadata_writes_the_row_with_the_vectors_it_has(store: Store, watched: Any, media: Path) -> None:
    found = list(scan(media))
    add(store, watched, found)
    before, watched.embedded = _rows(store), []
    changed = [replace(item, meta={**item.meta, "year": 2024}, parent="album") for item in found]
    assert _counts(add(store, watched, changed)) == (0, 11, 0, 0)
    assert watched.embedded == []
    for name, row in _rows(store).items():
        was = {**before[name], "year": 2024, "parent": "album"}
        assert {**row, STAMP: None} == {**was, STAMP: None}  # a stamp also tells metadata that only a scan gives
    assert len(_ids(store.thumbnails)) == 9
    assert len(_ids(store.frames)) == 1


def test_metadata_that_is_gone_is_unknown_again(store: Store, embedder: Embedder) -> None:
    add(store, embedder, [_note("a", "x", meta={"year": 2024, "place": "sea"})])
    add(store, embedder, [_note("a", "x", meta={"place": "sea"})])
    assert row_to_item(_rows(store)["a"]).meta == {"place": "sea"}


def test_content_that_loses_its_picture_loses_its_thumbnail_and_frames(
    store: Store, embedder: Embedder, media: Path
) -> None:
    [video] = scan(media, kinds="video")
    add(store, embedder, [replace(video, id="a")])
    assert _ids(store.thumbnails) == _ids(store.frames) == ["a"]
    add(store, embedder, [_note("a", "now a text")])
    assert _rows(store)["a"]["kind"] == "text"
    assert _ids(store.thumbnails) == _ids(store.frames) == []


# Equal content


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_equal_content_is_embedded_once_and_keeps_its_rows(
    store: Store, watched: Any, tmp_path: Path, media: Path, batch_size: int
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        shutil.copy(media / f"000{number}.jpg", folder)
    for number in range(3):
        for copy in range(4):
            shutil.copy(folder / f"000{number}.jpg", folder / f"copy-{number}-{copy}.jpg")
    shutil.copy(media / "clip.mp4", folder / "a.mp4")
    shutil.copy(media / "clip.mp4", folder / "b.mp4")
    assert _counts(add(store, watched, scan(folder), batch_size=batch_size)) == (17, 0, 0, 0)
    assert len(watched.embedded) == 4
    # And content that is in the table already, under another id, some builds later.
    shutil.copy(folder / "0000.jpg", folder / "later.jpg")
    shutil.copy(folder / "a.mp4", folder / "later.mp4")
    assert _counts(add(store, watched, scan(folder))) == (2, 0, 17, 0)
    assert len(watched.embedded) == 4
    rows = {Path(row["uri"]).name: row for row in _rows(store).values()}
    assert rows["later.jpg"]["vector"] == rows["0000.jpg"]["vector"] == rows["copy-0-3.jpg"]["vector"]
    assert len(_ids(store.thumbnails)) == 19
    frames = {row["id"]: (row["times"], row["vectors"]) for row in store.frames.to_arrow().to_pylist()}
    assert frames[rows["later.mp4"]["id"]] == frames[rows["a.mp4"]["id"]] == frames[rows["b.mp4"]["id"]]
    shown = {row["id"]: row["jpeg"] for row in store.thumbnails.to_arrow().to_pylist()}
    assert shown[rows["later.jpg"]["id"]] == shown[rows["0000.jpg"]["id"]]


def test_a_page_shared_from_the_table_keeps_its_text(store: Store, watched: Any, media: Path, tmp_path: Path) -> None:
    add(store, watched, scan(media / "report.pdf"))
    shutil.copy(media / "report.pdf", tmp_path / "copy.pdf")
    watched.embedded = []
    add(store, watched, scan(tmp_path / "copy.pdf"))
    assert watched.embedded == []
    rows = {row["uri"]: row for row in _rows(store).values()}
    first, copy = rows[f"{media}/report.pdf#page=1"], rows[f"{tmp_path}/copy.pdf#page=1"]
    assert copy["text"] == first["text"] == "Quarterly results of the harbour"
    assert copy["text_vector"] == first["text_vector"] is not None


def test_of_two_items_with_one_id_the_last_is_kept_and_both_are_named(store: Store, embedder: Embedder) -> None:
    report = add(
        store,
        embedder,
        [_note("a", "first", uri="/x/first.txt"), _note("b", "other"), _note("a", "last", uri="/x/last.txt")],
    )
    assert report.added == 2
    assert _rows(store)["a"]["text"] == "last"
    [(uri, what)] = report.warnings
    assert uri == "/x/last.txt"
    assert "first from /x/first.txt and now from /x/last.txt; the last one is kept" in what
    again = add(store, embedder, [_note("a", "middle"), _note("a", "last")])
    assert again.updated == 1
    assert _rows(store)["a"]["text"] == "last"


def test_two_items_with_one_id_far_apart_are_noticed_too(store: Store, embedder: Embedder) -> None:
    notes = [_note(str(number), f"note {number}") for number in range(1_500)]  # the first is on disk by the last
    report = add(store, embedder, [*notes, _note("0", "another", uri="/x/other.txt")])
    assert _rows(store)["0"]["text"] == "another"
    [(_, what)] = report.warnings
    assert "id '0' came more than once" in what
    again = add(store, embedder, [*notes, _note("0", "another", uri="/x/other.txt")])
    assert _rows(store)["0"]["text"] == "another"
    assert again.unchanged == 1_499
    assert again.updated in (1, 2)  # whether or not the first of the two was on disk before the second came


# What fails


def test_what_cannot_be_read_is_reported_and_kept_until_it_can(
    store: Store, embedder: Embedder, tmp_path: Path, write_images: WriteImages
) -> None:
    folder = write_images(tmp_path / "in", 4)
    whole = (folder / "0001.jpg").read_bytes()
    (folder / "0001.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    report = add(store, embedder, scan(folder))
    assert _counts(report) == (3, 0, 0, 3)
    failed = {Path(uri).name: why for uri, why in report.failed}
    assert failed.keys() == {"0001.jpg", "empty.png", "broken.pdf"}
    assert "0 bytes" in failed["empty.png"]
    assert _failures(store) == dict(report.failed)

    (folder / "0001.jpg").write_bytes(whole)
    shutil.rmtree(tmp_path / "nothing", ignore_errors=True)
    report = add(store, embedder, scan(folder))
    assert _counts(report) == (1, 0, 3, 2)
    assert {Path(uri).name for uri in _failures(store)} == {"empty.png", "broken.pdf"}


def test_a_failure_left_by_a_kill_goes_when_the_item_is_found_unchanged(store: Store, embedder: Embedder) -> None:
    from mmrank.index.failures import FailureLog

    add(store, embedder, [_note("a", "x")])
    FailureLog(store.failures).record({"a": "was written, but the kill came before this was cleared"})
    assert _counts(add(store, embedder, [_note("a", "x")])) == (0, 0, 1, 0)
    assert _failures(store) == {}


@pytest.mark.parametrize("poison", ["nan", "crash", "missing"])
def test_what_the_model_fails_on_is_reported_and_the_rest_is_there(store: Store, watched: Any, poison: str) -> None:
    notes = [_note(str(number), f"note {number}") for number in range(40)]
    watched.poison = {"7": poison, "33": poison}
    report = add(store, watched, notes)
    assert _counts(report) == (38, 0, 0, 2)
    assert {uri for uri, _ in report.failed} == {"7", "33"} == _failures(store).keys()
    watched.poison = {}
    assert _counts(add(store, watched, notes)) == (2, 0, 38, 0)
    assert _failures(store) == {}


def test_equal_content_fails_together_and_says_so(store: Store, watched: Any) -> None:
    watched.poison = {"a": "nan"}
    report = add(store, watched, [_note("a", "same"), _note("b", "same"), _note("c", "other")])
    assert _counts(report) == (1, 0, 0, 2)
    assert "content of another item" in dict(report.failed)["b"]


def test_metadata_that_does_not_fit_fails_that_item(store: Store, watched: Any) -> None:
    add(store, watched, [_note("a", "one", meta={"price": 3})])
    watched.embedded = []
    report = add(
        store,
        watched,
        [
            _note("b", "two", meta={"price": "abc"}),
            _note("c", "three", meta={"price": 4, "size": 1.5}),
            _note("d", "four", meta={"size": "large"}),
        ],
    )
    assert _counts(report) == (1, 0, 0, 2)
    failed = dict(report.failed)
    assert "'price' is int" in failed["b"]
    assert "'abc' does not fit" in failed["b"]
    assert "'size' is float" in failed["d"]
    assert "b" not in watched.embedded  # known before it was embedded
    assert _failures(store).keys() == {"b", "d"}


def test_a_key_that_gets_another_name_is_said_once(store: Store, embedder: Embedder) -> None:
    report = add(store, embedder, [_note(str(n), f"note {n}", meta={"File Name": "x"}) for n in range(3)])
    assert report.warnings == (("0", "metadata 'File Name' is kept in column 'File_Name'"),)
    assert row_to_item(_rows(store)["2"]).meta == {"File_Name": "x"}


def test_a_kind_the_embedder_does_not_know_fails(store: Store, watched: Any) -> None:
    watched.kinds = frozenset({"image"})
    report = add(store, watched, [_note("a", "x")])
    assert "embeds image, and this is of kind 'text'" in dict(report.failed)["a"]


def test_strict_raises_when_all_the_rest_is_in(store: Store, watched: Any) -> None:
    watched.poison = {"3": "nan"}
    with pytest.raises(IncompleteBuildError, match=r"1 item.* could not be indexed: 3: .*NaN") as caught:
        add(store, watched, [_note(str(n), f"note {n}") for n in range(6)], strict=True)
    assert caught.value.report.added == 5
    assert len(_rows(store)) == 5


def test_what_was_mended_is_a_warning(store: Store, embedder: Embedder, media: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    with (
        av.open(str(media / "clip.mp4")) as source,
        av.open(str(short), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole = short.read_bytes()  # with the index in front, so that a cut costs frames and no more
    short.write_bytes(whole[: len(whole) * 3 // 4])
    item = Item(id="short", kind="video", uri=str(short))
    expected = load(item, size=32, frames=12).warnings
    assert expected  # else this test shows nothing
    report = add(store, embedder, [item])
    assert report.warnings == tuple((str(short), what) for what in expected)


# The caller's mistakes


def test_another_embedder_is_refused_before_anything_happens(store: Store, foreign_embedder: Embedder) -> None:
    with pytest.raises(IndexStoreError, match="do not compare"):
        add(store, foreign_embedder, [_note("a", "x")])
    assert _rows(store) == {}


@pytest.mark.parametrize(
    ("items", "options"),
    [
        ("~/Pictures", {}),
        (Path("x"), {}),
        (_note("a", "x"), {}),
        (["a.jpg"], {}),
        ([], {"batch_size": 0}),
        ([], {"workers": 0}),
    ],
)
def test_what_cannot_be_meant_is_refused(store: Store, embedder: Embedder, items: Any, options: Any) -> None:
    with pytest.raises(UsageError):
        add(store, embedder, items, **options)


def test_an_error_of_the_callers_iterable_is_raised_and_what_is_embedded_is_in(
    store: Store, embedder: Embedder
) -> None:
    def broken() -> Iterator[Item]:
        for number in range(200):
            yield _note(str(number), f"note {number}")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add(store, embedder, broken(), batch_size=4)
    rows = _rows(store)
    assert 0 < len(rows) <= 200
    assert _counts(add(store, embedder, [_note(str(n), f"note {n}") for n in range(200)]))[0] == 200 - len(rows)


# How it says where it is


def test_progress_is_told_and_ends_at_the_number_of_items(store: Store, embedder: Embedder, media: Path) -> None:
    seen: list[Progress] = []
    found = list(scan(media))
    add(store, embedder, [*found, Item(id="gone", kind="image", uri="/not/there.jpg")], progress=seen.append)
    assert seen[-1] == Progress(done=12, total=12, stage="indexing", failed=1)
    assert {one.stage for one in seen} == {"decoding", "embedding", "writing", "indexing"}
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    unknown: list[Progress] = []
    add(store, embedder, iter(found), progress=unknown.append)
    assert (unknown[-1].done, unknown[-1].total) == (11, None)


def test_the_stages_are_logged_in_order(store: Store, embedder: Embedder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="mmrank.index.build"):
        add(store, embedder, [_note(str(n), f"note {n}") for n in range(20)], batch_size=8)
    words = [word for record in caplog.records for word in record.message.split() if word.endswith("ing")]
    assert words[:3] == ["decoding", "embedding", "decoding"]
    assert words[-2:] == ["writing", "indexing"]
    assert words.count("embedding") == 3


def test_ctrl_c_writes_what_is_embedded_and_is_raised_again(store: Store, watched: Any) -> None:
    notes = [_note(str(number), f"note {number}") for number in range(100)]

    def interrupt() -> None:
        if len(watched.embedded) >= 40:
            raise KeyboardInterrupt

    watched.before_batch = interrupt
    with pytest.raises(KeyboardInterrupt):
        add(store, watched, notes, batch_size=8)
    done = list(watched.embedded)
    assert len(done) >= 40
    assert _rows(store).keys() == set(done)
    watched.before_batch, watched.embedded = lambda: None, []
    assert _counts(add(store, watched, notes)) == (100 - len(done), 0, len(done), 0)
    assert sorted(watched.embedded + done) == sorted(note.id for note in notes)


def test_the_first_batches_are_small_and_videos_count_as_their_frames(
    store: Store, watched: Any, media: Path, tmp_path: Path
) -> None:
    add(store, watched, [_note(str(n), f"note {n}") for n in range(100)], batch_size=32)
    assert watched.batches == [8, 16, 32, 32, 12]
    watched.batches = []
    videos = []
    for number in range(6):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes((media / "clip.mp4").read_bytes() + bytes(number + 1))  # what follows an MP4 is not read
        videos.append(Item(id=f"v{number}", kind="video", uri=str(path)))
    assert add(store, watched, videos, batch_size=24).added == 6
    assert watched.batches == [1, 2, 2, 1]  # 12 frames each; the first limits are 8 and 16
