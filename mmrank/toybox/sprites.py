"""The objects of the toybox world: names, and their pictures as RGBA sprites."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mmrank.toybox.assets import sprites_folder
from mmrank.toybox.errors import ToyboxError

SPRITE_SIDE = 72
"""Side of a stored sprite in pixels."""

EMOJI_STRIKE = 109
"""The only size at which Noto Color Emoji holds bitmaps (136 x 128 pixels each)."""


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """One row of `names.json`: an English name, the group it belongs to, and the emoji it is drawn from."""

    name: str
    group: str
    emoji: str


@lru_cache(maxsize=1)
def object_kinds() -> tuple[ObjectKind, ...]:
    """Every object of the toybox, in file order."""
    rows = json.loads((sprites_folder() / "names.json").read_text(encoding="utf-8"))
    return tuple(ObjectKind(row["name"], row["group"], row["emoji"]) for row in rows)


@lru_cache(maxsize=1)
def object_names() -> tuple[str, ...]:
    """The names of all objects.

    Example:
        >>> "dog" in object_names()
        True
    """
    return tuple(kind.name for kind in object_kinds())


def sprite_file(name: str) -> str:
    """File name of an object's sprite: `"ice cream"` -> `"ice_cream.png"`."""
    return name.replace(" ", "_") + ".png"


@lru_cache(maxsize=1024)
def sprite(name: str, side: int = SPRITE_SIDE) -> Image.Image:
    """The picture of an object, RGBA, `side` x `side` pixels. Shared: do not draw into it.

    Raises:
        ToyboxError: there is no object of that name.
    """
    if name not in object_names():
        raise ToyboxError(f"no toybox object is called {name!r}; there are: {', '.join(object_names())}")
    if side == SPRITE_SIDE:
        with Image.open(sprites_folder() / sprite_file(name)) as picture:
            return picture.convert("RGBA")
    return sprite(name).resize((side, side), Image.Resampling.LANCZOS)


def render_sprites(font: Path, folder: Path) -> int:
    """Draw the emoji named in `folder/names.json` once from the Noto Color Emoji font into PNGs beside it.

    Needs Pillow with FreeType's colour bitmaps; at run time only the PNGs are read. Returns how many were written.
    """
    rows = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    face = ImageFont.truetype(str(font), EMOJI_STRIKE)
    for row in rows:
        canvas = Image.new("RGBA", (160, 160))
        ImageDraw.Draw(canvas).text((12, 12), row["emoji"], font=face, embedded_color=True)
        box = canvas.getbbox()
        if box is None:
            raise ToyboxError(f"the font {font.name} has no picture for {row['emoji']!r} ({row['name']})")
        _centred(canvas.crop(box)).save(folder / sprite_file(row["name"]), optimize=True)
    return len(rows)


def _centred(picture: Image.Image) -> Image.Image:
    """The picture in the middle of a clear square, scaled to the sprite side."""
    side = max(picture.size)
    square = Image.new("RGBA", (side, side))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square.resize((SPRITE_SIDE, SPRITE_SIDE), Image.Resampling.LANCZOS)
