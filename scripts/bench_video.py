"""Bench reading videos: 12 frames of a 30 s clip, with key frames every 2 s and every 10 s, ours beside other readers.

    python scripts/bench_video.py --work FOLDER --json video.json

Every contender reads the same 12 positions on one core. Every frame bears its number, which is read back from the
pixels, so that a reader that is fast because it gives a neighbour of the frame is seen; and pixels are compared with
those of a plain decoder that starts at the beginning. qwen-vl-utils chooses its positions itself: ours is then measured
at those. Contenders that are not installed are left out, and named.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from _bench import Row, TableText, environment, interleaved, medians, ratio, save, show
from PIL import Image

from mmrank.media.frame_index import frame_index
from mmrank.media.frames_pyav import PyAVReader
from mmrank.media.video import sample_frames, uniform_positions

FPS, SECONDS, FRAMES = 25, 30, 12
BITS, CELL = 10, 24
"""A frame's number stands in its upper left corner as squares of this many pixels, black for 0 and white for 1."""

SIZES = ((640, 360), (1280, 720))
GAPS = (2, 10)
"""Seconds between key frames."""

NEVER_SLOWER = 1.0
NOISE = 0.05
"""Two readers that do the same work differ by as much from run to run."""

Pixels = npt.NDArray[np.uint8]
Reader = Callable[[str, Sequence[int]], Sequence[Pixels]]


def video(
    *,
    work: Annotated[Path, typer.Option(help="A folder for the clips; kept for the next run.")],
    rounds: Annotated[int, typer.Option(min=3, help="Readings per contender and clip.")] = 15,
    to: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Time and exactness of 12 frames from a 30 s clip."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # decoders make a thread for each core they see
    facts = environment()
    results: dict[str, Any] = {}
    tables: list[TableText] = []
    readers, absent = contenders()
    for width, height in SIZES:
        for gap in GAPS:
            name = f"{width} x {height}, a key frame every {gap} s"
            clip = written(work / f"clip-{height}-{gap}.mp4", width, height, gap * FPS)
            results[name] = measured(str(clip), readers, rounds)
            tables.append(table(f"{FRAMES} frames of {SECONDS} s, {name}", results[name], facts))
    for who, why in absent.items():
        print(f"left out: {who}: {why}")
    save(to, "video", facts, {"clips": results, "left out": absent}, tables)


def contenders() -> tuple[dict[str, Reader], dict[str, str]]:
    """The readers that are there, and why others are not."""
    readers: dict[str, Reader] = {
        "mmrank": ours,
        "mmrank, file read before": ours_again,
        "PyAV, all frames decoded": pyav_whole,
        "PyAV, a seek for each frame": pyav_seeking,
    }
    absent: dict[str, str] = {}
    if find_spec("decord"):
        readers["decord"] = decord
    else:
        absent["decord"] = "not installed (pip install decord2)"
    if find_spec("qwen_vl_utils") is None:
        absent["qwen-vl-utils"] = "not installed"
        return readers, absent
    for backend in ("decord", "torchvision", "torchcodec"):
        name = f"qwen-vl-utils ({backend})"
        try:
            reader = qwen(backend)
        except Exception as error:  # noqa: BLE001 - whatever another's library raises here, it is not there to compare
            absent[name] = f"{type(error).__name__}: {error}"
        else:
            readers[name] = reader
    return readers, absent


def measured(clip: str, readers: dict[str, Reader], rounds: int) -> dict[str, Any]:
    """Times in turn, and what each reader gave."""
    frame_count = FPS * SECONDS
    positions = uniform_positions(0, frame_count - 1, FRAMES)
    spread = [round(i * (frame_count - 1) / (FRAMES - 1)) for i in range(FRAMES)]  # what qwen-vl-utils takes
    wanted = {name: spread if name.startswith("qwen") else positions for name in readers}
    readers = {**readers, "mmrank at those of qwen-vl-utils": ours}
    wanted["mmrank at those of qwen-vl-utils"] = spread
    plain = {tuple(p): pyav_whole(clip, p) for p in (positions, spread)}
    exact: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name, read in list(readers.items()):
        try:
            got = read(clip, wanted[name])
        except Exception as error:  # noqa: BLE001 - as in `contenders`
            failed[name] = f"{type(error).__name__}: {error}"
            del readers[name]
            continue
        exact[name] = compared(got, wanted[name], plain[tuple(wanted[name])])
    calls = {name: (lambda _, read=read, p=wanted[name]: read(clip, p)) for name, read in readers.items()}
    times = interleaved(calls, rounds)
    best = best_other(medians(times))
    return {
        "ms": {name: 1000 * seconds for name, seconds in medians(times).items()},
        "ratio": {name: ratio("mmrank", times, name) for name in times},
        "qwen ratio": {
            name: ratio("mmrank at those of qwen-vl-utils", times, name) for name in times if name.startswith("qwen")
        },
        "best other": best,
        "frames": exact,
        "failed": failed,
    }


def best_other(seconds: dict[str, float]) -> str:
    """The fastest contender at our positions that is not ours."""
    others = {name: value for name, value in seconds.items() if not name.startswith(("mmrank", "qwen"))}
    return min(others, key=others.__getitem__)


def compared(got: Sequence[Pixels], wanted: Sequence[int], plain: Sequence[Pixels]) -> dict[str, Any]:
    """How many frames bear the right number, and how far pixels lie from a plain decoder's, mean and largest."""
    differences = [np.abs(a.astype(int) - b) for a, b in zip(got, plain, strict=True)]
    return {
        "right": sum(number(frame) == position for frame, position in zip(got, wanted, strict=True)),
        "mean difference": float(np.mean([d.mean() for d in differences])),
        "largest difference": int(max(d.max() for d in differences)),
    }


def table(title: str, found: dict[str, Any], facts: dict[str, Any]) -> TableText:
    rows = []
    for name, milliseconds in found["ms"].items():
        frames = found["frames"][name]
        qwens = name.startswith("qwen")
        share = found["qwen ratio"][name] if qwens else found["ratio"][name]
        cells = (f"{milliseconds:.0f}", f"{share:.2f}", f"{frames['right']} of {FRAMES}", difference(frames))
        judged = name == found["best other"] or qwens
        reached = share <= NEVER_SLOWER + NOISE if judged else None
        rows.append(Row(name, cells, frames["right"] == FRAMES if name == "mmrank" else reached))
    return show(title, ("ms", "ours / this", "right frames", "pixels off: mean, most"), rows, facts)


def difference(frames: dict[str, Any]) -> str:
    return (
        "none" if not frames["largest difference"] else "{mean difference:.2f}, {largest difference}".format(**frames)
    )


def ours(clip: str, positions: Sequence[int]) -> list[Pixels]:
    """As for a file that was never seen: the index is read anew."""
    os.utime(clip)  # another modification time is another file
    return ours_again(clip, positions)


def ours_again(clip: str, positions: Sequence[int]) -> list[Pixels]:
    """As for the second span of a file."""
    if list(positions) == uniform_positions(0, FPS * SECONDS - 1, FRAMES):
        return [np.asarray(image) for image in sample_frames(clip, frames=FRAMES).images]
    with PyAVReader(clip, frame_index(clip)) as reader:
        return [np.asarray(image) for _, image in reader.read(positions)]


def pyav_whole(clip: str, positions: Sequence[int]) -> list[Pixels]:
    """Every frame decoded, those wanted converted: the loop of transformers' documentation."""
    import av

    wanted, found = set(positions), []
    with av.open(clip) as container:
        for place, frame in enumerate(container.decode(video=0)):
            if place in wanted:
                found.append(frame.to_ndarray(format="rgb24"))
            if place == positions[-1]:
                break
    return found


def pyav_seeking(clip: str, positions: Sequence[int]) -> list[Pixels]:
    """A seek to the key frame before each wanted frame, then decoded up to it."""
    import av

    found = []
    with av.open(clip) as container:
        stream = container.streams.video[0]
        unit = stream.time_base
        for position in positions:
            time = position / FPS
            container.seek(int(time / unit), stream=stream)
            for frame in container.decode(stream):
                if frame.pts * unit >= time - 0.5 / FPS:
                    found.append(frame.to_ndarray(format="rgb24"))
                    break
    return found


def decord(clip: str, positions: Sequence[int]) -> list[Pixels]:
    import decord

    reader = decord.VideoReader(clip, num_threads=1)
    return list(reader.get_batch(list(positions)).asnumpy())


def qwen(backend: str) -> Reader:
    """qwen-vl-utils' own function for one of its backends, without the resize that follows it."""
    with redirect_stderr(io.StringIO()):
        from qwen_vl_utils import vision_process
    if not find_spec(backend):
        raise ImportError(f"{backend} is not installed")
    read = vision_process.VIDEO_READER_BACKENDS[backend]

    def frames(clip: str, _: Sequence[int]) -> list[Pixels]:
        found = read({"video": clip, "nframes": FRAMES})[0]
        return list(found.permute(0, 2, 3, 1).numpy())

    return frames


def written(path: Path, width: int, height: int, gop: int) -> Path:
    """A clip that pans over a texture, each frame with its number; H.264 with B-frames. Made once."""
    import av

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    ground = texture(width + SECONDS * FPS, height)
    partial = path.with_suffix(".part.mp4")
    with av.open(str(partial), "w") as out:
        options = {"g": str(gop), "keyint_min": str(gop), "sc_threshold": "0", "preset": "fast", "crf": "23"}
        stream: Any = out.add_stream("libx264", rate=FPS, options={**options, "x264-params": "open-gop=0:bframes=3"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for place in range(SECONDS * FPS):
            pixels = ground[:, place : place + width].copy()
            for bit in range(BITS):
                pixels[:CELL, bit * CELL : (bit + 1) * CELL] = 255 * (place >> bit & 1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    partial.replace(path)
    return path


def texture(width: int, height: int) -> Pixels:
    """Noise of three scales: what a coder finds neither empty nor impossible."""
    rng = np.random.default_rng(0)
    total = np.zeros((height, width, 3))
    for scale, strength in ((64, 60), (16, 30), (4, 12)):
        coarse = rng.integers(0, 256, (height // scale + 2, width // scale + 2, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(smooth, float) - 128) / 128 * strength
    return np.clip(total + 128, 0, 255).astype(np.uint8)


def number(frame: Pixels) -> int:
    """The number that a frame bears."""
    middle = CELL // 2
    return sum(int(frame[middle, bit * CELL + middle].mean() > 127) << bit for bit in range(BITS))


if __name__ == "__main__":
    typer.run(video)
