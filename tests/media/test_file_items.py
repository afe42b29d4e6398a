"""Items with what their files, and the files beside them, say: through `scan`, on real media."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from mmrank.media.file_meta import FileMeta
from mmrank.media.scan import scan
from mmrank.types import Item


def photo(path: Path, taken: str = "2025:01:02 03:04:05") -> Path:
    exif = Image.Exif()
    exif[0x0110] = "X100V"
    exif.get_ifd(0x8769)[0x9003] = taken
    Image.new("RGB", (8, 6)).save(path, exif=exif.tobytes())
    return path


def one(path: Path, **options: Any) -> Item:
    (item,) = scan(path, **options)
    return item


def test_a_picture_brings_what_its_header_says(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg")
    expected = {"name": "a.jpg", "bytes": path.stat().st_size, "width": 8, "height": 6, "camera": "X100V"}
    assert one(tmp_path).meta == {**expected, "taken": datetime(2025, 1, 2, 3, 4, 5)}
    assert one(tmp_path, metadata=False).meta == {"name": "a.jpg"}


def test_the_header_is_read_at_the_first_look(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg")
    item = one(tmp_path)
    path.unlink()
    assert item.meta["name"] == "a.jpg"
    assert dict(item.meta) == {"name": "a.jpg", "bytes": item.meta["bytes"]}


def test_metadata_read_late_is_a_mapping_like_any_other(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    meta = one(tmp_path).meta
    assert isinstance(meta, FileMeta)
    assert "camera" in meta
    assert "price" not in meta
    assert meta.get("price") is None
    assert pickle.loads(pickle.dumps(meta)) == meta == dict(meta)
    with pytest.raises(KeyError):
        meta["price"]


def test_the_seal_changes_with_what_was_given(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    before = one(tmp_path).meta
    (tmp_path / "a.json").write_text('{"price": 2}')
    after = one(tmp_path).meta
    assert isinstance(before, FileMeta)
    assert isinstance(after, FileMeta)
    assert before.seal != after.seal == one(tmp_path).meta.seal  # type: ignore[attr-defined]


def test_captions_and_data_belong_to_their_picture(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("A dog.")
    (tmp_path / "a.json").write_text('{"price": 2.5, "camera": "Leica", "caption": "Rex"}')
    (tmp_path / "notes.txt").write_text("A note.")
    found = scan(tmp_path)
    picture, note = found
    assert (picture.text, note.text) == ("A dog.", "A note.")
    assert (picture.meta["price"], picture.meta["camera"], picture.meta["caption"]) == (2.5, "Leica", "Rex")
    assert (found.failures, found.warnings, found.skipped) == ([], [], {})


def test_without_sidecars_a_caption_is_a_text(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("A dog.")
    assert [(item.kind, item.text) for item in scan(tmp_path, sidecars=False)] == [("image", None), ("text", "A dog.")]
    assert [item.text for item in scan(tmp_path, kinds="text")] == ["A dog."]
    assert [item.text for item in scan(tmp_path, kinds="image")] == ["A dog."]


def test_named_files_are_read_as_their_folder_is(tmp_path: Path) -> None:
    picture, caption = photo(tmp_path / "a.jpg"), tmp_path / "a.txt"
    caption.write_text("A dog.")
    (tmp_path / "a.json").write_text('{"price": 2}')
    assert [(item.kind, item.text) for item in scan([picture, caption])] == [("image", "A dog.")]
    assert one(picture).meta["price"] == 2
    assert [(item.kind, item.text) for item in scan([caption])] == [("text", "A dog.")]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.txt", b"caf\xe9", "not UTF-8"),
        ("a.json", b"{", "not JSON"),
        ("a.json", b"[]", "holds a list"),
        ("a.jpg.json", b'{"bytes": 3}', "'bytes' is left out"),
    ],
)
def test_a_broken_sidecar_is_named_and_the_picture_comes_without_it(
    tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    photo(tmp_path / "a.jpg")
    (tmp_path / name).write_bytes(data)
    found = scan(tmp_path)
    (item,) = found
    assert (item.text, item.meta["camera"]) == (None, "X100V")
    ((uri, what),) = found.warnings
    assert uri == str(tmp_path / name)
    assert why in what
    assert found.failures == []


def test_googles_export_fills_what_the_header_does_not_say(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    Image.new("RGB", (8, 6)).save(tmp_path / "b.png")
    data = {
        "photoTakenTime": {"timestamp": "1735757045"},
        "geoData": {"latitude": 35.5, "longitude": 139.5},
        "description": "A dog.",
    }
    for name in ("a.jpg.json", "b.png.supplemental-metadata.json"):
        (tmp_path / name).write_text(json.dumps(data))
    first, second = scan(tmp_path)
    assert (first.text, second.text) == ("A dog.", "A dog.")
    assert first.meta["taken"] == datetime(2025, 1, 2, 3, 4, 5)
    assert second.meta["taken"] == datetime(2025, 1, 1, 18, 44, 5)
    assert first.meta["latitude"] == second.meta["latitude"] == 35.5


def labelled(path: Path, seconds: int = 1, **labels: str) -> Path:
    """A clip of 10 frames a second with labels in its container."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as out:
        video: Any = out.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        out.metadata.update(labels)
        for _ in range(10 * seconds):
            out.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
        out.mux(video.encode(None))
    return path


def test_a_video_brings_what_its_container_says(tmp_path: Path) -> None:
    path = labelled(
        tmp_path / "a.mov",
        **{
            "creation_time": "2025-01-01T18:04:05.000000Z",
            "com.apple.quicktime.creationdate": "2025-01-02T03:04:05+0900",
            "com.apple.quicktime.location.ISO6709": "+35.5+139.5+042/",
            "com.apple.quicktime.make": "Apple",
            "com.apple.quicktime.model": "iPhone 12",
        },
    )
    assert one(path).meta == {
        "name": "a.mov",
        "bytes": path.stat().st_size,
        "duration": 1.0,
        "fps": 10.0,
        "width": 64,
        "height": 48,
        "camera": "Apple iPhone 12",
        "taken": datetime(2025, 1, 2, 3, 4, 5),
        "taken_utc": datetime(2025, 1, 1, 18, 4, 5, tzinfo=UTC),
        "latitude": 35.5,
        "longitude": 139.5,
    }
    assert one(path, metadata=False).meta == {"name": "a.mov"}


def test_a_video_that_knows_utc_only(tmp_path: Path) -> None:
    meta = one(labelled(tmp_path / "a.mp4", creation_time="2025-01-01T18:04:05.000000Z")).meta
    assert meta["taken"] == datetime(2025, 1, 1, 18, 4, 5)
    assert meta["taken_utc"] == datetime(2025, 1, 1, 18, 4, 5, tzinfo=UTC)


def test_subtitles_are_cut_to_spans(tmp_path: Path) -> None:
    labelled(tmp_path / "a.mp4", seconds=9)
    (tmp_path / "a.txt").write_text("A talk.")
    (tmp_path / "a.en.srt").write_text(
        "1\n00:00:00,500 --> 00:00:01,000\nhello\n\n"
        "2\n00:00:02,500 --> 00:00:03,500\nboth\n\n"
        "3\n00:01:02,000 --> 00:01:03,000\ntoo late\n\n"
        "4\nsoon --> later\nlost\n"
    )
    found = scan(tmp_path, span_seconds=3)
    assert [item.text for item in found] == ["A talk.\n\nhello both", "A talk.\n\nboth", "A talk."]
    assert [(Path(uri).name, what) for uri, what in found.warnings] == [
        ("a.en.srt", "left out 1 cue without a time that can be read: 'soon --> later'"),
        ("a.mp4", "1 of 3 subtitles begin behind its end (9.0 s); they may be those of another cut"),
    ]
    (whole,) = scan(tmp_path, span_seconds=None)
    assert whole.text == "A talk.\n\nhello both too late"
    assert [item.kind for item in scan(tmp_path, sidecars=False, kinds="video")] == ["video"]


def test_subtitles_count_from_the_containers_clock(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip(tmp_path / "a.mkv", 20, fps=10, times=[5 + i / 10 for i in range(20)], sound=7.0)
    (tmp_path / "a.srt").write_text(
        "1\n00:00:05,100 --> 00:00:05,500\nhello\n\n2\n00:00:06,200 --> 00:00:06,500\nyou\n"
    )
    assert [item.text for item in scan(tmp_path, span_seconds=1)] == ["hello", "you"]


def test_pages_bring_title_author_and_count(tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(200, 200))
    canvas.setTitle("On \x07boats")
    canvas.setAuthor("Ann")
    for line in ("first", "second"):
        canvas.drawString(20, 100, line)
        canvas.showPage()
    canvas.save()
    (tmp_path / "a.pdf.txt").write_text("A report.")
    (tmp_path / "a.txt").write_text("A note.")
    (tmp_path / "a.json").write_text('{"price": 2}')
    first, second, note = scan(tmp_path)
    size = (tmp_path / "a.pdf").stat().st_size
    told = {"name": "a.pdf", "bytes": size, "title": "On boats", "author": "Ann", "pages": 2, "price": 2}
    assert first.meta == {**told, "caption": "A report.", "page": 1}
    assert (first.text, second.meta["page"], note.text) == (None, 2, "A note.")
    assert next(iter(scan(tmp_path, metadata=False, sidecars=False))).meta == {"name": "a.pdf", "page": 1}
