"""Frames of videos: which ones, at what times, through PyAV; through decord when it is asked for by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmrank.errors import MediaError, MissingDependencyError, UsageError
from mmrank.media.frame_index import FrameIndex, VideoInfo, VideoSource, frame_index, video_info
from mmrank.media.frames_decord import DecordError, DecordReader, decord_installed
from mmrank.media.frames_pyav import PyAVReader
from mmrank.media.image import shrink
from mmrank.media.uri import describe, split_uri

__all__ = [
    "FrameReader",
    "Frames",
    "VideoInfo",
    "fps_positions",
    "sample_frames",
    "span_positions",
    "uniform_positions",
    "video_info",
]

Backend: TypeAlias = Literal["pyav", "decord"]

_EPSILON = 1e-6
"""Seconds; pts in 1/90000 and spans written as decimals must not miss each other by rounding."""


class FrameReader(Protocol):
    """One open video. `read` takes ascending positions (from 0, in the order shown) and yields what it can read."""

    def __enter__(self) -> FrameReader: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """(position, upright RGB image); positions that cannot be decoded are left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Sampled frames: `images` RGB and upright, `times` their presentation times in seconds after the first frame.

    `duration` (seconds) and `fps` (average) are of the whole readable video. `warnings` says what is missing.
    """

    images: tuple[Image.Image, ...] = field(repr=False)
    times: tuple[float, ...]
    duration: float
    fps: float
    warnings: tuple[str, ...] = ()


def sample_frames(
    source: VideoSource,
    *,
    frames: int | None = None,
    fps: float | None = None,
    span: tuple[float, float] | None = None,
    size: int | None = None,
    pad: bool = False,
    threads: int = 1,
    backend: Backend = "pyav",
) -> Frames:
    """Decode some frames of a video.

    `frames`: that many, by `uniform_positions`; a clip with fewer gives all it has, unless `pad` repeats some.
    `fps`: one frame for every ``1 / fps`` seconds, by `fps_positions`; with `frames` too, at most that many of them.
    `span`: (start, end) in seconds after the first frame, end excluded; end may be ``math.inf``.
    `size`: the shorter side that will be needed; frames come reduced to no less than twice that.
    `threads`: of the decoder; one is fastest where several workers decode. `backend`: "decord" reads with decord
    instead of PyAV; it is slower (12 frames of 30 s took it 155 ms against 61, one thread each) and refuses what it
    was found inexact in: containers other than MP4 and Matroska, open GOPs, truncated files.

    A truncated or damaged file yields the frames that can be read, spread over what is there, with a warning.
    Raises `MediaError` when no frame can be read or the span lies behind the end, `UsageError` on options that
    cannot be meant, `MissingDependencyError` for ``backend="decord"`` without decord.

    >>> sample_frames("clip.mp4", frames=12, span=(10, 20)).times        # doctest: +SKIP
    """
    _check(frames, fps, span)
    index = frame_index(source)
    warnings = _truncation(index)
    first, last = span_positions(index.times, span or (0.0, math.inf), describe(source))
    if fps is not None:
        positions = fps_positions(index.times, fps, first, last, most=frames)
    else:
        positions = uniform_positions(first, last, frames or 1, pad=pad)
    wanted = sorted(set(positions))
    images = _decode(source, index, wanted, size=size, threads=threads, backend=backend)
    if not images:
        raise MediaError(f"{describe(source)}: none of the {len(wanted)} frames wanted can be decoded; it is damaged.")
    if len(images) < len(wanted):
        warnings.append(f"{len(images)} of {len(wanted)} frames could be read")
    kept = [position for position in positions if position in images]
    times = index.times
    return Frames(
        images=tuple(images[position] for position in kept),
        times=tuple(float(times[position]) for position in kept),
        duration=index.info.duration,
        fps=index.info.fps,
        warnings=tuple(warnings),
    )


def uniform_positions(first: int, last: int, frames: int, *, pad: bool = False) -> list[int]:
    """``round(linspace(first, last, frames))``, both ends included, halves to even: the rule of qwen_vl_utils.

    One frame is the middle one (the first is often black or a title). Fewer frames than asked when there are
    fewer, unless `pad` repeats positions.

    >>> uniform_positions(0, 99, 4), uniform_positions(0, 1, 4), uniform_positions(0, 1, 4, pad=True)
    ([0, 33, 66, 99], [0, 1], [0, 0, 1, 1])
    """
    if not pad:
        frames = min(frames, last - first + 1)
    if frames == 1:
        return [(first + last) // 2]
    return [int(position) for position in np.rint(np.linspace(first, last, frames))]


def fps_positions(
    times: npt.NDArray[np.float64], fps: float, first: int, last: int, *, most: int | None = None
) -> list[int]:
    """The frames on show at the first frame's time and every ``1 / fps`` seconds after it, none twice.

    `times`: float64 (n,), ascending, seconds. With `most`, that many spread uniformly over those.
    """
    begin = (times[first : last + 1] - times[first]) * fps  # in steps of 1 / fps: a frame counts if a whole step
    end = np.append(begin[1:], begin[-1] + 2 * _EPSILON * fps)  # falls into the time it is shown
    counts = np.ceil(begin - _EPSILON * fps) < end - _EPSILON * fps
    positions = [first + int(i) for i in np.flatnonzero(counts)]
    if most is not None and len(positions) > most:
        positions = [positions[i] for i in uniform_positions(0, len(positions) - 1, most)]
    return positions


def span_positions(
    times: npt.NDArray[np.float64], span: tuple[float, float], name: str = "the video"
) -> tuple[int, int]:
    """First and last position with ``start <= time < end``; the frame on show at `start` when none begins in between.

    Raises `MediaError` when the span begins behind the last frame's display time.
    """
    start, end = span
    first = int(np.searchsorted(times, start - _EPSILON))
    last = int(np.searchsorted(times, end - _EPSILON)) - 1
    if first <= last:
        return first, last
    gap = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if start >= times[-1] + max(gap, _EPSILON):
        raise MediaError(
            f"{name}: the span {start:g}-{end:g} s lies behind the last frame that can be read ({times[-1]:.2f} s)."
        )
    return first - 1, first - 1


def _check(frames: int | None, fps: float | None, span: tuple[float, float] | None) -> None:
    if frames is None and fps is None:
        raise UsageError("Neither frames= nor fps= came; say how many frames, or how many a second.")
    if frames is not None and frames < 1:
        raise UsageError(f"frames is {frames}; it must be at least 1.")
    if fps is not None and not (fps > 0 and math.isfinite(fps)):
        raise UsageError(f"fps is {fps}; it must be a number above 0.")
    if span is not None and not 0 <= span[0] < span[1]:
        raise UsageError(f"span is {span}; it must be (start, end) in seconds with 0 <= start < end.")


def _truncation(index: FrameIndex) -> list[str]:
    if not index.cut_off:
        return []
    promised = f" of {index.declared}" if index.declared else ""
    return [f"the file is truncated: {len(index.pts)}{promised} frames ({index.info.duration:.1f} s) are there"]


def _decode(
    source: VideoSource, index: FrameIndex, wanted: list[int], *, size: int | None, threads: int, backend: Backend
) -> dict[int, Image.Image]:
    try:
        with _reader(backend, source, index, threads) as reader:
            return {position: shrink(image, size) for position, image in reader.read(wanted)}
    except DecordError as error:
        raise MediaError(f"{describe(source)} cannot be read with decord: {error}. Use PyAV instead.") from error


def _reader(backend: Backend, source: VideoSource, index: FrameIndex, threads: int) -> FrameReader:
    if backend == "pyav":
        return PyAVReader(source, index, threads=threads)
    if not decord_installed():
        raise MissingDependencyError("decord2", "decord", 'backend="decord"')
    if isinstance(source, bytes):
        raise DecordError("bytes are not a file")
    return DecordReader(split_uri(source).path, index, threads=threads)
