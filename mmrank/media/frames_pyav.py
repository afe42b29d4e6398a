"""Frames through PyAV: every container FFmpeg knows, and what can be had of broken files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mmrank.media.frame_index import FrameIndex, VideoSource, open_video

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_SEEK_TRIES = 3
"""Keyframes to go back after a seek that landed behind its target (MPEG-TS has no index), before starting over."""

_UNINDEXED = frozenset({"mpeg", "mpegts"})
"""Containers in which FFmpeg finds its place by guessing and may give the first frames there a neighbour's time;
decoding then starts one keyframe early."""

_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


class PyAVReader:
    """Reads frames by position, forwards; seeks only when the next wanted frame lies past the next keyframe.

    So it costs the smaller of seeking per frame and decoding all of them, whatever the distance of keyframes; of what
    lies in between, frames that no other is predicted from are not decoded. A frame that cannot be decoded is left out,
    never replaced by its neighbour. Not thread-safe; one per call.
    """

    def __init__(self, source: VideoSource, index: FrameIndex, *, threads: int = 1) -> None:
        self._source, self._index, self._threads = source, index, threads
        self._wanted = int(index.pts[0])
        self._may_pass_over = not index.counted and index.container not in _UNINDEXED
        self._stack = ExitStack()
        self._open()

    def __enter__(self) -> PyAVReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """(position, RGB image turned upright) for ascending positions; unreadable ones are missing."""
        for position in positions:
            frame = self._frame_at(int(self._index.pts[position]))
            image = None if frame is None else _picture(frame)
            if image is not None:
                yield position, image

    def _open(self) -> None:
        self._stack.close()
        self._container, self._stream = self._stack.enter_context(open_video(self._source))
        self._stream.codec_context.thread_count = self._threads
        self._frames = self._decode()
        self._pending: tuple[int, VideoFrame] | None = None
        self._shown: tuple[int, VideoFrame] | None = None

    def _decode(self) -> Iterator[tuple[int, VideoFrame]]:
        """(pts, frame) from where the container stands; packets that cannot be decoded are passed over."""
        import av

        count = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, EOFError, IndexError):  # as in `frame_index`
                return
            if packet is None:
                return
            if self._may_pass_over:
                self._stream.codec_context.skip_frame = "NONREF" if self._is_before(packet) else "DEFAULT"
            try:
                frames = packet.decode()
            except (av.FFmpegError, EOFError):
                continue
            for frame in frames:
                if self._index.counted:
                    yield count, frame
                elif frame.pts is not None:
                    yield frame.pts, frame
                count += 1

    def _is_before(self, packet: Packet[VideoStream]) -> bool:
        """Whether its frame is off the screen when the wanted one comes; positions ascend, so it is never wanted."""
        return packet.pts is not None and packet.pts + (packet.duration or 0) <= self._wanted

    def _frame_at(self, wanted: int) -> VideoFrame | None:
        """The frame on show at pts `wanted`: that very one, or the one whose second field starts there."""
        self._wanted = wanted
        self._approach(wanted)
        while self._shown is None or self._shown[0] < wanted:
            following = self._next()
            if following is None:
                break
            if following[0] > wanted:
                self._pending = following
                break
            self._shown = following
        if self._shown is None:
            return None
        pts, frame = self._shown
        return frame if pts == wanted or pts < wanted < pts + (frame.duration or 0) else None

    def _next(self) -> tuple[int, VideoFrame] | None:
        if self._pending is not None:
            ready, self._pending = self._pending, None
            return ready
        return next(self._frames, None)

    def _approach(self, wanted: int) -> None:
        """Seek when a keyframe lies between here and `wanted`."""
        keyframes = self._index.keyframes
        early = self._index.container in _UNINDEXED
        nearest = int(np.searchsorted(keyframes, wanted, side="right")) - 1 - early
        here = self._pending or self._shown
        start = here[0] if here is not None else int(self._index.pts[0])
        if nearest < 0 or keyframes[nearest] <= start:
            return
        for target in range(nearest, max(nearest - _SEEK_TRIES, -1), -1):
            if self._seek(int(keyframes[target]), wanted):
                return
        self._open()

    def _seek(self, pts: int, wanted: int) -> bool:
        """True when decoding now starts at or before `wanted`."""
        import av

        try:
            self._container.seek(pts, stream=self._stream, backward=True)
        except av.FFmpegError:
            return False
        self._frames, self._shown = self._decode(), None
        self._pending = next(self._frames, None)
        return self._pending is not None and self._pending[0] <= wanted


def _picture(frame: VideoFrame) -> Image.Image | None:
    """Upright RGB; None when FFmpeg cannot convert it."""
    import av

    try:
        image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    except (av.FFmpegError, ValueError):
        return None
    turn = _TURNS.get(int(frame.rotation) % 360)
    return image if turn is None else image.transpose(turn)
