"""Where the frames of a video lie: their presentation times and keyframes, read without decoding anything."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.errors import MediaError
from mmrank.media.once import FileKey, OnceCache, file_key
from mmrank.media.uri import cause, describe, is_utf8, regular_file, split_uri

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

VideoSource: TypeAlias = str | Path | bytes

MAX_FRAME_PIXELS = 8192 * 8192
"""Larger than any camera's video; a header that claims more is a bomb or broken."""

MAX_CACHED_INDICES = 16
"""Indices kept, 16 bytes a frame: two hours at 25 frames a second are 3 MB. The spans of one long video share one."""

_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"[playlist]", b"<SMIL", b"<smil")
"""FFmpeg follows the addresses in these whatever the suffix says. A stranger's file must not choose what is read."""

_TRUNCATED_SLACK = 1.0
"""Seconds by which Matroska's declared duration may exceed the last packet before it counts as cut off."""

_DECODE_ORDER_ONLY = "avi"
"""The container that stores no presentation times: FFmpeg makes up some that are wrong where frames are reordered."""

_FALLBACK_FPS = 25.0
"""For raw streams that carry neither times nor a rate; FFmpeg's own guess for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a video says of itself: seconds, frames per second (average), frames, upright width and height.

    `start`: seconds from the beginning of the container's clock, which subtitles count from, to the first frame.
    `tags`: what the container and its video stream are labelled with, keys in lower case.
    """

    duration: float
    fps: float
    frame_count: int
    width: int
    height: int
    start: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameIndex:
    """The readable frames of a video in the order they are shown.

    `pts`: int64 (frames,), ascending, in units of `unit` seconds. `keyframes`: int64, the pts decoding can start at.
    `counted`: the container has no times; pts are then 0, 1, 2, ... and decoding starts at the beginning only.
    `leading`: some frames are shown before the keyframe they are stored behind (an open GOP).
    `declared`: how many frames the header promises, 0 when it does not say; `cut_off`: the file ends early.
    """

    info: VideoInfo
    pts: npt.NDArray[np.int64]
    keyframes: npt.NDArray[np.int64]
    unit: float
    counted: bool
    leading: bool
    declared: int
    cut_off: bool
    container: str

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Seconds after the first frame, float64 (frames,)."""
        return np.asarray((self.pts - self.pts[0]) * self.unit, dtype=np.float64)


_indices: OnceCache[FileKey, FrameIndex] = OnceCache(MAX_CACHED_INDICES)


def video_info(source: VideoSource) -> VideoInfo:
    """Duration, rate, frame count and upright size of a video, from its header where that is complete.

    MP4 and AVI headers are; Matroska, WebM and MPEG-TS are read through (not decoded) to count the frames.
    A header is believed: of a file cut off behind it, fewer frames can be read than are announced.
    Raises `MediaError` when there is no video in it.
    """
    with open_video(source) as (container, stream):
        if stream.frames > 0 and stream.duration and stream.time_base:
            duration = float(stream.duration * stream.time_base)
            return _info(container, stream, duration, stream.frames)
    return frame_index(source).info


def frame_index(source: VideoSource) -> FrameIndex:
    """The index of a video; of a file it is kept until the file changes."""
    if isinstance(source, bytes):
        return _read_index(source)
    path = split_uri(source).path
    return _indices.get(file_key(path, regular_file(path)), lambda: _read_index(path))


@contextmanager
def open_video(source: VideoSource) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its video stream, closed afterwards. Every FFmpeg error inside becomes a `MediaError`."""
    import av

    name, file = describe(source), _openable(source)
    try:
        with av.open(
            file, mode="r", metadata_errors="replace", options={"protocol_whitelist": "file,pipe"}
        ) as container:
            yield container, _video_stream(container, name)
    except av.FFmpegError as error:
        if isinstance(error, av.error.InvalidDataError):
            why = "it is not a video, or is truncated before its index (an MP4 without its moov atom)"
        else:
            why = cause(error)
        raise MediaError(f"{name} cannot be read as a video: {why}.") from error
    finally:
        if not isinstance(file, str):
            file.close()


def _openable(source: VideoSource) -> str | io.BytesIO | io.BufferedReader:
    """What FFmpeg is given: an absolute path (no scheme can hide in it), or a file where the name is not UTF-8."""
    if isinstance(source, bytes):
        _refuse_playlist(source[:64], describe(source))
        return io.BytesIO(source)
    path = Path(split_uri(source).path).absolute()
    regular_file(path)
    try:
        with path.open("rb") as file:
            _refuse_playlist(file.read(64), describe(path))
        return str(path) if is_utf8(str(path)) else path.open("rb")
    except OSError as error:
        raise MediaError(f"{describe(path)} cannot be opened: {cause(error)}.") from error


def _refuse_playlist(head: bytes, name: str) -> None:
    if not head:
        raise MediaError(f"{name} is empty (0 bytes).")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_PLAYLISTS):
        raise MediaError(
            f"{name} is a playlist: it names other files, and mmrank does not follow it. Give those files."
        )


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    from av.stream import Disposition

    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:  # the cover of an audio file
            continue
        codec = stream.codec_context
        if codec is None:
            raise MediaError(f"{name}: no decoder for its video stream is in this build of FFmpeg.")
        if codec.width * codec.height > MAX_FRAME_PIXELS:
            raise MediaError(
                f"{name} claims frames of {codec.width} x {codec.height}; at most {MAX_FRAME_PIXELS:,} pixels."
            )
        return stream
    others = sorted({stream.type for stream in container.streams})
    raise MediaError(f"{name} has no video stream{' (' + ', '.join(others) + ' only)' if others else ''}.")


def _read_index(source: VideoSource) -> FrameIndex:
    with open_video(source) as (container, stream):
        packets, seen, end = _packets(container, stream)
        if not packets:
            raise MediaError(f"{describe(source)} has a video stream but not one readable frame.")
        counted = container.format.name == _DECODE_ORDER_ONLY or any(pts is None for pts, _ in packets)
        rate = float(stream.average_rate or stream.guessed_rate or _FALLBACK_FPS)
        if counted:
            pts, keyframes, unit = np.arange(len(packets)), np.zeros(1), 1.0 / rate
        else:
            pts = np.unique([pts for pts, _ in packets])
            keyframes = np.unique([pts for pts, key in packets if key])
            unit = float(stream.time_base or 0)
        declared = float(container.duration or 0) / 1_000_000
        matroska_cut = "matroska" in container.format.name and declared - end > _TRUNCATED_SLACK
        shown = float(pts[-1] - pts[0]) * unit
        duration = shown * len(pts) / (len(pts) - 1) if len(pts) > 1 else 1.0 / rate  # the last frame is shown too
        return FrameIndex(
            info=_info(container, stream, duration, len(pts)),
            pts=pts.astype(np.int64),
            keyframes=keyframes.astype(np.int64),
            unit=unit,
            counted=counted,
            leading=not counted and _has_leading(packets),
            declared=stream.frames,
            cut_off=stream.frames > seen or matroska_cut,
            container=container.format.name,
        )


def _packets(container: InputContainer, stream: VideoStream) -> tuple[list[tuple[int | None, bool]], int, float]:
    """(pts, is keyframe) of every shown frame; how many there are with hidden ones; the end of all streams in seconds.

    A file that breaks off ends the list, it does not raise: what was read until then stays.
    """
    found: list[tuple[int | None, bool]] = []
    seen = 0
    ends = dict.fromkeys(range(len(container.streams)), 0)
    for packet in _demux(container):
        if packet.pts is not None:
            ends[packet.stream_index] = max(ends.get(packet.stream_index, 0), packet.pts + (packet.duration or 0))
        if packet.stream_index != stream.index or packet.is_corrupt or packet.size == 0:
            continue
        seen += 1
        if not packet.is_discard:  # an edit list cuts it away
            found.append((packet.pts, packet.is_keyframe))
    units = {one.index: float(one.time_base or 0) for one in container.streams}  # fractions are slow to multiply
    return found, seen, max((end * units.get(number, 0.0) for number, end in ends.items()), default=0.0)


def _has_leading(packets: list[tuple[int | None, bool]]) -> bool:
    newest_key = -math.inf
    for pts, is_key in packets:
        if pts is not None and pts < newest_key:
            return True
        newest_key = pts if is_key and pts is not None else newest_key
    return False


def _demux(container: InputContainer) -> Iterator[Packet[Stream]]:
    import av

    try:
        yield from container.demux()
    except (av.FFmpegError, EOFError, IndexError):  # IndexError: PyAV's end of files in which streams appear midway
        return


def _info(container: InputContainer, stream: VideoStream, duration: float, count: int) -> VideoInfo:
    codec = stream.codec_context
    width, height = codec.width, codec.height
    if _rotation(container, stream) % 180:
        width, height = height, width
    fps = count / duration if duration > 0 else float(stream.average_rate or 0)
    return VideoInfo(
        duration=duration,
        fps=fps,
        frame_count=count,
        width=width,
        height=height,
        start=_start(container, stream),
        tags={key.lower(): str(value) for key, value in {**stream.metadata, **container.metadata}.items()},
    )


def _start(container: InputContainer, stream: VideoStream) -> float:
    if stream.start_time is None or stream.time_base is None or container.start_time is None:
        return 0.0
    return max(float(stream.start_time * stream.time_base) - container.start_time / 1_000_000, 0.0)


def _rotation(container: InputContainer, stream: VideoStream) -> int:
    """Degrees counter-clockwise; only a decoded frame carries it."""
    import av

    try:
        container.seek(0)
        return int(next(container.decode(stream)).rotation)
    except (av.FFmpegError, EOFError, StopIteration):
        return 0  # the first frame cannot be read; whoever asks for frames is told so
