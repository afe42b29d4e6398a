"""Scenes to pictures."""

from PIL import Image

from mmrank.toybox.grammar import GROUNDS, Scene
from mmrank.toybox.sprites import sprite

SHADE_STEP = 14
"""How far a full shade (-1 or 1) moves each colour channel of the ground, of 255."""

SIZE_STEP = 2
"""Sprites are drawn at sides that are multiples of this many pixels, so that resized ones can be kept."""


def ground_colour(scene: Scene) -> tuple[int, int, int]:
    """The exact RGB colour of a scene's ground, its shade applied."""
    red, green, blue = (
        min(255, max(0, round(channel + SHADE_STEP * scene.shade))) for channel in GROUNDS[scene.ground]
    )
    return red, green, blue


def draw(scene: Scene, side: int = 160) -> Image.Image:
    """Draw a scene as an RGB picture of `side` x `side` pixels. Later objects lie on top.

    Example:
        >>> from random import Random
        >>> from mmrank.toybox.grammar import sample_scene
        >>> draw(sample_scene(Random(1)), side=64).size
        (64, 64)
    """
    picture = Image.new("RGB", (side, side), ground_colour(scene))
    for placed in scene.objects:
        pixels = max(SIZE_STEP, round(placed.size * side / SIZE_STEP) * SIZE_STEP)
        image = sprite(placed.name, pixels)
        corner = (round(placed.x * side - pixels / 2), round(placed.y * side - pixels / 2))
        picture.paste(image, corner, image)
    return picture
