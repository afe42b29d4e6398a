from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrank.embed.qwen_vl_media import (
    FACTOR,
    FRAME_MAX_PIXELS,
    MAX_PIXELS,
    MIN_PIXELS,
    VIDEO_PIXELS,
    fit_clip,
    fit_image,
    fitted_size,
    tokens_of,
)
from mmrank.errors import MediaError


def test_limits_are_the_published_ones() -> None:
    assert (MIN_PIXELS, MAX_PIXELS, VIDEO_PIXELS) == (4096, 1_843_200, 7_864_320)


def _published(width: int, height: int) -> tuple[int, int]:
    """The rule as it is described for qwen_vl_utils: round both sides, scale down rounding down, up rounding up."""
    wide, high = max(32, round(width / 32) * 32), max(32, round(height / 32) * 32)
    if wide * high > MAX_PIXELS:
        beta = math.sqrt(width * height / MAX_PIXELS)
        return math.floor(width / beta / 32) * 32, math.floor(height / beta / 32) * 32
    if wide * high < MIN_PIXELS:
        beta = math.sqrt(MIN_PIXELS / (width * height))
        return math.ceil(width * beta / 32) * 32, math.ceil(height * beta / 32) * 32
    return wide, high


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_every_shape_lands_within_the_limits(width: int, height: int) -> None:
    if max(width, height) > 200 * min(width, height):
        with pytest.raises(MediaError, match="200"):
            fitted_size(width, height)
        return
    size = fitted_size(width, height)
    assert all(side % FACTOR == 0 and side > 0 for side in size)
    assert size == tuple(max(FACTOR, side) for side in _published(width, height))
    assert size[0] * size[1] >= MIN_PIXELS
    assert tokens_of(size) <= 1800 or FACTOR in size


def test_a_picture_that_fits_is_left_alone() -> None:
    image = Image.new("RGB", (96, 64))
    assert fit_image(image) is image
    assert fit_image(Image.new("L", (100, 70))).mode == "RGB"


def _frames(count: int, size: tuple[int, int] = (512, 256)) -> list[Image.Image]:
    return [Image.new("RGB", size, (i, i, i)) for i in range(count)]


@pytest.mark.parametrize(
    ("count", "step", "shown"),
    [(64, 1.0, 64), (64, 0.25, 16), (64, 5.0, 64), (10, 0.1, 4), (2, 0.1, 2), (1, 0.0, 2), (3, 10.0, 4), (12, 1.0, 12)],
)
def test_about_a_frame_a_second_and_an_even_number(count: int, step: float, shown: int) -> None:
    frames = _frames(count)
    clip = fit_clip(frames, [i * step for i in range(count)])
    assert len(clip.frames) == len(clip.times) == shown
    assert list(clip.times) == sorted(clip.times)
    for frame, time in zip(clip.frames, clip.times, strict=True):
        assert time == pytest.approx(np.asarray(frame)[0, 0, 0] * step)
    if count > 3:
        assert clip.times[0] == 0
        assert clip.times[-1] == pytest.approx((count - 1) * step)


@pytest.mark.parametrize("count", [4, 20, 40, 64])
def test_all_frames_together_keep_the_videos_limit(count: int) -> None:
    clip = fit_clip(_frames(count, (640, 360)), [float(i) for i in range(count)])
    wide, high = clip.frames[0].size
    assert wide * high <= FRAME_MAX_PIXELS
    assert wide * high * count / 2 <= VIDEO_PIXELS
    assert {frame.size for frame in clip.frames} == {(wide, high)}


def test_without_times_a_frame_is_a_second() -> None:
    assert fit_clip(_frames(4), ()).times == (0, 1, 2, 3)
