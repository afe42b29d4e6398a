"""Items that are a box within a picture."""

from __future__ import annotations

import pytest
from PIL import Image

from mmrank.errors import MediaError
from mmrank.rerank.boxes import box_pictures, item_box
from mmrank.types import Item, MetaValue


def boxed(bbox: MetaValue) -> Item:
    return Item(id="a", kind="image", meta={"bbox": bbox})


@pytest.mark.parametrize("bbox", ["1,2,30,40", "1 2 30 40", ("1", "2", "30", "40")])
def test_a_box_is_text_or_a_tuple(bbox: MetaValue) -> None:
    assert item_box(boxed(bbox)) == (1, 2, 30, 40)


def test_no_box_is_none() -> None:
    assert item_box(Item(id="a", kind="image")) is None
    assert item_box(boxed(None)) is None


@pytest.mark.parametrize("bbox", ["1,2,3", "a,b,c,d", "30,2,1,40", "-1,0,5,5", "0,0,inf,5", "0,0,nan,5", 7, True, ""])
def test_what_is_no_box_is_refused(bbox: MetaValue) -> None:
    with pytest.raises(MediaError, match="left,top,right,bottom"):
        item_box(boxed(bbox))


def test_pixels_and_fractions_mean_the_same_box() -> None:
    image = Image.effect_noise((200, 100), 80).convert("RGB")
    whole, inside = box_pictures(image, (20, 30, 120, 80))
    assert inside.tobytes() == image.crop((20, 30, 120, 80)).tobytes()
    assert box_pictures(image, (0.1, 0.3, 0.6, 0.8))[1].tobytes() == inside.tobytes()
    assert whole.size == image.size
    assert whole.getpixel((19, 50)) == (255, 0, 0)
    assert whole.getpixel((70, 29)) == (255, 0, 0)
    assert whole.crop((20, 30, 120, 80)).tobytes() == inside.tobytes()  # the line lies around the box, not in it


def test_a_box_is_cut_at_the_edge_and_refused_outside() -> None:
    image = Image.new("RGB", (200, 100))
    assert box_pictures(image, (150, 50, 900, 900))[1].size == (50, 50)
    with pytest.raises(MediaError, match="outside its picture of 200 x 100"):
        box_pictures(image, (300, 10, 400, 20))
