"""Everything that goes wrong in one folder: each bad file is a line in the report, and no good one is lost."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import mmrank as mm

if TYPE_CHECKING:
    from mmrank.embed.base import Embedder

RATE = 8_000
"""Sound samples a second of the clip without a picture."""


def _picture(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size)


def _jpeg(seed: int) -> bytes:
    out = io.BytesIO()
    _picture(seed).save(out, "JPEG", quality=90)
    return out.getvalue()


def _bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels (10 GB decoded) in a few hundred bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _clip(path: Path, frames: int, seed: int = 0) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_image(_picture(100 * seed + number))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _sound(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE)
        tone = np.sin(np.arange(RATE) * 0.3).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _pdf(path: Path, password: str | None = None) -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), encrypt=StandardEncryption(password) if password else None)
    canvas.drawString(72, 720, f"The annual report of {path.stem}")
    canvas.showPage()
    canvas.save()


EMPTY_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n"
)

GOOD = {
    "a good photo.jpg",
    "a png called.jpg",
    "one-pixel-wide.png",
    "three-frames.mp4",
    "report.pdf#page=1",
    "note.md",
    "caf\\xe9.jpg",
    "deep/down/photo.jpg",
    "through-a-link.jpg",
}
"""What must be in the index, whatever lies beside it. Names as the report shows them."""

BAD = {
    "zero-bytes.jpg": "empty",
    "truncated.jpg": "truncated",
    "text called.jpg": "not an image",
    "bomb.png": "pixels|bomb",
    "zero-bytes.mp4": "empty",
    "truncated.mp4": "moov|truncated|invalid|cannot",
    "sound-only.mp4": "video stream|no video",
    "zero-bytes.pdf": "empty",
    "truncated.pdf": "PDF|broken",
    "password.pdf": "password|encrypted",
    "no-pages.pdf": "page",
    "zero-bytes.md": "empty",
    "white-space.md": "white space|empty",
    "latin-1.md": "UTF-8|encod",
    "broken-link.jpg": "link",
    "loop.jpg": "link|symbolic|level",
}
"""Files that cannot be indexed, and a word (a pattern) that the reason must hold."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of file that can go wrong, among good ones."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "a good photo.jpg").write_bytes(_jpeg(1))
    _picture(2).save(folder / "a png called.jpg", "PNG")
    _picture(3, (1, 300)).save(folder / "one-pixel-wide.png")
    _clip(folder / "three-frames.mp4", 3)
    _pdf(folder / "report.pdf")
    (folder / "note.md").write_text("# A note\n\nThe harbour was full of red boats.\n")
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(_jpeg(4))
    (folder / "deep" / "down").mkdir(parents=True)
    (folder / "deep" / "down" / "photo.jpg").write_bytes(_jpeg(5))
    outside = tmp_path_factory.mktemp("outside") / "linked.jpg"
    outside.write_bytes(_jpeg(6))
    (folder / "through-a-link.jpg").symlink_to(outside)
    _write_bad(folder)
    return folder


def _write_bad(folder: Path) -> None:
    for suffix in ("jpg", "mp4", "pdf", "md"):
        (folder / f"zero-bytes.{suffix}").touch()
    (folder / "truncated.jpg").write_bytes(_jpeg(7)[:-400])
    (folder / "text called.jpg").write_text("This is no picture.")
    (folder / "bomb.png").write_bytes(_bomb())
    _clip(folder / "truncated.mp4", 20, seed=1)
    whole = (folder / "truncated.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    _sound(folder / "sound-only.mp4")
    (folder / "truncated.pdf").write_bytes(b"%PDF-1.4\n1 0 obj<</Type/Cata")
    _pdf(folder / "password.pdf", password="secret")
    (folder / "no-pages.pdf").write_bytes(EMPTY_PDF)
    (folder / "white-space.md").write_text(" \n\t\n")
    (folder / "latin-1.md").write_bytes("Ein schöner Tag".encode("latin-1"))
    (folder / "broken-link.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "deep" / "round").symlink_to(folder, target_is_directory=True)


@pytest.fixture(scope="module")
def embedder(tiny_clip: Path) -> Embedder:
    return mm.load_embedder(str(tiny_clip), device="cpu", threads=1)


@pytest.fixture(scope="module")
def built(folder: Path, embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> tuple[mm.Index, Any]:
    """The index of the folder and the report of its build."""
    index = mm.Index.create(str(tmp_path_factory.mktemp("bad") / "index"), embedder)
    return index, index.add(mm.scan(str(folder)))


def _names(uris: Sequence[str], folder: Path) -> set[str]:
    """Names relative to the folder, non-UTF-8 bytes shown as ``\\xe9`` whichever way a uri writes them."""
    plain = [uri.removeprefix("file://").removeprefix(f"{folder}/") for uri in uris]
    return {name.replace("%E9", "\\xe9") for name in plain}


def test_every_good_file_is_indexed_and_nothing_else(built: tuple[mm.Index, Any], folder: Path) -> None:
    index, report = built
    hits = index.search("a picture", k=1_000)
    assert _names([hit.item.uri or "" for hit in hits], folder) == GOOD
    assert report.added == len(GOOD)


@pytest.mark.parametrize("name", BAD)
def test_every_bad_file_is_a_line_in_the_report_that_says_why(
    built: tuple[mm.Index, Any], folder: Path, name: str
) -> None:
    reasons = [why for uri, why in built[1].failed if _names([uri], folder) == {name}]
    assert len(reasons) == 1
    assert re.search(BAD[name], reasons[0], re.IGNORECASE), reasons[0]


def test_no_line_is_about_anything_else(built: tuple[mm.Index, Any], folder: Path) -> None:
    assert _names([uri for uri, _ in built[1].failed], folder) == set(BAD)


def test_a_second_run_reports_the_same_and_embeds_nothing(
    built: tuple[mm.Index, Any], folder: Path, embedder: Embedder
) -> None:
    index, first = built
    again = index.add(mm.scan(str(folder)))
    assert (again.added, again.updated, again.unchanged) == (0, 0, len(GOOD))
    assert sorted(again.failed) == sorted(first.failed)


def test_a_mended_file_is_added_and_its_line_goes(folder: Path, embedder: Embedder, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(folder / "a good photo.jpg", media / "a.jpg")
    (media / "b.jpg").write_bytes(_jpeg(7)[:-400])
    index = mm.Index.create(str(tmp_path / "index"), embedder)
    assert len(index.add(mm.scan(str(media))).failed) == 1
    (media / "b.jpg").write_bytes(_jpeg(7))
    report = index.add(mm.scan(str(media)))
    assert (report.added, report.unchanged, list(report.failed)) == (1, 1, [])


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_an_unreadable_folder_and_file_are_lines_in_the_report(embedder: Embedder, tmp_path: Path) -> None:
    media = tmp_path / "media"
    (media / "locked").mkdir(parents=True)
    for name in ("a.jpg", "locked/b.jpg", "c.jpg"):
        (media / name).write_bytes(_jpeg(len(name)))
    (media / "locked").chmod(0)
    (media / "c.jpg").chmod(0)
    try:
        report = mm.Index.create(str(tmp_path / "index"), embedder).add(mm.scan(str(media)))
    finally:
        (media / "locked").chmod(0o700)
    assert report.added == 1
    assert _names([uri for uri, _ in report.failed], media) == {"locked", "c.jpg"}


class _Spoilt:
    """An embedder of one's own that gives NaN for some items, without a word."""

    def __init__(self, embedder: Embedder, positions: set[int]) -> None:
        self._embedder = embedder
        self._positions = positions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed(self, prepared: Sequence[Any]) -> list[Any]:
        from dataclasses import replace

        given = self._embedder.embed(prepared)
        return [
            replace(one, vector=np.full_like(one.vector, np.nan)) if position in self._positions else one
            for position, one in enumerate(given)
        ]


def test_a_nan_vector_is_a_line_in_the_report_and_its_neighbours_are_kept(embedder: Embedder, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for number in range(6):
        (media / f"{number}.jpg").write_bytes(_jpeg(10 + number))
    spoilt: Any = _Spoilt(embedder, {2})
    index = mm.Index.create(str(tmp_path / "index"), spoilt)
    report = index.add(mm.scan(str(media)), batch_size=6)
    assert report.added == 5
    [(_, why)] = report.failed
    assert "NaN" in why or "finite" in why
    healed = mm.Index.create(str(tmp_path / "index"), embedder).add(mm.scan(str(media)))
    assert (healed.added, healed.unchanged, list(healed.failed)) == (1, 5, [])


def test_k_above_the_collection_gives_all_of_it(built: tuple[mm.Index, Any]) -> None:
    assert len(built[0].search("boats", k=10_000)) == len(GOOD)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(built: tuple[mm.Index, Any], k: int) -> None:
    with pytest.raises(mm.UsageError, match="k is"):
        built[0].search("boats", k=k)


@pytest.mark.parametrize("query", ["", "  \n", mm.Query(), mm.Query(text=" ")])
def test_an_empty_query_is_refused(built: tuple[mm.Index, Any], query: str | mm.Query) -> None:
    with pytest.raises(mm.UsageError, match="empty"):
        built[0].search(query)


def test_an_empty_query_costs_a_batch_only_its_own_ranking(built: tuple[mm.Index, Any]) -> None:
    good, empty = built[0].search_many(["boats", ""], k=3)
    assert (len(good), good.outcome) == (3, "ok")
    assert (len(empty), empty.outcome) == (0, "failed")
    assert "empty" in (empty.records[-1].error or "")


@pytest.mark.parametrize("where", ["colour = 'red'", "kind = ", "1; DROP TABLE items", "", "kind"])
@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_a_bad_filter_is_refused_and_names_the_columns(built: tuple[mm.Index, Any], where: str, mode: Any) -> None:
    with pytest.raises(mm.UsageError, match=r"(?s)filter.*kind"):
        built[0].search("boats", where=where, mode=mode)
    assert len(built[0].search("boats", k=100)) == len(GOOD)


def test_a_bad_filter_deletes_nothing(built: tuple[mm.Index, Any]) -> None:
    with pytest.raises(mm.UsageError, match="filter"):
        built[0].delete("colour = 'red'")
    assert len(built[0]) == len(GOOD)


@pytest.mark.parametrize("name", ["zero-bytes.jpg", "truncated.jpg", "bomb.png", "not-there.jpg"])
def test_a_query_picture_that_cannot_be_read_is_refused(built: tuple[mm.Index, Any], folder: Path, name: str) -> None:
    with pytest.raises(mm.MediaError, match=name):
        built[0].search(mm.Query(image=str(folder / name)))


def _empty_folder(path: Path) -> None:
    path.mkdir()


def _photos(path: Path) -> None:
    path.mkdir()
    (path / "a.jpg").write_bytes(_jpeg(1))


def _a_file(path: Path) -> None:
    path.write_text("not an index")


def _table_of_others(path: Path) -> None:
    import lancedb
    import pyarrow as pa

    lancedb.connect(str(path)).create_table("items", pa.table({"id": ["a"], "vector": [[1.0, 0.0]]}))


def _nothing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize("make", [_nothing, _empty_folder, _photos, _a_file, _table_of_others])
def test_what_is_no_index_cannot_be_opened(make: Any, embedder: Embedder, tmp_path: Path) -> None:
    path = tmp_path / "index"
    make(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(mm.IndexStoreError, match="index"):
        mm.Index.open(str(path), embedder)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("make", [_a_file, _table_of_others])
def test_what_is_something_else_is_not_built_over(make: Any, embedder: Embedder, tmp_path: Path) -> None:
    path = tmp_path / "index"
    make(path)
    with pytest.raises(mm.IndexStoreError, match="index"):
        mm.Index.create(str(path), embedder)


@pytest.fixture
def small_index(embedder: Embedder, tmp_path: Path) -> Path:
    """The folder of an index of four pictures."""
    media = tmp_path / "media"
    media.mkdir()
    for number in range(4):
        (media / f"{number}.jpg").write_bytes(_jpeg(20 + number))
    mm.Index.create(str(tmp_path / "index"), embedder).add(mm.scan(str(media)))
    return tmp_path / "index"


@pytest.mark.parametrize("part", ["items.lance/data", "items.lance/_versions", "items.lance"])
def test_an_index_with_parts_gone_is_an_error_not_an_answer(small_index: Path, embedder: Embedder, part: str) -> None:
    shutil.rmtree(small_index / part)
    with pytest.raises(mm.IndexStoreError):
        mm.Index.open(str(small_index), embedder).search("boats")


@pytest.mark.parametrize("table", ["thumbnails", "frames", "failures", "settings"])
def test_an_index_that_lost_a_table_says_which(small_index: Path, embedder: Embedder, table: str) -> None:
    shutil.rmtree(small_index / f"{table}.lance")
    for way in (mm.Index.open, mm.Index.create):
        with pytest.raises(mm.IndexStoreError, match=rf"damaged.*{table}"):
            way(str(small_index), embedder)


@pytest.mark.parametrize("finished", range(5))
def test_a_creation_killed_between_its_tables_is_finished_by_the_next(
    embedder: Embedder, tmp_path: Path, finished: int
) -> None:
    place = tmp_path / "index"
    mm.Index.create(str(place), embedder)
    tables = sorted(place.iterdir(), key=lambda table: (table / "_versions").stat().st_mtime_ns)
    assert tables[-1].name == "items.lance"  # the last to be made: it says that all are there
    for table in tables[finished:]:
        shutil.rmtree(table)
    with pytest.raises(mm.IndexStoreError, match="never finished" if finished else "no index"):
        mm.Index.open(str(place), embedder)
    media = tmp_path / "media"
    media.mkdir()
    (media / "a.jpg").write_bytes(_jpeg(30))
    assert mm.Index.create(str(place), embedder).add(mm.scan(str(media))).added == 1
    assert len(mm.Index.open(str(place)).search("boats")) == 1


def test_another_embedder_is_refused(small_index: Path, embedder: Embedder) -> None:
    from dataclasses import replace

    class Other:
        fingerprint = replace(embedder.fingerprint, weights="other")
        spec = "bench:other"

        def __getattr__(self, name: str) -> Any:
            return getattr(embedder, name)

    other: Any = Other()
    for way in (mm.Index.open, mm.Index.create):
        with pytest.raises(mm.IndexStoreError, match="embedder"):
            way(str(small_index), other)
    assert len(mm.Index.open(str(small_index), embedder)) == 4


@pytest.fixture(scope="module")
def cli_index(folder: Path, tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The same folder indexed from the command line, and what ``--json`` printed."""
    place = tmp_path_factory.mktemp("cli") / "index"
    done = _mmrank("index", str(folder), "--to", str(place), "--model", str(tiny_clip), "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    return place, json.loads(done.stdout)


def _mmrank(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from mmrank.cli.app import main; main()", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_command_line_exits_0_and_lists_what_it_left_out(cli_index: tuple[Path, Any], folder: Path) -> None:
    found = cli_index[1]
    assert found["added"] == len(GOOD)
    assert _names([uri for uri, _ in found["failed"]], folder) == set(BAD)


@pytest.mark.slow
def test_strict_exits_1_when_a_file_was_left_out(cli_index: tuple[Path, Any], folder: Path, tiny_clip: Path) -> None:
    done = _mmrank("index", str(folder), "--to", str(cli_index[0]), "--model", str(tiny_clip), "--strict")
    assert done.returncode == 1
    assert "truncated.jpg" in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((" ",), 2, "search for|empty"),
        (("boats", "--where", "colour = 'red'"), 2, "filter"),
        (("boats", "--image", "not-there.jpg"), 2, "not-there.jpg"),
    ],
)
def test_a_search_that_cannot_be_meant_exits_2(
    cli_index: tuple[Path, Any], arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = _mmrank("search", str(cli_index[0]), *arguments)
    assert done.returncode == code
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("make", [_nothing, _photos, _a_file])
def test_a_search_of_what_is_no_index_exits_1(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "index")
    done = _mmrank("search", str(tmp_path / "index"), "boats")
    assert done.returncode == 1
    assert "index" in done.stderr
    assert "Traceback" not in done.stderr
