"""Frames through decord (``decord2``, the maintained fork): only where it was found to give the right ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from PIL import Image

from mmrank.media.frame_index import FrameIndex

EXACT_CONTAINERS = frozenset({"mov", "matroska"})
"""FFmpeg's names (MP4 is ``mov``, WebM is ``matroska``) of containers in which decord's frames were compared with a
number drawn into every frame. Elsewhere decord2 3.4.0 gave wrong frames without an error: in MPEG-TS frame 49 for
frame 0, and in any container with open GOPs (x265's default) frame 13 for frame 11."""


class DecordError(Exception):
    """decord cannot read this file, or cannot be trusted with it; PyAV is asked instead."""


def decord_installed() -> bool:
    """True when the optional library is there: ``pip install 'mmrank[decord]'``."""
    return find_spec("decord") is not None


class DecordReader:
    """Reads frames by position; decord turns them upright itself. Raises `DecordError`, never half a result."""

    def __init__(self, path: str, index: FrameIndex, *, threads: int = 1) -> None:
        if not EXACT_CONTAINERS & set(index.container.split(",")) or index.counted:
            raise DecordError(f"not exact in {index.container}")
        if index.leading:
            raise DecordError("it miscounts frames behind open GOPs")
        if index.cut_off:
            raise DecordError("it loses the whole batch of a truncated file")
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        try:
            self._reader: Any = decord.VideoReader(path, num_threads=threads)
            count = len(self._reader)
        except Exception as error:  # RuntimeError, DECORDError (a bare Exception), UnicodeEncodeError
            raise DecordError(str(error)) from error
        if count != len(index.pts):
            raise DecordError(f"it counts {count} frames where the container has {len(index.pts)}")

    def __enter__(self) -> DecordReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader = None  # frees the decoder; decord has no close

    def read(self, positions: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """(position, RGB image turned upright) for ascending positions, all of them."""
        for position in positions:
            try:
                pixels = self._reader[position].asnumpy()
            except Exception as error:  # decord raises DECORDError, IndexError or RuntimeError alike
                raise DecordError(str(error)) from error
            yield position, Image.fromarray(pixels)
