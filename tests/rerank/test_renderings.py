"""Items and queries as message parts, over real photos, pages and clips."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrank.errors import MediaError
from mmrank.media import load, s_grid
from mmrank.mllm.prompt import ImagePart, Part, Picture, TextPart
from mmrank.rerank.renderings import Renderer, RenderSettings, first_words, fit_area
from mmrank.toybox.assets import sample_media_folder
from mmrank.types import Hit, Item, Query

MEDIA = sample_media_folder()
CLIP = Item(id="clip", kind="video", uri=str(MEDIA / "clips" / "clip-0001.mp4"))
PHOTO = Item(id="photo", kind="image", uri=str(MEDIA / "photos" / "photo-0001.jpg"))
PAGE = Item(id="page", kind="page", uri=f"{MEDIA / 'reports' / 'annual-survey-2020.pdf'}#page=2")


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def show(item: Item, score: float = 0.25, **settings: Any) -> tuple[Part, ...]:
    return Renderer(RenderSettings(**settings)).item(Hit(item=item, score=score))


def words(parts: tuple[Part, ...]) -> str:
    return "".join(part.text if isinstance(part, TextPart) else "<image>" for part in parts)


def pictures(parts: tuple[Part, ...]) -> list[Picture]:
    return [part.picture for part in parts if isinstance(part, ImagePart)]


def data(parts: tuple[Part, ...]) -> list[str]:
    return [part.text for part in parts if isinstance(part, TextPart) and part.data]


@pytest.mark.parametrize("size", [(640, 480), (3000, 2000), (50, 2000)])
def test_a_picture_is_shrunk_in_proportion_and_knows_its_size(size: tuple[int, int]) -> None:
    item = Item(id="a", kind="image", image=noise(*size))
    (picture,) = pictures(show(item, max_pixels=100_000))
    opened = picture.open()
    assert opened.size == (picture.width, picture.height)
    assert opened.mode == "RGB"
    assert picture.width * picture.height <= 100_000
    assert picture.width / picture.height == pytest.approx(size[0] / size[1], rel=0.06)


def test_small_pictures_are_enlarged_only_when_told() -> None:
    item = Item(id="a", kind="image", image=noise(20, 10))
    assert (pictures(show(item))[0].width, pictures(show(item))[0].height) == (20, 10)
    (large,) = pictures(show(item, min_pixels=800))
    assert large.open().size == (large.width, large.height) == (40, 20)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 2_000), st.integers(2_000, 50_000))
def test_fit_area_keeps_within_its_limits(width: int, height: int, low: int, high: int) -> None:
    fitted = fit_area(Image.new("RGB", (width, height)), low, high)
    assert fitted.width * fitted.height <= high
    if width * height <= high:
        assert fitted.width >= width
        assert fitted.height >= height


def test_an_s_grid_is_the_sheet_of_media() -> None:
    (picture,) = pictures(show(CLIP, s=2, sheet_size=128))
    frames = load(CLIP, size=64, frames=4).frames
    assert picture.open().tobytes() == s_grid(frames, 2, 128).tobytes()
    assert (picture.width, picture.height) == (128, 128)


def test_frames_come_each_with_its_time() -> None:
    parts = show(CLIP, video="frames", frames=4, max_pixels=4096)
    times = load(CLIP, size=64, frames=4).times
    assert words(parts) == "".join(f"\nAt {time:.1f} s: <image>" for time in times)
    assert len({picture.key for picture in pictures(parts)}) == 4
    assert data(parts) == []


def test_a_page_is_a_picture_and_its_text_layer_on_request() -> None:
    assert words(show(PAGE)) == "<image>"
    with_text = show(PAGE, page_text=True, max_words=3)
    assert words(with_text) == "<image>\nText on the page: The fox, pig"
    assert data(with_text) == ["The fox, pig"]
    assert words(show(replace(PAGE, text="own"), page_text=True)).endswith(": own")
    assert words(show(PAGE, page="text", max_words=2)) == "The fox,"


def test_captions_and_subtitles_come_on_request() -> None:
    assert words(show(replace(PHOTO, text="a cat"))) == "<image>"
    assert words(show(replace(PHOTO, text="a cat"), captions=True)) == "<image>\nCaption: a cat"
    assert words(show(replace(PHOTO, text="a cat"), captions=True, joint="")) == "<image>a cat"
    assert words(show(replace(CLIP, text="hello"), subtitles=True, captions=True)) == "<image>\nSubtitles: hello"
    assert words(show(PHOTO, captions=True)) == "<image>"
    assert words(show(replace(PHOTO, text=" "), captions=True)) == "<image>"


def test_a_text_is_data_and_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("  one two  three four ", encoding="utf-8")
    parts = show(Item(id="n", kind="text", uri=str(tmp_path / "note.txt")), max_words=3)
    assert parts == (TextPart(text="one two  three", data=True),)


def test_an_item_without_text_cannot_be_shown_as_text() -> None:
    with pytest.raises(MediaError, match="has no text"):
        show(PHOTO, image="text")
    assert words(show(replace(PHOTO, text="a cat"), image="text")) == "a cat"


def test_the_score_is_written_behind() -> None:
    assert words(show(PHOTO, score=0.123456, scores=True)) == "<image>\nSearch score: 0.1235"
    assert words(show(PHOTO, score=float("nan"), scores=True)).endswith("unknown")


def test_a_boxed_item_is_shown_whole_and_alone() -> None:
    image = noise(300, 200)
    item = Item(id="a", kind="image", image=image, meta={"bbox": "50,60,150,160"})
    whole, inside = pictures(show(item, crop=True))
    assert inside.open().tobytes() == image.crop((50, 60, 150, 160)).tobytes()
    assert whole.open().getpixel((49, 100)) == (255, 0, 0)
    assert words(show(item)) == "<image>"
    assert words(show(PHOTO, crop=True)) == "<image>"
    with pytest.raises(MediaError, match="in fractions"):
        show(replace(PAGE, meta={"bbox": "50,60,150,160"}), crop=True)
    assert len(pictures(show(replace(PAGE, meta={"bbox": "0,0,0.5,0.5"}), crop=True))) == 2


def test_equal_content_and_settings_share_a_key_and_nothing_else_does(tmp_path: Path) -> None:
    copy = tmp_path / "copy.jpg"
    shutil.copy(str(PHOTO.uri), copy)
    other = Item(id="b", kind="image", uri=str(copy), text="a caption", meta={"bbox": "0,0,1,1", "tag": "x"})
    key = pictures(show(PHOTO))[0].key
    assert pictures(show(other))[0].key == key
    assert pictures(show(other, captions=True))[0].key == key
    assert pictures(show(PHOTO, frames=3, s=2))[0].key == key
    assert pictures(show(PHOTO, max_pixels=4096))[0].key != key
    assert pictures(show(other, crop=True))[0].key != key
    assert len({pictures(show(CLIP, s=s))[0].key for s in (1, 2, 3)}) == 3
    spans = [replace(CLIP, uri=f"{CLIP.uri}#t=0,{end}") for end in (1, 2)]
    assert len({pictures(show(span))[0].key for span in spans}) == 2


@pytest.mark.parametrize("cache_bytes", [0, 1 << 24])
def test_pixels_are_the_same_kept_or_opened_again(cache_bytes: int) -> None:
    renderer = Renderer(RenderSettings(video="frames", frames=3, max_pixels=4096), cache_bytes=cache_bytes)
    for item in (PHOTO, PAGE, CLIP):
        expected = [p.open().tobytes() for p in pictures(show(item, video="frames", frames=3, max_pixels=4096))]
        shown = pictures(renderer.item(Hit(item=item, score=0.0)))
        assert [p.open().tobytes() for p in shown] == expected
        assert [p.open().tobytes() for p in reversed(shown)] == expected[::-1]


def test_a_second_rendering_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = Renderer(RenderSettings())
    first = renderer.item(Hit(item=CLIP, score=0.0))
    monkeypatch.setattr("mmrank.rerank.renderings.load", None)
    second = renderer.item(Hit(item=replace(CLIP, id="other"), score=1.0))
    assert pictures(first)[0] == pictures(second)[0]
    assert pictures(second)[0].open().size == (448, 448)


def test_a_file_that_has_gone_or_changed_is_said(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    shutil.copy(str(PHOTO.uri), path)
    renderer = Renderer(RenderSettings(), cache_bytes=0)
    (picture,) = pictures(renderer.item(Hit(item=Item(id="a", kind="image", uri=str(path)), score=0.0)))
    noise(30, 30).save(path)
    with pytest.raises(MediaError, match="has changed since"):
        picture.open()
    path.unlink()
    with pytest.raises(MediaError, match="cannot be opened"):
        picture.open()
    with pytest.raises(MediaError, match="cannot be opened"):
        renderer.item(Hit(item=Item(id="a", kind="image", uri=str(path)), score=0.0))


def test_what_was_mended_is_handed_on(tmp_path: Path) -> None:
    import av

    path = tmp_path / "cut.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"  # type: ignore[attr-defined]
        for i in range(100):
            frame = av.VideoFrame.from_image(noise(160, 120).rotate(i))
            out.mux(stream.encode(frame))  # type: ignore[attr-defined]
        out.mux(stream.encode())  # type: ignore[attr-defined]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    renderer = Renderer(RenderSettings())
    rendering = renderer.item(Hit(item=Item(id="v", kind="video", uri=str(path)), score=0.0))
    assert any("truncated" in warning for warning in rendering.warnings)
    assert renderer.query(Query(video=path)).warnings == rendering.warnings
    assert renderer.item(Hit(item=PHOTO, score=0.0)).warnings == ()


def test_a_query_is_shown_by_its_pictures(tmp_path: Path) -> None:
    renderer = Renderer(RenderSettings(image="text", video="text"))
    assert renderer.query(Query(text="a cat")) == ()
    shown = renderer.query(Query(text="at night", image=[noise(20, 10), Path(str(PHOTO.uri)), str(PAGE.uri)]))
    assert words(shown) == "<image><image><image>"
    assert pictures(shown)[1].key == pictures(show(PHOTO))[0].key
    assert pictures(shown)[2].key == pictures(show(PAGE))[0].key
    assert pictures(renderer.query(Query(video=str(CLIP.uri))))[0].key == pictures(show(CLIP))[0].key
    with pytest.raises(MediaError):
        renderer.query(Query(image=tmp_path / "none.jpg"))


def test_a_query_video_brings_the_subtitles_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    shutil.copy(str(CLIP.uri), path)
    (tmp_path / "clip.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n", encoding="utf-8")
    assert words(Renderer(RenderSettings()).query(Query(video=path))) == "<image>"
    spoken = Renderer(RenderSettings(subtitles=True)).query(Query(video=path))
    assert words(spoken) == "<image>\nSubtitles: Hello"
    assert data(spoken) == ["Hello"]


def test_threads_get_what_one_gets() -> None:
    renderer = Renderer(RenderSettings(s=2, sheet_size=64, max_pixels=4096), cache_bytes=30_000)
    photos = sorted((MEDIA / "photos").iterdir())[:6]
    items = [*(Item(id=p.name, kind="image", uri=str(p)) for p in photos), PAGE, CLIP]
    expected = {
        item.id: pictures(show(item, s=2, sheet_size=64, max_pixels=4096))[0].open().tobytes() for item in items
    }
    wrong: list[str] = []

    def work() -> None:
        for item in items:
            (picture,) = pictures(renderer.item(Hit(item=item, score=0.0)))
            if picture.open().tobytes() != expected[item.id]:
                wrong.append(item.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(st.text(), st.integers(1, 5))
def test_first_words_is_a_beginning_with_that_many_words(text: str, most: int) -> None:
    cut = first_words(text, most)
    assert text.startswith(cut)
    assert cut.split() == text.split()[:most]
