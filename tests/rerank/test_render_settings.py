"""Rendering settings that cannot be meant are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from mmrank.errors import RecipeError
from mmrank.rerank.render_settings import DEFAULT_MAX_PIXELS, RenderSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"video": "movie"}, "sgrid, frames, text"),
        ({"text": "image"}, "must be one of text"),
        ({"frames": 0}, "frames is 0"),
        ({"s": True}, "s is True"),
        ({"s": None}, "s is None"),
        ({"max_pixels": 1.5}, "max_pixels is 1.5"),
        ({"subtitles": "yes"}, "true or false"),
        ({"s": 500}, "sheet_size is 448"),
        ({"min_pixels": 10, "max_pixels": 5}, "above max_pixels"),
        ({"min_pixels": DEFAULT_MAX_PIXELS + 1}, "above max_pixels"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        RenderSettings(**settings)


def test_the_area_is_the_limit_or_a_megapixel() -> None:
    assert RenderSettings().area == DEFAULT_MAX_PIXELS
    assert RenderSettings(max_pixels=4096).area == 4096
