from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmrank.embed.preprocess import ImagePreprocess

CONFIGS: list[dict[str, Any]] = [
    {"size": 32},
    {"size": (32, 32), "interpolation": "bilinear"},
    {"size": 33, "interpolation": "random"},
    {"size": [24, 40]},
    {"size": (24, 40), "interpolation": "bilinear"},
    {"size": 32, "resize_mode": "squash"},
    {"size": (20, 31), "resize_mode": "squash", "interpolation": "bilinear"},
    {"size": 32, "resize_mode": "longest"},
    {"size": (32, 45), "resize_mode": "longest", "fill_color": 128},
    {"size": 32, "resize_mode": "longest", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
]


def _picture(width: int, height: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def _open_clip_transform(config: dict[str, Any]) -> Any:
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    return image_transform_v2(PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(), config)), is_train=False)


def _ours(config: dict[str, Any]) -> ImagePreprocess:
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    return ImagePreprocess.from_open_clip(merge_preprocess_dict(PreprocessCfg(), config))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@settings(max_examples=25, deadline=None)
@given(shorter=st.integers(1, 90), aspect=st.floats(1, 8), upright=st.booleans(), seed=st.integers(0, 99))
def test_equal_to_open_clips_own_transform(
    config: dict[str, Any], shorter: int, aspect: float, upright: bool, seed: int
) -> None:
    longer = int(shorter * aspect)
    picture = _picture(*((shorter, longer) if upright else (longer, shorter)), seed)
    preprocess = _ours(config)
    pixels = preprocess.pixels(picture)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*preprocess.size, 3)
    theirs = _open_clip_transform(config)(picture).numpy()
    ours = (pixels.astype(np.float32) / 255 - np.float32(preprocess.mean)) / np.float32(preprocess.std)
    np.testing.assert_allclose(ours.transpose(2, 0, 1), theirs, atol=2e-6)


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (1, 1), (1, 7)])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("target", [(224, 224), (224, 160)])
def test_thin_pictures_do_not_blow_up(size: tuple[int, int], mode: Any, target: tuple[int, int]) -> None:
    pixels = ImagePreprocess(size=target, resize_mode=mode).pixels(Image.new("RGB", size, (10, 200, 30)))
    assert pixels.shape == (*target, 3)
    assert (pixels == (10, 200, 30)).all(axis=2).any()


def test_the_centre_of_a_long_picture_is_what_is_seen() -> None:
    wide = Image.new("RGB", (3200, 32), "black")
    wide.paste("white", (1584, 0, 1616, 32))
    assert ImagePreprocess(size=(32, 32)).pixels(wide).min() > 250


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    picture = Image.new("RGB", (50, 40), (255, 0, 51)).convert(mode)
    expected = picture.convert("RGB").getpixel((0, 0))
    assert tuple(ImagePreprocess(size=(16, 16)).pixels(picture)[8, 8]) == expected


def test_canonical_tells_models_apart() -> None:
    lines = {_ours(config).canonical for config in CONFIGS}
    assert len(lines) == len(CONFIGS)
    assert _ours({"size": 32}).canonical == _ours({"size": (32, 32)}).canonical
