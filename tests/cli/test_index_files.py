"""`mmrank index` and `mmrank search --where` over what files carry: pictures, videos, PDFs and their sidecars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

TOY = ("--model", "toybox", "--threads", "1")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, run: Any) -> Path:
    """Two photos with EXIF, one with a caption; a clip with subtitles; a report. And an index of them."""
    folder = tmp_path_factory.mktemp("collection")
    media = folder / "media"
    media.mkdir()
    rng = np.random.default_rng(0)
    for name, taken, letter in (("new.jpg", "2025:01:02 03:04:05", "N"), ("old.jpg", "2019:07:01 12:00:00", "S")):
        exif = Image.Exif()
        exif.update({0x010F: "FUJIFILM", 0x0110: "X100V"})
        exif.get_ifd(0x8769)[0x9003] = taken
        exif.get_ifd(0x8825).update({1: letter, 2: (35.0, 30.0, 0.0), 3: "E", 4: (139.0, 30.0, 0.0)})
        pixels = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(media / name, exif=exif.tobytes())
    (media / "new.txt").write_text("A zebra on a bicycle.")
    (media / "old.json").write_text("{ broken")
    _clip(media / "talk.mp4")
    (media / "talk.en.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nabout volcanoes\n\n2\n00:00:05,000 --> 00:00:06,000\nabout glaciers\n"
    )
    _report(media / "report.pdf")
    (folder / "index.toml").write_text('paths = ["media"]\nto = "index"\nmodel = "toybox"\nspan_seconds = 3\n')
    result = run("index", "--config", folder / "index.toml", "--threads", "1", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["added"], report["failed"]) == (6, [])
    assert any("old.json is not JSON" in what for _, what in report["warnings"])
    return folder / "index"


def _clip(path: Path) -> None:
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=5)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        out.metadata["creation_time"] = "2025-03-01T10:00:00.000000Z"
        for i in range(35):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i * 7, np.uint8), format="rgb24")
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


def _report(path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), pagesize=(200, 200))
    canvas.setTitle("On boats")
    canvas.setAuthor("Ann Ames")
    for line in ("first", "second"):
        canvas.drawString(20, 100, line)
        canvas.showPage()
    canvas.save()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("camera = 'FUJIFILM X100V' and taken >= timestamp '2025-01-01'", ["new.jpg"]),
        ("camera = 'FUJIFILM X100V' and taken < date '2025-01-01'", ["old.jpg"]),
        ("taken_utc >= timestamp '2025-03-01T09:00:00Z'", ["talk.mp4", "talk.mp4"]),
        ("date_part('year', taken) = 2019", ["old.jpg"]),
        ("latitude between 30 and 40 and longitude > 139", ["new.jpg"]),
        ("latitude < 0", ["old.jpg"]),
        ("duration > 5 and start >= 3", ["talk.mp4"]),
        ("author like 'Ann%' and pages = 2 and page = 1", ["report.pdf"]),
        ("title = 'On boats'", ["report.pdf", "report.pdf"]),
        ("width > height and kind = 'image'", ["new.jpg", "old.jpg"]),
        ("bytes < 10", []),
    ],
)
def test_filters_over_what_files_say(run: Any, collection: Path, where: str, expected: list[str]) -> None:
    result = run("search", collection, "anything", "--where", where, "--json", "--threads", "1")
    assert result.exit_code == 0, result.stderr
    assert sorted(hit["meta"]["name"] for hit in json.loads(result.stdout)["hits"]) == expected


@pytest.mark.parametrize(
    ("words", "uri"), [("zebra", "new.jpg"), ("volcanoes", "talk.mp4#t=0,3"), ("glaciers", "talk.mp4#t=3,7")]
)
def test_captions_and_subtitles_are_found_by_their_words(run: Any, collection: Path, words: str, uri: str) -> None:
    result = run("search", collection, words, "--mode", "text", "--json", "--threads", "1")
    assert result.exit_code == 0, result.stderr
    (hit,) = json.loads(result.stdout)["hits"]
    assert hit["uri"].endswith(uri)
    assert words in hit["text"]
