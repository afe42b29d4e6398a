from random import Random

import numpy as np

from mmrank.toybox.drawing import draw, ground_colour
from mmrank.toybox.grammar import GROUNDS, PlacedObject, Scene, sample_scene


def test_any_size_and_always_the_same() -> None:
    scene = sample_scene(Random(0))
    for side in (64, 160, 333):
        assert draw(scene, side).size == (side, side)
        assert draw(scene, side).tobytes() == draw(scene, side).tobytes()


def test_ground_and_object_are_where_they_should_be() -> None:
    scene = Scene("blue", (PlacedObject("apple", 0.25, 0.25, 0.4),), "alone")
    pixels = np.asarray(draw(scene, 100)).astype(int)
    assert tuple(pixels[90, 90]) == GROUNDS["blue"]
    assert abs(pixels[25, 25] - GROUNDS["blue"]).sum() > 100


def test_shade_moves_the_ground_but_never_to_another() -> None:
    for ground in GROUNDS:
        for shade in (-1.0, 1.0):
            colour = np.array(ground_colour(Scene(ground, (), "alone", shade)))
            distance = {name: np.abs(colour - np.array(rgb)).sum() for name, rgb in GROUNDS.items()}
            assert min(distance, key=distance.__getitem__) == ground


def test_objects_may_reach_over_the_edge() -> None:
    assert draw(Scene("red", (PlacedObject("dog", -0.1, 1.1, 0.4),), "alone"), 64).size == (64, 64)
