from __future__ import annotations

import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

from mmrank.errors import MediaError
from mmrank.media.image import open_image, shrink, thumbnail

MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"]
MODES = [*MODES, "I", "F", "LA", "RGBX", "RGBa", "La", "PA", "I;16", "I;16B"]
TRUNCATED = [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {})]
TRUNCATED = [*TRUNCATED, ("TIFF", {}), ("JPEG2000", {}), ("PPM", {}), ("TGA", {}), ("AVIF", {}), ("QOI", {})]


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A smooth ground with edges and some noise: survives JPEG, shows turns and shifts."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 255 // width, y * 255 // height, ((x // 8 + y // 8) % 2) * 200], -1)
    noise = np.random.default_rng(seed).integers(-12, 12, rgb.shape)
    return Image.fromarray(np.clip(rgb + noise, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def grey(image: Image.Image) -> list[int]:
    return np.asarray(image)[..., 0].ravel().tolist()


@pytest.mark.parametrize("mode", MODES)
def test_every_pillow_mode_becomes_rgb(mode: str) -> None:
    out = open_image(Image.new(mode, (5, 3)))
    assert (out.mode, out.size) == ("RGB", (5, 3))


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "AVIF", "JPEG2000", "ICO", "PCX", "SGI", "QOI"]
)
def test_formats_open_whatever_the_file_is_called(form: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.jpg"
    file.write_bytes(encoded(picture(), form, **({"sizes": [(64, 48)]} if form == "ICO" else {})))
    out = open_image(file)
    assert (out.mode, out.size) == ("RGB", (64, 48))
    near = 16 if form in ("GIF", "AVIF", "JPEG2000", "WEBP", "JPEG") else 0
    assert abs(np.asarray(out, int) - np.asarray(picture(), int)).mean() <= near


def test_heic_opens_upright() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    turned = Image.Exif()
    turned[0x0112] = 6
    out = io.BytesIO()
    pillow_heif.from_pillow(picture()).save(out, exif=turned.tobytes())
    assert open_image(out.getvalue()).size == (48, 64)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    upright = picture(64, 48)
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(inverse[orientation]) if orientation in inverse else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(open_image(encoded(stored, "PNG", exif=exif)), upright)


def test_broken_exif_does_not_lose_the_picture() -> None:
    data = encoded(picture(), "JPEG", exif=b"Exif\x00\x00garbage")
    assert open_image(data).size == (64, 48)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_transparent_is_white(mode: str) -> None:
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    image = clear.convert("LA").convert(mode) if mode in ("LA", "La") else clear.convert(mode)
    assert open_image(image).getpixel((0, 0)) == (255, 255, 255)


def test_half_transparent_mixes_with_white() -> None:
    assert open_image(Image.new("RGBA", (1, 1), (0, 100, 200, 128))).getpixel((0, 0)) == (127, 177, 227)


def test_a_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    out = open_image(encoded(image, "PNG", transparency=1))
    assert [out.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]


def test_cmyk_jpeg_keeps_its_colours() -> None:
    out = open_image(encoded(Image.new("RGB", (16, 16), (200, 40, 60)).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(np.asarray(out, int) - (200, 40, 60)).max() <= 4


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    levels = np.array([[0, 257, 32896, 65535]], np.uint16)
    for form in ("PNG", "TIFF"):
        assert grey(open_image(encoded(Image.fromarray(levels), form))) == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([-2.0, 0.0, 2.0], [0, 128, 255]),
        ([float("nan"), 0.0, 1.0], [0, 0, 255]),
        ([float("inf"), 0.0, 1.0], [255, 0, 255]),
    ],
)
def test_float_pictures_are_shown_by_their_range(values: list[float], expected: list[int]) -> None:
    image = Image.fromarray(np.array([values], np.float32))
    assert grey(open_image(encoded(image, "TIFF"))) == expected


def test_a_float_picture_without_a_number_is_refused() -> None:
    with pytest.raises(MediaError, match="finite"):
        open_image(Image.fromarray(np.full((2, 2), np.nan, np.float32)))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_many_is_taken(form: str) -> None:
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    data = encoded(first, form, save_all=True, append_images=[second], **({"lossless": True} if form == "WEBP" else {}))
    assert open_image(data).getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize(("form", "options"), TRUNCATED)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("size", [None, 8])
def test_half_a_file_is_never_half_a_picture(
    form: str, options: dict[str, bool], share: float, size: int | None
) -> None:
    data = encoded(picture(256, 192), form, **options)
    with pytest.raises(MediaError):
        open_image(data[: int(len(data) * share)], size=size)


def test_truncation_is_called_that(tmp_path: Path) -> None:
    data = encoded(picture(256, 192), "JPEG")
    (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"half\.jpg is truncated"):
        open_image(tmp_path / "half.jpg")


def test_the_popular_switch_for_truncated_images_does_not_reach_us(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture(256, 192), "JPEG")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(MediaError, match="truncated"):
        open_image(data[: len(data) // 2])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_of(width: int, height: int) -> bytes:
    """A PNG of any claimed size in a few hundred bytes."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = _chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + body + _chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [20_000, 60_000])
def test_a_bomb_is_refused_from_its_header(side: int) -> None:
    with pytest.raises(MediaError, match=r"bomb|pixels"):
        open_image(_png_of(side, side))


def test_the_pixel_limit_is_the_callers() -> None:
    data = encoded(picture(100, 100), "PNG")
    assert open_image(data, max_pixels=10_000).size == (100, 100)
    with pytest.raises(MediaError, match=r"100 x 100 pixels; at most 9,999"):
        open_image(data, max_pixels=9_999)


def test_the_byte_limit_is_checked_before_reading(tmp_path: Path) -> None:
    sparse = tmp_path / "huge.jpg"
    with sparse.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(MediaError, match="2,147,483,648 bytes"):
        open_image(sparse)


def test_a_text_chunk_bomb_is_an_error_not_a_crash() -> None:
    info = PngInfo()
    info.add_text("comment", "x" * 20_000_000, zip=True)
    data = encoded(picture(), "PNG", pnginfo=info)
    with pytest.raises(MediaError, match="cannot be"):
        open_image(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"just some notes, not a picture", "holds text"),
        (b"<html><body>404</body></html>", "HTML"),
        (b"%PDF-1.7\n", "a PDF"),
        (bytes(100), "no known image format"),
        (b"\xff\xd8\xff", r"cannot be|not an image"),
        (b"\x89PNG\r\n\x1a\n", r"cannot be|not an image|truncated"),
    ],
)
def test_what_is_not_an_image_is_named(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=why):
        open_image(data)
    file = tmp_path / "named.jpg"
    file.write_bytes(data)
    with pytest.raises(MediaError, match=why):
        open_image(file)


def test_postscript_is_not_run() -> None:
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(MediaError, match="PostScript"):
        open_image(data)


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
def test_thin_pictures_open_at_any_wanted_size(size: tuple[int, int]) -> None:
    for form in ("PNG", "JPEG"):
        assert open_image(encoded(Image.new("RGB", size), form), size=224).size == size


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("wanted", [16, 50, 100, 600])
def test_a_wanted_size_gives_at_least_twice_that(form: str, wanted: int) -> None:
    full = picture(1200, 800)
    out = open_image(encoded(full, form), size=wanted)
    assert min(out.size) >= min(2 * wanted, 800)
    assert min(out.size) <= max(4 * wanted, 16 * 8)
    assert out.width / out.height == pytest.approx(1.5, rel=0.02)


def photograph(width: int, height: int) -> Image.Image:
    """Noise with the spectrum of natural pictures (amplitude falls with frequency): structure at every scale."""
    rng = np.random.default_rng(1)
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.maximum(np.hypot(x, y), 1 / width)
    spectrum = (rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)) / frequency
    plane = np.fft.irfft2(spectrum, (height, width))
    grey = np.clip(plane / plane.std() * 55 + 128, 0, 255).astype(np.uint8)
    return Image.fromarray(np.stack([grey, grey[::-1], grey[:, ::-1]], -1))


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("full", [(1600, 1200), (1599, 1201), (1205, 1603)])
@pytest.mark.parametrize("wanted", [64, 112])
def test_the_short_cut_hardly_changes_the_resized_picture(form: str, full: tuple[int, int], wanted: int) -> None:
    data = encoded(photograph(*full), form, **({"quality": 92} if form == "JPEG" else {}))
    exact, quick = open_image(data), open_image(data, size=wanted)
    target = tuple(round(side * wanted / min(full)) for side in full)
    one, other = (np.asarray(i.resize(target, Image.Resampling.BICUBIC), float) for i in (exact, quick))
    assert 2 * wanted <= min(quick.size) < min(exact.size)
    assert np.abs(one - other).mean() < 1.3  # 3.4 to 4.5 for odd sides when the true edge is not minded
    assert np.abs(one - other).max() < 12


def test_a_drafted_jpeg_is_still_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = open_image(encoded(picture(1600, 800), "JPEG", exif=exif), size=64)
    assert out.width * 2 == out.height


def test_sources_of_every_sort_give_the_same_picture(tmp_path: Path) -> None:
    data = encoded(picture(), "PNG")
    file = tmp_path / "a b%20.png"
    file.write_bytes(data)
    opened = Image.open(io.BytesIO(data))
    quoted = str(file).replace("%", "%25").replace(" ", "%20")
    for source in (data, file, str(file), "file://" + quoted, opened):
        assert np.array_equal(open_image(source), picture())


def test_a_given_image_is_left_as_it_was() -> None:
    image = picture()
    out = open_image(image)
    out.putpixel((0, 0), (1, 2, 3))
    assert np.array_equal(image, picture())


def test_a_name_that_is_not_utf8_opens(tmp_path: Path) -> None:
    file = os.path.join(str(tmp_path), os.fsdecode(b"caf\xe9.png"))
    with open(file, "wb") as out:
        out.write(encoded(picture(), "PNG"))
    assert open_image(file).size == (64, 48)


def test_the_web_is_not_asked() -> None:
    with pytest.raises(MediaError, match="fetches nothing"):
        open_image("https://example.org/cat.jpg")


def test_threads_share_one_lazily_opened_image() -> None:
    data = encoded(picture(800, 600), "JPEG")
    expected = np.asarray(open_image(data))
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            shared = Image.open(io.BytesIO(data))
            assert all(np.array_equal(out, expected) for out in pool.map(open_image, [shared] * 4))


def test_shrink_keeps_small_images() -> None:
    image = picture(100, 60)
    assert shrink(image, None) is image
    assert shrink(image, 31) is image
    assert shrink(image, 15).size == (50, 30)


def test_thumbnails_are_small_jpegs() -> None:
    out = Image.open(io.BytesIO(thumbnail(picture(640, 320), 160)))
    assert (out.format, out.size) == ("JPEG", (160, 80))
    assert Image.open(io.BytesIO(thumbnail(Image.new("RGB", (1, 5000)), 160))).size == (1, 160)
    assert Image.open(io.BytesIO(thumbnail(picture(40, 30)))).size == (40, 30)
