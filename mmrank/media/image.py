"""Opening pictures: any Pillow format and HEIC, upright RGB, within limits, whole or not at all."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from mmrank.errors import MediaError
from mmrank.media.uri import cause, describe, is_remote, regular_file, split_uri
from mmrank.types import ImageSource

MAX_PIXELS = 178_956_970
"""Twice Pillow's warning threshold: the size at which Pillow itself refuses. 716 MB once decoded."""

MAX_BYTES = 1 << 30
"""No picture within MAX_PIXELS needs more, uncompressed 16-bit RGB included."""

OVERSAMPLING = 2
"""With `size`, pictures come with a shorter side of at least this many times `size`, so that the bicubic resize to
`size` that follows hardly differs from one of the full picture. Measured on pictures of 2 to 12 MP with the spectrum of
photographs, in grey levels of 255, mean and largest: JPEG decoded at 2x 0.4 to 1.1 and 8 (at 1x: 1.5 to 5.6 and 49),
other pictures reduced to 2x 0.4 to 0.7 and 4. A 12 MP JPEG at size 224 takes a quarter of the full decode's time."""

THUMBNAIL_QUALITY = 80
"""JPEG quality of thumbnails: about 5 kB at 160 px."""

_WHITE = (255, 255, 255)
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"heif"}
)
_REFUSED_FORMATS = frozenset({"EPS"})
"""Pillow hands PostScript to Ghostscript: a program from a stranger, run. Not for media from strangers."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the turn that undoes it (EXIF 2.32, tag 0x0112)."""

_heif_lock = threading.Lock()
_heif_ready = threading.Event()
_shared_image_lock = threading.Lock()


def open_image(
    source: ImageSource, *, size: int | None = None, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Image.Image:
    """Open a picture as upright RGB.

    Transparency is laid on white. 16-bit grey is scaled to 8 (a float or 32-bit picture by its own range
    unless it already lies in 0..1 or 0..255). Of animations and multi-page files the first frame is taken.
    Colour profiles are not applied, as in every CLIP preprocessing.

    `source`: a path, a ``file://`` uri, the address of a file that may be fetched (`mmrank.media.remote`), bytes, or a
    PIL image (left unchanged).
    `size`: the shorter side, in pixels, that will be needed; the result may then be smaller than the file,
    with a shorter side of at least ``2 * size`` (JPEG is decoded at that scale), never larger than it.
    `max_pixels`: width x height from the header; checked before anything is decoded.

    Raises `MediaError` when the file is missing, empty, too large, truncated (never half an image), or not
    an image. The suffix is not trusted: a PNG named ``.jpg`` opens.

    >>> open_image(Image.new("LA", (4, 2))).mode
    'RGB'
    """
    name = describe(source)
    if isinstance(source, Image.Image):
        _check_pixels(source, name, max_pixels)
        with _WHOLE_ONLY, _shared_image_lock:  # a lazily opened PIL image must not be read by two threads
            return shrink(_decoded(source, name), size)
    if isinstance(source, bytes):
        if not source:
            raise MediaError("The image is empty (0 bytes).")
        _check_bytes(len(source), name, max_bytes)
        return _read(io.BytesIO(source), name, size, max_pixels)
    if is_remote(source):
        from mmrank.media.remote_copies import by_own_name, held

        with held(str(source)) as copy, by_own_name(copy, str(source)):
            return open_image(copy, size=size, max_pixels=max_pixels, max_bytes=max_bytes)
    path = split_uri(source).path
    _check_bytes(regular_file(path).st_size, name, max_bytes)
    try:
        with Path(path).open("rb") as file:
            return _read(file, name, size, max_pixels)
    except OSError as error:
        raise MediaError(f"{name} cannot be opened: {cause(error)}.") from error


def thumbnail(image: Image.Image, size: int = 160) -> bytes:
    """JPEG bytes of an RGB image, its longer side at most `size` pixels; smaller images keep their size.

    >>> Image.open(io.BytesIO(thumbnail(Image.new("RGB", (640, 320))))).size
    (160, 80)
    """
    small = image.convert("RGB")
    small.thumbnail((size, size), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()


def shrink(image: Image.Image, size: int | None) -> Image.Image:
    """The image with a shorter side of ``2 * size`` where it has twice that or more, else the image itself.

    Bounds what a queue of decoded images holds, whatever their files hold.
    """
    if not size or min(image.size) < 2 * OVERSAMPLING * size:
        return image
    return _resampled(image, size, (0, 0, *image.size))


def _resampled(image: Image.Image, size: int, box: tuple[float, float, float, float]) -> Image.Image:
    """The part `box` of the image with a shorter side of ``2 * size``."""
    scale = OVERSAMPLING * size / min(box[2], box[3])
    target = (max(1, round(box[2] * scale)), max(1, round(box[3] * scale)))
    return image.resize(target, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)


def _read(file: BinaryIO, name: str, size: int | None, max_pixels: int) -> Image.Image:
    head = file.read(64)
    file.seek(0)
    _register_heif(head)
    try:
        image = Image.open(file)  # reads the header only
    except UnidentifiedImageError as error:
        raise MediaError(f"{name} is not an image: {_what_it_is(head)}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(f"{name} is refused as a decompression bomb: {cause(error)}.") from error
    except Exception as error:  # Pillow's plugins raise whatever a broken header makes them stumble over
        raise MediaError(f"{name} cannot be read as an image: {cause(error)}.") from error
    with image, _WHOLE_ONLY:
        if image.format in _REFUSED_FORMATS:
            raise MediaError(f"{name} is {image.format} (PostScript), which is a program; save it as PNG or PDF.")
        _check_pixels(image, name, max_pixels)
        return shrink(_decoded(image, name, size), size)


def _decoded(image: Image.Image, name: str, size: int | None = None) -> Image.Image:
    """The pixels in memory, 8-bit RGB, upright. Everything that can fail on a stranger's file happens here."""
    try:
        box = _draft(image, size)
        image.load()
        rgb = _to_rgb(image)
        return _upright(rgb if box is None else _resampled(rgb, size or 1, box), image)
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, IndexError and more
        reason = cause(error)
        if "truncated" in reason.lower() or "unexpected end of file" in reason.lower():
            raise MediaError(f"{name} is truncated: the file ends before its picture does ({reason}).") from error
        raise MediaError(f"{name} cannot be decoded: {reason}.") from error


def _draft(image: Image.Image, size: int | None) -> tuple[float, float, float, float] | None:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8, still twice `size`; other formats take no notice.

    Returns where the picture ends inside the decoded one, when its sides are not multiples of the divisor. The last
    column and row are then only partly picture, and taken for whole they would shift everything: left alone, that
    costs a mean of 1.2 to 4.5 grey levels where cutting at the true edge costs 0.6 to 1.1.
    """
    scale = OVERSAMPLING * size / min(image.size) if size else 1.0
    if scale >= 1:
        return None
    drafted = image.draft(None, (round(image.width * scale), round(image.height * scale)))
    if drafted is None or drafted[1][2:] == image.size:
        return None
    return drafted[1]


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        straight = image.convert("LA") if image.mode == "La" else image
        pixels = straight.convert("RGBA")
        ground = Image.new("RGB", image.size, _WHITE)
        ground.paste(pixels, mask=pixels.getchannel("A"))
        return ground
    return image.convert("RGB")  # a copy when it is RGB already


def _eight_bits(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """16-bit, 32-bit and float grey to 0..255; Pillow's own conversion clips everything above 255 to white."""
    grey = np.asarray(image, dtype=np.float64)
    finite = grey[np.isfinite(grey)]
    if finite.size == 0:
        raise ValueError("none of its pixels is a finite number")
    low, high = float(finite.min()), float(finite.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        low, high = 0.0, 65535.0  # older Pillow opens 16-bit PNG as "I"
    elif low >= 0 and high <= 1 and image.mode == "F":
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    scaled = (np.nan_to_num(grey, nan=low, posinf=high, neginf=low) - low) * (255.0 / max(high - low, 1e-12))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _upright(image: Image.Image, opened: Image.Image) -> Image.Image:
    try:
        orientation = opened.getexif().get(0x0112)
    except Exception:  # noqa: BLE001 - broken EXIF says nothing about the turn, and the picture itself is whole
        return image
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _check_pixels(image: Image.Image, name: str, max_pixels: int) -> None:
    if min(image.size) < 1:
        raise MediaError(f"{name} has no pixels: {image.width} x {image.height}.")
    if image.width * image.height > max_pixels:
        raise MediaError(
            f"{name} is {image.width} x {image.height} pixels; at most {max_pixels:,} are decoded. "
            "Scale it down, or raise max_pixels."
        )


def _check_bytes(count: int, name: str, max_bytes: int) -> None:
    if count > max_bytes:
        raise MediaError(f"{name} has {count:,} bytes; at most {max_bytes:,} are read as an image.")


def _register_heif(head: bytes) -> None:
    """Teach Pillow HEIC when the first such file comes: the library costs 10 MB and most collections have none."""
    if head[4:8] != b"ftyp" or head[8:12] not in _HEIF_BRANDS or _heif_ready.is_set():
        return
    with _heif_lock:
        if not _heif_ready.is_set():
            import pillow_heif

            pillow_heif.register_heif_opener()
            _heif_ready.set()


def _what_it_is(head: bytes) -> str:
    """A guess for the reader, from the first bytes."""
    known = {b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP archive", b"\x1aE\xdf\xa3": "a Matroska or WebM video"}
    for magic, what in known.items():
        if head.startswith(magic):
            return f"it starts like {what}"
    if head[4:8] == b"ftyp":
        return "it starts like an MP4 or MOV video"
    if head and all(byte in b"\t\n\r\x1b" or byte >= 32 for byte in head):
        return "it holds text" + (" (HTML)" if head.lstrip()[:1] == b"<" else "")
    return "no known image format starts like this"


class _WholeImagesOnly:
    """While entered, Pillow raises on truncated files, even where the host program told it not to.

    ``ImageFile.LOAD_TRUNCATED_IMAGES = True`` is a popular line in training scripts and fills what is missing
    with grey, for the whole process. Re-entrant and shared by threads: the old value returns with the last one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = False

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._before


_WHOLE_ONLY = _WholeImagesOnly()
