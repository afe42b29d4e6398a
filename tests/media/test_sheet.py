from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrank.errors import UsageError
from mmrank.media.sheet import numbered_sheet, s_grid, sheet


def plain(level: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, (level, 255 - level, level // 2))


def colour(level: int) -> tuple[int, int, int]:
    return (level, 255 - level, level // 2)


@pytest.mark.parametrize(("s", "cell"), [(1, 448), (2, 224), (3, 149), (4, 112), (5, 89)])
def test_an_s_grid_has_the_papers_geometry(s: int, cell: int) -> None:
    frames = [plain(5 * i, (64, 36)) for i in range(s * s)]
    pixels = np.asarray(s_grid(frames, s))
    assert pixels.shape == (448, 448, 3)
    for i in range(s * s):
        top, left = i // s * cell, i % s * cell
        assert (pixels[top : top + cell, left : left + cell] == colour(5 * i)).all()
    assert not pixels[s * cell :].any()
    assert not pixels[:, s * cell :].any()


@pytest.mark.parametrize(
    ("count", "positions"),
    [
        (1, [0] * 9),
        (3, [0, 0, 0, 0, 1, 1, 1, 1, 2]),
        (9, list(range(9))),
        (12, [0, 1, 2, 4, 5, 6, 8, 9, 11]),
        (100, [0, 12, 24, 37, 49, 61, 74, 86, 99]),
    ],
)
def test_an_s_grid_takes_evenly_spaced_frames_cut_to_whole_positions(count: int, positions: list[int]) -> None:
    pixels = np.asarray(s_grid([plain(2 * i) for i in range(count)]))
    assert [int(pixels[i // 3 * 149 + 70, i % 3 * 149 + 70, 0]) for i in range(9)] == [2 * p for p in positions]


def test_an_s_grid_is_what_the_authors_code_makes() -> None:
    """Their loop, written out: resize every chosen frame bicubically and paste it row by row."""
    rng = np.random.default_rng(3)
    frames = [Image.fromarray(rng.integers(0, 255, (36, 64, 3), dtype=np.uint8)) for _ in range(20)]
    cell = 448 // 3
    canvas = Image.new("RGB", (448, 448))
    for place, position in enumerate(np.linspace(0, 19, 9, dtype=int)):
        row, column = divmod(place, 3)
        canvas.paste(frames[position].resize((cell, cell), Image.BICUBIC), (column * cell, row * cell))
    assert np.array_equal(s_grid(frames), canvas)


def test_whole_pictures_are_centred_and_stretched_ones_fill() -> None:
    wide = plain(200, (80, 40))
    fitted = np.asarray(sheet([wide], columns=1, cell=40, background=(9, 9, 9)))
    assert (fitted[10:30] == colour(200)).all()
    assert (fitted[:10] == 9).all()
    assert (fitted[30:] == 9).all()
    assert (np.asarray(sheet([wide], columns=1, cell=40, keep_aspect=False)) == colour(200)).all()


def test_gaps_show_the_background() -> None:
    pixels = np.asarray(sheet([plain(i * 10) for i in range(4)], columns=2, cell=(8, 6), gap=3, background=(1, 2, 3)))
    assert pixels.shape == (15, 19, 3)
    assert (pixels[6:9] == (1, 2, 3)).all()
    assert (pixels[:, 8:11] == (1, 2, 3)).all()


@given(count=st.integers(1, 30), columns=st.integers(1, 8), cell=st.integers(8, 24), gap=st.integers(0, 4))
def test_every_image_has_its_own_cell_in_reading_order(count: int, columns: int, cell: int, gap: int) -> None:
    out = sheet([plain(i * 8, (9, 9)) for i in range(count)], columns=columns, cell=cell, gap=gap)
    across = min(columns, count)
    assert out.size == (across * (cell + gap) - gap, -(-count // across) * (cell + gap) - gap)
    for i in range(count):
        centre = (i % across * (cell + gap) + cell // 2, i // across * (cell + gap) + cell // 2)
        assert out.getpixel(centre) == colour(i * 8)


def test_a_numbered_sheet_has_squares_size_and_a_badge_in_every_corner() -> None:
    images = [plain(100, (336, 336)) for _ in range(20)]
    pixels = np.asarray(numbered_sheet(images))
    assert pixels.shape == (1344, 1680, 3)
    badges = []
    for i in range(20):
        top, left = i // 5 * 336, i % 5 * 336
        corner = pixels[top : top + 84, left : left + 84]
        assert (corner[0, 0] == 0).all()  # black, flush with the corner
        white = (corner == 255).all(-1)
        assert 20 < white.sum() < 1500  # figures in it
        assert (pixels[top + 84 : top + 336, left : left + 336] == colour(100)).all()  # and nowhere else
        badges.append(white.tobytes())
    assert len(set(badges)) == 20  # every number looks different


@pytest.mark.parametrize("cell", [24, 48, 112, 336, 1024])
def test_badges_grow_with_the_cell_and_stay_inside(cell: int) -> None:
    pixels = np.asarray(numbered_sheet([plain(100, (cell, cell))] * 3, columns=3, cell=cell))
    black = (pixels[:, :cell] == 0).all(-1)
    rows, columns = np.flatnonzero(black.any(1)), np.flatnonzero(black.any(0))
    assert rows[0] == columns[0] == 0
    assert cell / 12 <= rows[-1] + 1 <= max(cell / 4, 16)
    assert columns[-1] + 1 <= max(cell / 4, 16)


def test_white_pictures_and_black_ones_show_their_number() -> None:
    for level in (0, 255):
        marked = np.asarray(sheet([Image.new("RGB", (99, 99), (level,) * 3)], columns=1, cell=99, marks=["1"]))
        assert (marked[:12, :10] > 200).all(-1).any()
        assert (marked[:12, :10] == 0).all(-1).any()


@pytest.mark.parametrize(
    ("images", "options", "why"),
    [
        ([], {"columns": 1, "cell": 9}, "at least one image"),
        ([1], {"columns": 0, "cell": 9}, "cannot be drawn"),
        ([1], {"columns": 1, "cell": 0}, "cannot be drawn"),
        ([1], {"columns": 1, "cell": 9, "marks": ["1", "2"]}, "2 marks came for 1 images"),
        ([1, 1], {"columns": 1, "cell": 9, "canvas": (9, 9)}, "need 9 x 18"),
    ],
)
def test_what_cannot_be_drawn_is_refused(images: list[int], options: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        sheet([plain(1)] * len(images), **options)


def test_an_s_grid_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one frame"):
        s_grid([])
    with pytest.raises(UsageError, match="cannot be drawn"):
        s_grid([plain(1)], s=0)
