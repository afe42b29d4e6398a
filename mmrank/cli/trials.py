"""What `mmrank doctor` tries out: a tiny file or table is made, used the way the engine uses it, and judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrank.errors import MmrankError

CLIP_FRAMES = 10
CLIP_SIDE = 64
GREY_STEP = 20
"""Frame i of the trial clip is grey i x 20, so that a frame that comes back says which one it is."""

TOLERANCE = 8
"""Grey levels that lossy coding may be off by; less than half a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """`run` is given a folder to work in and returns what it saw; what it raises is what is broken.

    `module`: an optional module the trial is about; without it there is nothing to try.
    """

    group: str
    name: str
    run: Callable[[Path], str]
    essential: bool = True
    module: str | None = None


class TrialError(MmrankError):
    """A part ran, but gave something else than it must."""


def _pictures(folder: Path) -> str:
    from PIL import Image, features

    from mmrank.media.image import open_image

    formats = ["jpeg", "png", "webp"]
    for suffix in formats:
        path = folder / f"picture.{suffix}"
        Image.new("RGB", (8, 6), (200, 30, 30)).save(path)
        if open_image(path).size != (8, 6):
            raise TrialError(f"a {suffix} of 8 x 6 pixels came back in another size")
    return "JPEG, PNG, WebP and AVIF open" if features.check("avif") else "JPEG, PNG and WebP open; no AVIF in Pillow"


def _heic(folder: Path) -> str:
    import pillow_heif
    from PIL import Image

    from mmrank.media.image import open_image

    made = pillow_heif.from_pillow(Image.new("RGB", (64, 48), (30, 160, 60)))
    made.save(folder / "picture.heic", quality=80)
    size = open_image(folder / "picture.heic").size
    if size != (64, 48):
        raise TrialError(f"a HEIC of 64 x 48 pixels came back as {size}")
    return "HEIC photographs open"


def _pages(folder: Path) -> str:
    from reportlab.pdfgen.canvas import Canvas

    from mmrank.media.page import open_page

    path = folder / "page.pdf"
    canvas = Canvas(str(path))
    canvas.drawString(72, 720, "a page for the doctor")
    canvas.save()
    page = open_page(path, 1, size=100)
    if "doctor" not in page.text:
        raise TrialError(f"the text layer came back as {page.text!r}")
    return "PDFium renders a page and reads its text"


def _clip(folder: Path) -> Path:
    """A clip of ten grey frames, each its own grey; made once for both backends."""
    path = folder / "clip.mp4"
    if path.exists():
        return path
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = CLIP_SIDE
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(CLIP_FRAMES):
            pixels = np.full((CLIP_SIDE, CLIP_SIDE, 3), number * GREY_STEP, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def _video_pyav(folder: Path) -> str:
    return _video(folder, "pyav")


def _video_decord(folder: Path) -> str:
    return _video(folder, "decord")


def _video(folder: Path, backend: Any) -> str:
    from mmrank.media.video import sample_frames

    got = sample_frames(_clip(folder), frames=4, backend=backend)
    greys = [image.resize((1, 1)).getpixel((0, 0))[0] for image in got.images]  # type: ignore[index]
    wanted = [number * GREY_STEP for number in (0, 3, 6, 9)]
    if len(greys) != len(wanted) or any(abs(a - b) > TOLERANCE for a, b in zip(greys, wanted, strict=True)):
        raise TrialError(f"frames 0, 3, 6 and 9 should be grey {wanted}, but came as {greys}")
    return "the right frames of a small MP4 come back"


def _table(folder: Path) -> str:
    import lancedb
    import numpy as np
    import pyarrow as pa

    table: Any = lancedb.connect(str(folder / "db")).create_table(
        "trial", schema=pa.schema([pa.field("id", pa.string()), pa.field("vector", pa.list_(pa.float32(), 4))])
    )
    table.add([{"id": str(row), "vector": np.eye(4, dtype=np.float32)[row].tolist()} for row in range(4)])
    found = table.search([0, 0, 1, 0]).distance_type("cosine").limit(1).to_arrow()["id"].to_pylist()
    if found != ["2"]:
        raise TrialError(f"the nearest of four vectors should be '2', but is {found}")
    return "a table is written and searched"


def _toybox_media(folder: Path) -> str:
    from mmrank.toybox.assets import sample_media_folder, sample_queries_file
    from mmrank.toybox.manifest import read_queries

    media = sample_media_folder()
    files = sum(path.is_file() for path in media.rglob("*"))
    if not files:
        raise TrialError(f"{media} holds no files")
    return f"{files} files and {len(read_queries(sample_queries_file()))} queries in {media}"


def _toybox_model(folder: Path) -> str:
    import numpy as np

    from mmrank.embed.registry import load_embedder

    embedder = load_embedder("toybox", device="cpu")
    lengths = np.linalg.norm(embedder.embed_texts(["a dog", "a pizza"]), axis=1)
    if not np.allclose(lengths, 1, atol=1e-3):
        raise TrialError(f"vectors should have length 1, but have {lengths.tolist()}")
    return f"loads and embeds; {embedder.dimension} dimensions"


TRIALS: tuple[Trial, ...] = (
    Trial(group="Media", name="images", run=_pictures),
    Trial(group="Media", name="HEIC", run=_heic, essential=False),
    Trial(group="Media", name="PDF pages", run=_pages),
    Trial(group="Media", name="video (PyAV)", run=_video_pyav),
    Trial(group="Media", name="video (decord)", run=_video_decord, essential=False, module="decord"),
    Trial(group="Engine", name="LanceDB", run=_table),
    Trial(group="Engine", name="toybox media", run=_toybox_media),
    Trial(group="Engine", name="toybox model", run=_toybox_model),
)
"""The toybox counts as essential: it is what `mmrank demo` shows, and it comes with every installation."""
