"""All candidates on one picture."""

from __future__ import annotations

import pytest
from PIL import Image

from mmrank.errors import UsageError
from mmrank.media import numbered_sheet
from mmrank.mllm.prompt import Picture
from mmrank.rerank.sheets import candidate_sheet

COLOURS = ("red", "green", "blue", "white", "black", "orange", "purple")


def picture(colour: str) -> Picture:
    return Picture(key=colour, width=30, height=20, open=lambda: Image.new("RGB", (30, 20), colour))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_a_sheet_says_its_size_before_it_is_drawn(count: int) -> None:
    sheet = candidate_sheet([picture(c) for c in COLOURS[:count]], columns=3, cell=40)
    drawn = sheet.open()
    assert drawn.size == (sheet.width, sheet.height)
    images = [Image.new("RGB", (30, 20), c) for c in COLOURS[:count]]
    assert drawn.tobytes() == numbered_sheet(images, 3, 40).tobytes()


def test_the_key_names_candidates_their_order_and_the_cells() -> None:
    a, b = picture("red"), picture("blue")
    keys = [
        candidate_sheet([a, b], columns=3, cell=40).key,
        candidate_sheet([b, a], columns=3, cell=40).key,
        candidate_sheet([a, b], columns=1, cell=40).key,
        candidate_sheet([a, b], columns=3, cell=41).key,
    ]
    assert len(set(keys)) == 4
    assert candidate_sheet([a, b], columns=3, cell=40).key == keys[0]


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        candidate_sheet([], columns=3, cell=40)
