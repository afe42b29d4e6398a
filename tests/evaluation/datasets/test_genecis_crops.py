"""The crop: what is around the box, clipped to the picture, in the middle of a black square."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.genecis_crops import Crop, cut, square_crop


def gradient(width: int, height: int) -> Image.Image:
    """Red tells the column, green the row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(1, width + 1)
    pixels[..., 1] = np.arange(1, height + 1)[:, None]
    return Image.fromarray(pixels)


def test_a_box_in_the_middle() -> None:
    square = np.asarray(square_crop(gradient(100, 80), (50, 40, 20, 10)))
    # From 50 - 14 to 36 + 34 and from 40 - 7 to 33 + 17: 34 wide, 17 high, with 8 black rows above and 9 below.
    assert square.shape == (34, 34, 3)
    assert not square[:8].any()
    assert not square[25:].any()
    assert square[8, 0].tolist() == [37, 34, 0]
    assert square[24, 33].tolist() == [70, 50, 0]


def test_a_box_at_the_upper_left_edge_reaches_as_far_as_in_the_authors_code() -> None:
    square = np.asarray(square_crop(gradient(100, 80), (0, 0, 20, 20)))
    assert square.shape == (34, 34, 3)
    assert square[0, 0].tolist() == [1, 1, 0]
    assert square[33, 33].tolist() == [34, 34, 0]


def test_a_box_at_the_lower_right_edge_is_clipped() -> None:
    square = np.asarray(square_crop(gradient(100, 80), (90, 70, 10, 10)))
    assert square.shape == (17, 17, 3)
    assert square[0, 0].tolist() == [84, 64, 0]
    assert square[16, 16].tolist() == [100, 80, 0]


def test_a_folder_that_cannot_be_written_is_named(tmp_path) -> None:
    gradient(20, 20).save(tmp_path / "a.png")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DatasetError, match="crops="):
        cut({"x": Crop(source=tmp_path / "a.png", box=(1, 1, 4, 4))}, tmp_path / "file")


def test_no_unfinished_file_is_left(tmp_path) -> None:
    gradient(20, 20).save(tmp_path / "a.png")
    made = cut({str(n): Crop(source=tmp_path / "a.png", box=(n, n, 4, 4)) for n in range(6)}, tmp_path / "crops")
    assert sorted(os.listdir(tmp_path / "crops")) == sorted(path.name for path in made.values())
