import json
from pathlib import Path

import pytest
from PIL import features

from mmrank.toybox import ToyboxError
from mmrank.toybox.assets import sprites_folder
from mmrank.toybox.sprites import SPRITE_SIDE, object_kinds, object_names, render_sprites, sprite, sprite_file

NOTO = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")


def test_every_name_has_its_sprite_and_every_sprite_its_name() -> None:
    assert {path.name for path in sprites_folder().glob("*.png")} == {sprite_file(name) for name in object_names()}


def test_names_and_emoji_are_unique_and_plain() -> None:
    assert len(object_names()) >= 64
    assert len(set(object_names())) == len(object_names()) == len({kind.emoji for kind in object_kinds()})
    assert all(name.replace(" ", "").isalpha() and name.islower() for name in object_names())


def test_sprite_is_clear_around_the_object() -> None:
    picture = sprite("pizza")
    assert picture.size == (SPRITE_SIDE, SPRITE_SIDE)
    assert picture.mode == "RGBA"
    assert picture.getextrema()[3] == (0, 255)
    assert sprite("pizza", 20).size == (20, 20)


def test_unknown_object_names_the_known_ones() -> None:
    with pytest.raises(ToyboxError, match=r"unicorn.*dog, cat"):
        sprite("unicorn")


@pytest.mark.skipif(not NOTO.exists() or not features.check("freetype2"), reason="no Noto Color Emoji on this machine")
def test_sprites_can_be_drawn_again(tmp_path: Path) -> None:
    rows = [{"name": "ice cream", "group": "food", "emoji": "🍦"}]
    (tmp_path / "names.json").write_text(json.dumps(rows), encoding="utf-8")
    assert render_sprites(NOTO, tmp_path) == 1
    assert (tmp_path / "ice_cream.png").stat().st_size > 1000
