"""Pictures and frames as Qwen3-VL-Embedding is given them: its pixel limits, without torch, so that workers can do it.

The rules are those of qwen_vl_utils 0.0.14 (`smart_resize`, `smart_nframes`, `fetch_video`) with the settings of
QwenLM/Qwen3-VL-Embedding at 8ce3aab, `src/models/qwen3_vl_embedding.py`. Frames are resized once, from the decoded
picture; its authors' way with lists of frames resizes twice and snaps to multiples of 64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from mmrank.errors import MediaError

FACTOR = 32
"""Sides are multiples of this: a patch of 16 pixels, two patches a side to a token."""

MIN_PIXELS = 4 * FACTOR**2
MAX_PIXELS = 1800 * FACTOR**2
FRAME_MIN_PIXELS = 128 * FACTOR**2
FRAME_MAX_PIXELS = 768 * FACTOR**2
VIDEO_PIXELS = 10 * FRAME_MAX_PIXELS
"""Of all frames of a video together, a pair of frames counted once, for it becomes one row of tokens."""

FPS = 1.0
MIN_FRAMES = 4
MAX_FRAMES = 64
MAX_ASPECT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Frames of one video, resized, an even number of them, and their times in seconds."""

    frames: tuple[Image.Image, ...] = field(repr=False)
    times: tuple[float, ...]


def fitted_size(width: int, height: int, *, least: int = MIN_PIXELS, most: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) in multiples of `FACTOR`, near the given shape, with `least` to `most` pixels.

    Raises `MediaError` when one side is more than 200 times the other.

    >>> fitted_size(4000, 3000)
    (1536, 1152)
    """
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise MediaError(
            f"The picture is {width} x {height} pixels; Qwen3-VL takes none whose one side is more than {MAX_ASPECT} "
            "times the other. Cut it into pieces."
        )
    wide, high = (max(FACTOR, round(side / FACTOR) * FACTOR) for side in (width, height))
    if wide * high > most:
        scale = math.sqrt(width * height / most)
        # A side shorter than a token's is kept at one token, where the authors' rule would make it nothing.
        return (
            max(FACTOR, math.floor(width / scale / FACTOR) * FACTOR),
            max(FACTOR, math.floor(height / scale / FACTOR) * FACTOR),
        )
    if wide * high < least:
        scale = math.sqrt(least / (width * height))
        return math.ceil(width * scale / FACTOR) * FACTOR, math.ceil(height * scale / FACTOR) * FACTOR
    return wide, high


def fit_image(image: Image.Image) -> Image.Image:
    """An RGB picture within the limits of pictures."""
    return _resized(image, fitted_size(*image.size))


def fit_clip(frames: Sequence[Image.Image], times: Sequence[float]) -> Clip:
    """A video's frames within the limits of videos: about one for each second, 4 to 64, all of one size.

    `frames`: as decoded, at least one. `times`: of each in seconds; one a second when there are none.
    Of more frames than that, evenly spaced ones are taken; an odd number gets its last once more.
    """
    at = list(times) if len(times) == len(frames) else [i / FPS for i in range(len(frames))]
    chosen = _evenly(len(frames), _wanted(at))
    chosen += chosen[-1:] if len(chosen) % 2 else []
    most = max(min(FRAME_MAX_PIXELS, VIDEO_PIXELS / len(chosen) * 2), int(FRAME_MIN_PIXELS * 1.05))
    size = fitted_size(*frames[0].size, least=FRAME_MIN_PIXELS, most=int(most))
    resized = {i: _resized(frames[i], size) for i in set(chosen)}
    return Clip(frames=tuple(resized[i] for i in chosen), times=tuple(at[i] for i in chosen))


def tokens_of(size: tuple[int, int]) -> int:
    """Tokens a resized picture, or a pair of resized frames, takes."""
    return (size[0] // FACTOR) * (size[1] // FACTOR)


def _wanted(times: Sequence[float]) -> int:
    """How many of the frames at these times to show."""
    count = len(times)
    if count < 2:
        return count
    seconds = (times[-1] - times[0]) * count / (count - 1)
    return min(count, int(min(max(seconds * FPS, MIN_FRAMES), MAX_FRAMES)) // 2 * 2)


def _evenly(count: int, wanted: int) -> list[int]:
    """`wanted` of `count` positions, the first and the last among them."""
    if wanted >= count:
        return list(range(count))
    return [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)]


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    picture = image if image.mode == "RGB" else image.convert("RGB")
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)
