from __future__ import annotations

import builtins
import io
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrank.errors import MediaError
from mmrank.media import load as load_function
from mmrank.media.load import digest, load
from mmrank.types import Item


def png(level: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (level, 0, 0)).save(out, "PNG")
    return out.getvalue()


def test_the_public_name_is_the_function() -> None:
    assert load_function is load


def test_images_come_from_paths_bytes_and_pil(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png(5))
    sources = [
        Item(id="a", kind="image", uri=str(file)),
        Item(id="a", kind="image", image=png(5)),
        Item(id="a", kind="image", image=str(file)),
        Item(id="a", kind="image", image=Image.new("RGB", (40, 30), (5, 0, 0))),
        Item(id="a", kind="image", image=png(5), uri="https://host/a.png"),
    ]
    for item in sources:
        loaded = load(item, size=30, frames=1)
        assert loaded.image is not None
        assert loaded.image.getpixel((0, 0)) == (5, 0, 0)
        assert (loaded.frames, loaded.warnings, loaded.text) == ((), (), None)


def test_a_page_brings_its_text_layer_unless_the_item_has_text(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    file = pdf(tmp_path / "a.pdf", [["one"], ["two"], []])
    page = Item(id="a", kind="page", uri=f"{file}#page=2")
    loaded = load(page, size=100, frames=1)
    assert loaded.text == "two"
    assert loaded.image is not None
    assert min(loaded.image.size) == 100
    assert load(Item(id="a", kind="page", uri=f"{file}#page=2", text="own"), size=100, frames=1).text == "own"
    assert load(Item(id="a", kind="page", uri=f"{file}#page=3"), size=100, frames=1).text is None
    assert load(Item(id="a", kind="page", uri=str(file)), size=100, frames=1).text == "one"
    assert load(Item(id="a", kind="page", image=file.read_bytes()), size=100, frames=1).text == "one"


def test_a_page_may_be_a_picture(tmp_path: Path) -> None:
    (tmp_path / "scan.png").write_bytes(png(7))
    for item in (
        Item(id="a", kind="page", uri=str(tmp_path / "scan.png"), text="ocr"),
        Item(id="a", kind="page", image=png(7), text="ocr"),
    ):
        loaded = load(item, size=100, frames=1)
        assert loaded.image is not None
        assert loaded.image.getpixel((0, 0)) == (7, 0, 0)
        assert loaded.text == "ocr"


def test_a_video_or_its_span_gives_frames_and_times(
    tmp_path: Path, clip: Callable[..., Path], read_barcode: Callable[[Image.Image], int]
) -> None:
    file = clip(tmp_path / "a.mp4", 50)
    whole = load(Item(id="a", kind="video", uri=str(file), text="said"), size=60, frames=3)
    assert [read_barcode(frame) for frame in whole.frames] == [0, 24, 49]
    assert whole.times == pytest.approx((0, 0.96, 1.96))
    assert (whole.text, whole.image, whole.warnings) == ("said", None, ())
    span = load(Item(id="a", kind="video", uri=f"{file}#t=0.4,0.8"), size=60, frames=3)
    assert [read_barcode(frame) for frame in span.frames] == [10, 14, 19]


def test_warnings_of_a_truncated_video_are_kept(tmp_path: Path, clip: Callable[..., Path]) -> None:
    file = clip(tmp_path / "a.mp4", 60, muxer={"movflags": "faststart"})
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 2 // 3])
    loaded = load(Item(id="a", kind="video", uri=str(file)), size=60, frames=4)
    assert len(loaded.frames) == 4
    assert "truncated" in loaded.warnings[0]


def test_texts_come_from_the_item_or_its_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("from the file")
    assert load(Item(id="a", kind="text", text="own", uri="/gone.txt"), size=1, frames=1).text == "own"
    assert load(Item(id="a", kind="text", uri=str(file)), size=1, frames=1).text == "from the file"
    file.write_text("first paragraph\n\n" + "x" * 1999)
    assert load(Item(id="a", kind="text", uri=f"{file}#chunk=1"), size=1, frames=1).text == "first paragraph"
    with pytest.raises(MediaError, match="chunk 3 does not exist"):
        load(Item(id="a", kind="text", uri=f"{file}#chunk=3"), size=1, frames=1)


@pytest.mark.parametrize("kind", ["text", "image", "page", "video"])
def test_what_is_missing_is_named(kind: str) -> None:
    for act in (lambda item: load(item, size=9, frames=9), digest):
        with pytest.raises(MediaError, match=r"gone\.bin cannot be opened: No such file"):
            act(Item(id="a", kind=kind, uri="/tmp/gone.bin"))  # type: ignore[arg-type]
        with pytest.raises(MediaError, match="give"):
            act(Item(id="a", kind=kind))  # type: ignore[arg-type]
        if kind != "text":
            with pytest.raises(MediaError, match="fetches nothing"):
                act(Item(id="a", kind=kind, uri="https://host/a"))  # type: ignore[arg-type]


def test_a_video_made_of_a_picture_is_refused() -> None:
    with pytest.raises(MediaError, match="its image is a picture"):
        load(Item(id="a", kind="video", image=Image.new("RGB", (4, 4))), size=9, frames=9)


def test_equal_content_under_other_names_has_one_digest(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    one.write_bytes(png())
    two.write_bytes(png())
    digests = {
        digest(Item(id="a", kind="image", uri=str(one), meta={"x": 1}, parent="p")),
        digest(Item(id="b", kind="image", uri=str(two))),
        digest(Item(id="c", kind="image", image=png())),
    }
    assert len(digests) == 1
    (value,) = digests
    assert len(value) == 40
    int(value, 16)


def test_whatever_is_embedded_changes_the_digest(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(png())
    other = tmp_path / "b.bin"
    other.write_bytes(png(1))
    items = [
        Item(id="a", kind="image", uri=str(file)),
        Item(id="a", kind="page", uri=str(file)),
        Item(id="a", kind="page", uri=f"{file}#page=1"),
        Item(id="a", kind="page", uri=f"{file}#page=2"),
        Item(id="a", kind="video", uri=f"{file}#t=0,1"),
        Item(id="a", kind="video", uri=f"{file}#t=0,2"),
        Item(id="a", kind="image", uri=str(file), text=""),
        Item(id="a", kind="image", uri=str(file), text="caption"),
        Item(id="a", kind="image", uri=str(other)),
        Item(id="a", kind="image", image=Image.new("RGB", (2, 3))),
        Item(id="a", kind="image", image=Image.new("RGB", (3, 2))),
        Item(id="a", kind="text", text="a"),
        Item(id="a", kind="text", text="b"),
        Item(id="a", kind="text", text=""),
    ]
    assert len({digest(item) for item in items}) == len(items)


@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_share_a_digest_only_when_equal(a: str, b: str) -> None:
    one, two = (digest(Item(id=i, kind="text", text=t)) for i, t in (("x", a), ("y", b)))
    assert (one == two) == (a == b)


def test_a_file_written_again_has_a_new_digest(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png(1))
    item = Item(id="a", kind="image", uri=str(file))
    before = digest(item)
    file.write_bytes(png(2))
    os.utime(file, ns=(1, 1))
    assert digest(item) != before


def test_a_pdf_is_hashed_once_for_all_its_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "big.pdf"
    file.write_bytes(os.urandom(3_000_000))
    opened: list[object] = []
    real = io.open

    def counting(path: object, *args: object, **kwargs: object) -> object:
        if str(path) == str(file):
            opened.append(path)
        return real(path, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(io, "open", counting)
    monkeypatch.setattr(builtins, "open", counting)
    items = [Item(id="a", kind="page", uri=f"{file}#page={i}") for i in range(1, 200)]
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(digest, items))
    assert len(digests) == len(items)
    assert len(opened) == 1


def test_threads_load_everything_at_once(tmp_path: Path, clip: Callable[..., Path], pdf: Callable[..., Path]) -> None:
    (tmp_path / "a.png").write_bytes(png())
    clip(tmp_path / "a.mp4", 30)
    pdf(tmp_path / "a.pdf", [[str(i)] for i in range(4)])
    shutil.copy(tmp_path / "a.pdf", tmp_path / "b.pdf")
    uris: list[tuple[str, str]] = [("image", "a.png"), ("video", "a.mp4#t=0.2,0.9")]
    uris += [("page", f"{name}.pdf#page={page}") for name in "ab" for page in range(1, 5)]
    items = [Item(id=uri, kind=kind, uri=f"{tmp_path}/{uri}") for kind, uri in uris]  # type: ignore[arg-type]
    alone = [(load(item, size=64, frames=3), digest(item)) for item in items]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda item: (load(item, size=64, frames=3), digest(item)), items * 5))
    for (one, first), (other, second) in zip(alone * 5, together, strict=True):
        assert first == second
        assert (one.text, one.times, one.image, one.frames) == (other.text, other.times, other.image, other.frames)
