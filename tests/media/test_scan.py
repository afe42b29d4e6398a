from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from mmrank.errors import UsageError
from mmrank.media import scan as scan_function
from mmrank.media.load import load
from mmrank.media.scan import HIDDEN, SEEN, SPECIAL, scan
from mmrank.media.uri import split_uri


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(found: object) -> list[str]:
    return [str(item.meta["name"]) for item in found]  # type: ignore[attr-defined]


def test_the_public_name_is_the_function() -> None:
    assert scan_function is scan


def test_a_mixed_folder_becomes_items_in_sorted_order(
    tmp_path: Path, clip: Callable[..., Path], pdf: Callable[..., Path]
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "b cat.JPG", "JPEG")
    report = pdf(tmp_path / "report.pdf", [["one"], ["two"]])
    clip(tmp_path / "clip.mp4", 10)
    touch(tmp_path / "notes.md", b"# Title\n\nwords")
    touch(tmp_path / "sub" / "rows.jsonl", b'{"text": "row"}\n')
    touch(tmp_path / "z.xyz")
    found = scan(tmp_path)
    items = list(found)
    assert [(i.kind, i.uri and i.uri.removeprefix(f"{tmp_path}/")) for i in items] == [
        ("image", "b cat.JPG"),
        ("video", "clip.mp4"),
        ("text", "notes.md"),
        ("page", "report.pdf#page=1"),
        ("page", "report.pdf#page=2"),
        ("text", None),
    ]
    assert items[0].id == f"{tmp_path}/b%20cat.JPG"
    assert items[2].text == "# Title\n\nwords"
    assert (items[4].parent, dict(items[4].meta)) == (
        f"{tmp_path}/report.pdf",
        {"name": "report.pdf", "bytes": report.stat().st_size, "title": "untitled", "author": "anonymous"}
        | {"pages": 2, "page": 2},
    )
    assert items[5].id == f"{tmp_path}/sub/rows.jsonl#row=1"
    assert found.failures == []
    assert found.skipped == {".xyz": 1}
    for item in items:
        load(item, size=32, frames=3)


def test_it_can_be_iterated_again_and_counts_anew(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    touch(tmp_path / "b.zip")
    found = scan(tmp_path)
    assert names(found) == names(found) == ["a.jpg"]
    assert found.skipped == {".zip": 1}


def test_long_videos_become_spans(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip(tmp_path / "a.mp4", 70, fps=10, size=(64, 48))  # 7 seconds
    cuts = {
        3.0: ["t=0,3", "t=3,7"],
        2.0: ["t=0,2", "t=2,4", "t=4,6", "t=6,7"],
        4.8: [""],
        2.5: ["t=0,2.5", "t=2.5,5", "t=5,7"],
    }
    for seconds, fragments in cuts.items():
        items = list(scan(tmp_path, span_seconds=seconds))
        assert [split_uri(item.uri or "").fragment for item in items] == fragments
    spans = list(scan(tmp_path, span_seconds=3.0))
    told = {"bytes": (tmp_path / "a.mp4").stat().st_size, "duration": 7.0, "fps": 10.0, "width": 64, "height": 48}
    assert dict(spans[1].meta) == {"name": "a.mp4", **told, "start": 3.0, "end": 7.0}
    assert spans[1].parent == f"{tmp_path}/a.mp4"
    assert [len(load(item, size=32, frames=99).frames) for item in spans] == [30, 40]
    (whole,) = scan(tmp_path, span_seconds=None)
    assert (whole.parent, whole.uri) == (None, f"{tmp_path}/a.mp4")


def test_long_texts_become_chunks_and_none_is_lost(tmp_path: Path) -> None:
    touch(tmp_path / "a.txt", b"\n\n".join(b"paragraph %d" % i for i in range(50)))
    items = list(scan(tmp_path, chunk_characters=100))
    assert len(items) > 5
    assert items[1].id == f"{tmp_path}/a.txt#chunk=2"
    assert items[1].parent == f"{tmp_path}/a.txt"
    assert "\n\n".join(item.text or "" for item in items) == (tmp_path / "a.txt").read_text()


def test_kinds_restrict_without_opening_the_rest(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    touch(tmp_path / "broken.pdf")
    touch(tmp_path / "rows.jsonl", b'{"text": "t"}\n{"image": "a.jpg"}\n')
    found = scan(tmp_path, kinds=["image"])
    assert [item.kind for item in found] == ["image", "image"]
    assert found.failures == []
    assert [item.kind for item in scan(tmp_path, "text")] == ["text"]


def test_folders_in_folders_only_when_asked(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    touch(tmp_path / "sub" / "b.jpg")
    assert names(scan(tmp_path, recursive=False)) == ["a.jpg"]


def test_lists_strings_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = touch(tmp_path / "a.jpg"), touch(tmp_path / "sub" / "b.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names(scan([str(two), one])) == ["b.jpg", "a.jpg"]
    assert [item.uri for item in scan("~/sub")] == [str(two)]
    assert [item.uri for item in scan(f"file://{two}")] == [str(two)]
    monkeypatch.chdir(tmp_path)
    assert [item.uri for item in scan("sub")] == [str(two)]


def test_nothing_comes_twice(tmp_path: Path) -> None:
    one = touch(tmp_path / "a.jpg")
    touch(tmp_path / "sub" / "b.jpg")
    found = [item.id for item in scan([tmp_path, one, tmp_path / "sub", tmp_path, str(one)])]
    assert len(found) == len(set(found)) == 2


def test_ids_can_be_relative_to_a_base(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.txt", b"one\n\ntwo")
    items = list(scan(tmp_path, chunk_characters=4, base=tmp_path))
    assert [(i.id, i.parent) for i in items] == [("in/a.txt#chunk=1", "in/a.txt"), ("in/a.txt#chunk=2", "in/a.txt")]
    assert items[0].uri == f"{tmp_path}/in/a.txt#chunk=1"


@pytest.mark.parametrize("path", ["/no/such/place", ""])
def test_what_does_not_exist_is_said_at_once(path: str) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        scan(path)


@pytest.mark.parametrize(
    "options", [{"kinds": ["picture"]}, {"kinds": []}, {"span_seconds": 0}, {"chunk_characters": 0}]
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        scan(tmp_path, **options)  # type: ignore[arg-type]


def test_broken_files_are_listed_and_the_walk_goes_on(
    tmp_path: Path, pdf: Callable[..., Path], audio: Callable[[Path], Path]
) -> None:
    pdf(tmp_path / "a locked.pdf", password="x")
    touch(tmp_path / "b.pdf", b"")
    touch(tmp_path / "c.mp4", b"junk")
    audio(tmp_path / "d.mp4")
    touch(tmp_path / "e.txt", b"\xff\xfe\xfd")
    touch(tmp_path / "f.csv", b"a,b\n1,2\n")
    touch(tmp_path / "z.jpg")
    found = scan(tmp_path)
    assert names(found) == ["z.jpg"]
    whys = {Path(uri).name: why for uri, why in found.failures}
    expected = {
        "a locked.pdf": "password",
        "b.pdf": "empty",
        "c.mp4": "not a video",
        "d.mp4": "no video stream",
        "e.txt": "not UTF-8",
        "f.csv": "an Item needs one of",
    }
    assert whys.keys() == expected.keys()
    for name, part in expected.items():
        assert part in whys[name]


def test_a_named_file_of_a_strange_type_is_a_failure_not_a_silence(tmp_path: Path) -> None:
    found = scan(touch(tmp_path / "a.xyz"))
    assert list(found) == []
    assert ".xyz cannot be searched" in found.failures[0][1]


def test_links_loops_hidden_and_special_files(tmp_path: Path) -> None:
    folder = tmp_path / "top"
    touch(folder / "a" / "pic.jpg")
    touch(folder / ".hidden.jpg")
    touch(folder / ".git" / "b.jpg")
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "b_again").symlink_to(folder / "a")
    (folder / "c_broken.jpg").symlink_to("nowhere.jpg")
    (folder / "d_self.jpg").symlink_to("d_self.jpg")
    outside = touch(tmp_path / "outside" / "x.jpg")
    (folder / "e_out").symlink_to(outside.parent)
    (folder / "f_link.jpg").symlink_to(outside)
    os.mkfifo(folder / "g_pipe.jpg")
    found = scan(folder)
    assert names(found) == ["pic.jpg", "x.jpg", "f_link.jpg"]
    assert found.skipped == {HIDDEN: 2, SEEN: 2, SPECIAL: 1}
    assert [(Path(uri).name, why) for uri, why in found.failures] == [
        ("c_broken.jpg", "a broken link to nowhere.jpg"),
        ("d_self.jpg", "Too many levels of symbolic links"),
    ]


def test_names_that_are_not_utf8_survive_a_string_column(tmp_path: Path) -> None:
    raw = os.path.join(os.fsencode(tmp_path), b"caf\xe9 1.png")
    with open(raw, "wb") as out:
        Image.new("RGB", (8, 8), (9, 8, 7)).save(out, "PNG")
    (item,) = scan(tmp_path)
    assert item.uri == f"file://{tmp_path}/caf%E9%201.png"
    assert item.id == f"{tmp_path}/caf%E9%201.png"
    assert item.meta["name"] == "caf\\xe9 1.png"
    item.uri.encode("utf-8")
    loaded = load(item, size=8, frames=1)
    assert loaded.image is not None
    assert loaded.image.getpixel((0, 0)) == (9, 8, 7)


def test_failures_can_be_stored_whatever_the_file_is_called(tmp_path: Path) -> None:
    raw = os.path.join(os.fsencode(tmp_path), b"caf\xe9.pdf")
    with open(raw, "wb") as out:
        out.write(b"junk")
    found = scan(tmp_path)
    assert list(found) == []
    ((uri, why),) = found.failures
    assert uri == f"file://{tmp_path}/caf%E9.pdf"
    why.encode("utf-8")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to lose and regain rights")
def test_an_unreadable_folder_and_file_as_another_user(tmp_path: Path) -> None:
    touch(tmp_path / "a_closed" / "x.jpg")
    touch(tmp_path / "b_closed.txt")
    touch(tmp_path / "c.jpg")
    os.chmod(tmp_path / "a_closed", 0)
    os.chmod(tmp_path / "b_closed.txt", 0)
    for folder in (tmp_path, *tmp_path.parents):
        mode = folder.stat().st_mode & 0o7777
        if mode & 0o005 != 0o005:  # a worker of pytest-xdist has one private folder more
            os.chmod(folder, mode | 0o055)
    found = scan(tmp_path)
    os.seteuid(65534)
    try:
        items = list(found)
    finally:
        os.seteuid(0)
    assert names(items) == ["c.jpg"]
    assert [Path(uri).name for uri, _ in found.failures] == ["a_closed", "b_closed.txt"]
    assert all("Permission denied" in why for _, why in found.failures)


def test_files_that_vanish_during_the_walk_do_not_end_it(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        touch(tmp_path / name / "x.jpg")
    found = scan(tmp_path)
    walk = iter(found)
    next(walk)
    (tmp_path / "b" / "x.jpg").unlink()
    (tmp_path / "b").rmdir()
    assert names(walk) == ["x.jpg"]
    assert [Path(uri).name for uri, _ in found.failures] == ["b"]


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A picture 1,050 folders down: deeper than recursion goes. Taken away from below, as no tool for trees can."""
    depth = 1_050
    lowest = str(tmp_path) + "/d" * depth
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    touch(Path(lowest) / "x.jpg")
    yield tmp_path
    os.unlink(f"{lowest}/x.jpg")
    while lowest != str(tmp_path):
        os.rmdir(lowest)
        lowest = lowest[:-2]


def test_very_deep_folders(deep: Path) -> None:
    found = scan(deep)
    assert names(found) == ["x.jpg"]
    assert found.failures == []


def test_a_large_tree_is_not_held_in_memory(tmp_path: Path) -> None:
    for folder in range(40):
        (tmp_path / f"{folder:03}").mkdir()
        for file in range(250):
            os.close(os.open(tmp_path / f"{folder:03}" / f"{file:04}.jpg", os.O_CREAT))
    assert sum(1 for _ in scan(tmp_path)) == 10_000  # whatever the first walk loads is not counted
    tracemalloc.start()
    count = sum(1 for _ in scan(tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 250_000  # the names of one folder of 250, and 40 folders visited; all 10,000 paths would be 1.5 MB
