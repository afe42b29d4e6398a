from random import Random

import pytest
from PIL import Image, ImageDraw

from mmrank.media import numbered_sheet, s_grid, sample_frames
from mmrank.toybox.judge.errors import RefusedError
from mmrank.toybox.judge.gallery import thumbnail
from mmrank.toybox.judge.sight import Sight


def _shown(items, kind):
    return [item for item in items.values() if item.kind == kind]


@pytest.mark.parametrize("side", [64, 448])
@pytest.mark.parametrize("kind", ["image", "page", "video"])
def test_every_bundled_picture_is_recognised(reader, sight, recoded, pictured, kind, side):
    if kind == "video":
        side = max(side, 126)  # cells of 42 pixels
    for item in _shown(reader.known.items, kind):
        assert sight.look(recoded(pictured(item, side))).item == item.key


@pytest.mark.parametrize("side", [64, 100, 224, 448])
def test_near_duplicates_of_a_larger_collection_are_told_apart(world_reader, recoded, pictured, side):
    sight = Sight(world_reader.gallery)
    images = _shown(world_reader.known.items, "image")
    assert len(images) >= 300
    for item in images[side % 3 :: 3] if side != 64 else images:
        assert sight.look(recoded(pictured(item, side))).item == item.key


@pytest.mark.parametrize(("s", "frames", "size"), [(2, 4, 128), (2, 16, 448), (3, 9, 448), (3, 5, 300), (4, 16, 448)])
def test_s_grids_of_any_number_of_frames(reader, sight, recoded, s, frames, size):
    for item in _shown(reader.known.items, "video"):
        made = s_grid(sample_frames(item.file, frames=frames).images, s, size)
        assert sight.look(recoded(made)).item == item.key


def test_a_small_page_drawn_small_is_still_known(reader, sight, recoded):
    from mmrank.media import open_page

    for item in _shown(reader.known.items, "page"):
        drawn = open_page(item.file, item.page, size=65).image
        assert sight.look(recoded(drawn.resize((53, 76), Image.Resampling.BICUBIC))).item == item.key


@pytest.mark.parametrize("cell", [64, 160, 336])
@pytest.mark.parametrize("count", [1, 2, 7, 12, 20])
def test_sheets_are_read_cell_by_cell(reader, sight, recoded, pictured, cell, count):
    items = Random(count).sample(_shown(reader.known.items, "image"), count)
    drawn = numbered_sheet([pictured(item) for item in items], 5 if count != 7 else 3, cell)
    expected = tuple((str(number), item.key) for number, item in enumerate(items, 1))
    assert sight.look(drawn).cells == expected
    assert sight.look(recoded(drawn)).cells == expected
    if cell > 100:
        half = drawn.resize((drawn.width // 2, drawn.height // 2), Image.Resampling.BICUBIC)
        assert sight.look(recoded(half)).cells == expected


@pytest.mark.parametrize("kind", ["page", "video"])
def test_sheets_of_pages_and_clips(reader, sight, recoded, pictured, kind):
    items = Random(3).sample(_shown(reader.known.items, kind), 8)
    drawn = recoded(numbered_sheet([pictured(item, 448) for item in items], 4, 224))
    assert sight.look(drawn).cells == tuple((str(number), item.key) for number, item in enumerate(items, 1))


def test_badges_are_read_and_not_counted(reader, sight, pictured):
    from mmrank.media import sheet

    items = _shown(reader.known.items, "image")[:3]
    drawn = sheet([pictured(item) for item in items], columns=3, cell=160, marks=["0", "1", "2"])
    assert [label for label, _ in sight.look(drawn).cells] == ["0", "1", "2"]


def test_unknown_pictures_are_refused(sight, pictured, reader):
    with pytest.raises(RefusedError, match="shows nothing of this toy collection"):
        sight.look(Image.new("RGB", (160, 160), (1, 200, 3)))
    noise = Image.effect_noise((160, 160), 90).convert("RGB")
    with pytest.raises(RefusedError, match="nearest"):
        sight.look(noise)
    known = pictured(_shown(reader.known.items, "image")[0])
    ImageDraw.Draw(known).rectangle((30, 30, 130, 130), fill=(255, 0, 255))
    with pytest.raises(RefusedError):
        sight.look(known)


def test_pictures_of_another_collection_are_refused(sight, world_reader, pictured):
    """A near-duplicate that is not in the collection is not taken for one that is."""
    refused = 0
    images = _shown(world_reader.known.items, "image")[:100]
    for item in images:
        try:
            sight.look(pictured(item))
        except RefusedError:
            refused += 1
    assert refused == len(images)


def test_one_frame_is_a_frame_and_all_frames_tell_the_clip(reader, sight):
    for item in _shown(reader.known.items, "video"):
        frames = sample_frames(item.file, frames=6).images
        seen = [sight.look(frame) for frame in frames]
        assert all(each.frame is not None for each in seen)
        assert reader.gallery.clip([thumbnail(frame) for frame in frames]).key == item.key


@pytest.mark.parametrize("url", ["https://example.org/a.png", "data:text/plain;base64,AAAA", "data:image/png;base64,!"])
def test_only_pictures_that_came_along_are_looked_at(sight, url):
    with pytest.raises(RefusedError):
        sight.look_at_url(url)
