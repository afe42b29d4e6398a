from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image

from mmrank.toybox.grammar import split_of
from mmrank.toybox.train.vl_batches import Mix, batches, fill, make_batch
from mmrank.toybox.train.vl_forms import ids, vocabulary
from mmrank.toybox.train.vl_learner import pixel_values
from mmrank.toybox.train.vl_model import new_processor
from mmrank.toybox.train.vl_pictures import scene_picture
from mmrank.toybox.train.vl_tasks import Album, cell_facts, distance, facts, sample_clips, sample_family, shuffled

SMALL = Mix(tokens=900, captions=1, text=1, composed=1, order=1, clips=1, documents=1, sheets=1)


def test_a_batch_follows_from_seed_and_step() -> None:
    first, again, other = (make_batch(1, step, SMALL) for step in (5, 5, 6))
    assert first.packed is not None
    assert again.packed is not None
    assert other.packed is not None
    assert np.array_equal(first.packed.ids, again.packed.ids)
    assert np.array_equal(first.groups[0].patches, again.groups[0].patches)
    assert first.packed.ids.shape != other.packed.ids.shape or (first.packed.ids != other.packed.ids).any()


def test_batches_come_in_order_from_the_background() -> None:
    mix = Mix(tokens=0, pictures=8)
    with batches(3, 2, 4, {2: mix, 3: mix}.__getitem__) as stream:
        got = [batch.groups[0].patches for batch in stream]
    expected = [make_batch(3, step, mix).groups[0].patches for step in (2, 3)]
    assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_nothing_held_out_is_ever_shown(seed: int) -> None:
    album = Album(Random(seed))
    fill(album, [], replace(SMALL, tokens=3000))
    sample_clips(album)
    assert album.scenes
    for _, shown in (*album.scenes, *album.clips):
        assert split_of(shown.ground, shown.names) == "train"


def test_every_prompt_has_one_right_answer() -> None:
    for step in range(4):
        packed = make_batch(0, step, Mix(tokens=1500, captions=0, text=1, composed=1, order=0)).packed
        assert packed is not None
        yes = ids("yes")[0]
        rows = [vocabulary().decode(row.tolist(), skip_special_tokens=False) for row in packed.ids]
        queries = sum(row.count("Query:") for row in rows)
        read_yes = ((packed.targets[:, 3] == 4) & (packed.targets[:, 2] == yes)).sum()
        assert read_yes == queries


def test_patches_are_the_processors() -> None:
    album = Album(Random(4))
    sample_family(album)
    batch = make_batch(4, 0, Mix(tokens=0, pictures=8))
    group = batch.groups[0]
    side = group.height * 8
    image = _unpatched(group.patches[: group.height * group.width], side)
    inputs = new_processor().image_processor(images=[Image.fromarray(image)], return_tensors="pt")
    ours = pixel_values(group)[: group.height * group.width]
    assert np.allclose(inputs["pixel_values"].numpy(), ours.numpy(), atol=1e-5)


def _unpatched(rows: np.ndarray, side: int) -> np.ndarray:
    cells = side // 16
    cut = rows.reshape(cells, cells, 2, 2, 3, 8, 8)
    return cut.transpose(0, 2, 5, 1, 3, 6, 4).reshape(side, side, 3)


def test_what_fits_is_told_part_by_part() -> None:
    album = Album(Random(6))
    scene = next(scene for scene in _scenes(album) if len(scene.objects) == 3)
    other = replace(scene, ground="red" if scene.ground != "red" else "blue")
    turned = shuffled(scene, album.rng)
    assert facts(scene, scene) == (1, 1, 1)
    assert facts(scene, other) == (1, 0, 1)
    assert facts(scene, turned) == (1, 1, 0)
    assert [distance(scene, shown) for shown in (scene, other, turned)] == [0, 1, 1]
    picture = scene_picture(turned, album.rng)
    cells = cell_facts(scene, turned, picture)
    assert cells.shape == (16, 3)
    assert set(cells[:, 0].tolist()) == {1}
    assert 0 in cells[:, 1]


def _scenes(album: Album) -> list:
    for _ in range(6):
        sample_family(album)
    return [scene for _, scene in album.scenes]
