"""Frames through decord (``decord2``, the maintained fork): only where it was found to give the right ones."""

from __future__ import annotations

import sys
import threading
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


_IMPORT_LOCK = threading.Lock()


def imported_decord() -> Any:
    """The module, imported in a way that leaves the process able to reckon.

    decord2 3.4.0 loads every CUDA library it finds beside itself, for all to see, even the one that takes the place
    of the BLAS (``libnvblas``): a torch or FAISS imported afterwards ends the process in its first matrix product, with
    a segmentation fault. Decoding on the CPU needs none of them, so that for the import they are out of sight.
    """
    with _IMPORT_LOCK:
        if (there := sys.modules.get("decord")) is not None:
            return there
        hidden = "nvidia" in sys.modules, sys.modules.get("nvidia")
        sys.modules["nvidia"] = None  # type: ignore[assignment]  # what importlib calls a package that is not there
        try:
            import decord
        finally:
            del sys.modules["nvidia"]
            if hidden[0]:
                sys.modules["nvidia"] = hidden[1]  # type: ignore[assignment]
        decord.logging.set_level(decord.logging.QUIET)
        return decord


class DecordReader:
    """Reads frames by position; decord turns them upright itself. Raises `DecordError`, never half a result."""

    def __init__(self, path: str, index: FrameIndex, *, threads: int = 1) -> None:
        if not EXACT_CONTAINERS & set(index.container.split(",")) or index.counted:
            raise DecordError(f"not exact in {index.container}")
        if index.leading:
            raise DecordError("it miscounts frames behind open GOPs")
        if index.cut_off:
            raise DecordError("it loses the whole batch of a truncated file")
        decord = imported_decord()
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
