"""Whether two pictures show the same: measured on toybox scenes, each changed in every way it can be."""

from __future__ import annotations

import io
import math
from random import Random

import pytest
from PIL import Image

from mmrank.errors import MediaError
from mmrank.media.alike import ALIKE, cells_of, difference
from mmrank.media.image import thumbnail
from mmrank.toybox.drawing import draw
from mmrank.toybox.edits import edit, possible_changes
from mmrank.toybox.grammar import sample_scenes

SCENES = 8


def encoded(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def apart(one: Image.Image, other: Image.Image) -> float:
    return difference(cells_of(thumbnail(one)), cells_of(thumbnail(other)))


@pytest.mark.parametrize("side", [120, 240, 400])
def test_the_same_picture_in_other_clothes_is_alike(side: int) -> None:
    for scene in sample_scenes(SCENES, seed=side):
        base = draw(scene, side)
        cut = round(side * 0.02)
        for shown in (
            encoded(base, 50),
            base.resize((side // 2, side // 2)),
            base.resize((side * 2, side * 2)),
            base.crop((cut, cut, side, side)),
            encoded(base.crop((0, 0, side - cut, side)).resize((side // 2, side // 2)), 70),
        ):
            assert apart(base, shown) <= ALIKE


def test_one_thing_changed_is_not_alike() -> None:
    rng = Random(4)
    for scene in sample_scenes(SCENES, seed=9):
        for change in possible_changes(scene):
            assert apart(draw(scene, 240), draw(edit(scene, change, rng).target, 240)) > ALIKE, change


def test_other_shapes_are_not_compared() -> None:
    red = Image.new("RGB", (100, 100), "red")
    assert difference(cells_of(red), cells_of(red.resize((100, 90)))) == math.inf
    assert difference(cells_of(red), cells_of(red.resize((98, 100)))) == 0


def test_a_difference_is_the_same_both_ways() -> None:
    one, other = (cells_of(draw(scene, 96)) for scene in sample_scenes(2, seed=1))
    assert difference(one, other) == difference(other, one) > ALIKE


def test_bytes_that_are_no_picture_are_an_error() -> None:
    with pytest.raises(MediaError):
        cells_of(b"no picture")
