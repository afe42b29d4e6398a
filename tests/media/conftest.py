"""Real media, made here: clips by PyAV with their frame number in every frame, PDFs by reportlab and by hand."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

BITS = 10


def _barcode(number: int, width: int, height: int) -> np.ndarray:
    """Grey ground, the number in black and white bars over the upper third, something that moves below."""
    pixels = np.full((height, width, 3), 90, np.uint8)
    bar = width // BITS
    for bit in range(BITS):
        pixels[: height // 3, bit * bar : (bit + 1) * bar] = 255 if number >> bit & 1 else 0
    left = number * 3 % width
    pixels[height // 2 :, left : left + width // 8] = (200, 30, 60)
    return pixels


@pytest.fixture(scope="session")
def read_barcode() -> Callable[[Image.Image], int]:
    """The number in a frame made by `clip`, whatever size it was reduced to."""

    def read(image: Image.Image) -> int:
        grey = np.asarray(image.convert("L"), dtype=int)
        height, width = grey.shape
        bars = [grey[height // 6, int((bit + 0.5) * width / BITS)] for bit in range(BITS)]
        return sum(int(level > 128) << bit for bit, level in enumerate(bars))

    return read


@pytest.fixture(scope="session")
def clip() -> Callable[..., Path]:
    """Encode a clip whose frame i shows i; `times` in seconds, one per frame, makes its rate variable."""

    def make(
        path: Path,
        frames: int = 60,
        *,
        size: tuple[int, int] = (160, 120),
        fps: int = 25,
        gop: int = 12,
        codec: str = "libx264",
        encoder: dict[str, str] | None = None,
        muxer: dict[str, str] | None = None,
        rotation: int = 0,
        sound: float = 0.0,
        times: Sequence[float] | None = None,
    ) -> Path:
        with av.open(str(path), "w", options=muxer or {}) as out:
            video: Any = out.add_stream(codec, rate=fps, options={"g": str(gop), **(encoder or {})})
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            video.set_display_rotation(rotation)
            if times:
                video.codec_context.time_base = Fraction(1, 1000)
            track: Any = out.add_stream("aac", rate=16000, layout="mono") if sound else None
            for i in range(frames):
                frame = av.VideoFrame.from_ndarray(_barcode(i, *size), format="rgb24")
                if times:
                    frame.pts, frame.time_base = round(times[i] * 1000), Fraction(1, 1000)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
            if track is not None:
                _silence(out, track, sound)
        return path

    return make


@pytest.fixture(scope="session")
def audio() -> Callable[[Path], Path]:
    """A file with sound and nothing else."""

    def make(path: Path) -> Path:
        with av.open(str(path), "w") as out:
            _silence(out, out.add_stream("aac", rate=16000, layout="mono"), 1.0)
        return path

    return make


def _silence(out: Any, track: Any, seconds: float) -> None:
    for i in range(int(seconds * 16000 / 1024)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, i * 1024
        out.mux(track.encode(frame))
    out.mux(track.encode(None))


@pytest.fixture(scope="session")
def pdf() -> Callable[..., Path]:
    """A PDF with a line of text per page, by reportlab."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    def make(
        path: Path, pages: Sequence[Sequence[str]] = (("hello",),), *, size=(300, 400), password: str | None = None
    ) -> Path:
        lock = None if password is None else StandardEncryption(password, "owner")
        canvas = Canvas(str(path), pagesize=size, encrypt=lock)
        for lines in pages:
            canvas.setFillColorRGB(1, 0, 0)
            canvas.rect(0, 0, size[0] / 2, size[1] / 2, stroke=0, fill=1)  # red in the lower left quarter
            canvas.setFillColorRGB(0, 0, 0)
            for i, line in enumerate(lines):
                canvas.drawString(20, size[1] - 40 - 16 * i, line)
            canvas.showPage()
        canvas.save()
        return path

    return make


@pytest.fixture(scope="session")
def raw_pdf() -> Callable[..., bytes]:
    """The bytes of a valid PDF of the given objects: what no library would write."""

    def make(*objects: bytes) -> bytes:
        out, offsets = b"%PDF-1.4\n", []
        for i, body in enumerate(objects, 1):
            offsets.append(len(out))
            out += b"%d 0 obj\n" % i + body + b"\nendobj\n"
        table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
        head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
        tail = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
        return out + head + table + tail

    return make


@pytest.fixture(scope="session")
def tar() -> Callable[..., Path]:
    """Write a tar file: ``tar(path, ("name", b"bytes"), TarInfo, ..., mode="w:gz")``."""

    def make(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo, mode: Any = "w") -> Path:
        with tarfile.open(path, mode) as out:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    out.addfile(member)
                    continue
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                out.addfile(info, io.BytesIO(member[1]))
        return path

    return make
