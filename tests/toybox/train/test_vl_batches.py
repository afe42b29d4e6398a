from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image

from mmrank.toybox.grammar import split_of
from mmrank.toybox.train.vl_batches import Mix, batches, fill, make_batch
from mmrank.toybox.train.vl_forms import TASKS, ids, marks, vocabulary
from mmrank.toybox.train.vl_learner import pixel_values
from mmrank.toybox.train.vl_model import new_processor
from mmrank.toybox.train.vl_tasks import Album, rearranged, sample_clips, sample_family

SMALL = Mix(tokens=900, captions=1, text=1, composed=1, clips=1, documents=1, listed=0.3, ordered=0.3)


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
    for _ in range(3):
        fill(album, [], replace(SMALL, tokens=2000))
    sample_clips(album)
    assert album.scenes
    for _, shown in (*album.scenes, *album.clips):
        assert split_of(shown.ground, shown.names) == "train"


def test_every_list_has_one_right_answer_and_names_it() -> None:
    for step in range(4):
        packed = make_batch(0, step, Mix(tokens=1500, captions=0, clips=0.3, documents=0.3, listed=1.0)).packed
        assert packed is not None
        yes = ids("yes")[0]
        of_task = {name: packed.targets[packed.targets[:, 3] == number] for number, name in enumerate(TASKS)}
        letters = [row for row in of_task["list"] if row[2] != ids("<|im_end|>")[0]]
        fitting = [row for row in of_task["read"] if row[2] == yes]
        assert len(letters) == len(fitting)
        for (row, _, letter, _), (same, column, _, _) in zip(letters, fitting, strict=True):
            assert row == same
            text = vocabulary().decode(packed.ids[row, : column + 1].tolist(), skip_special_tokens=False)
            assert text.endswith(f"Match {vocabulary().decode([letter])}?")


def test_marks_lie_on_names_and_on_the_cells_of_references() -> None:
    packed = make_batch(0, 1, Mix(tokens=1500, captions=0, composed=1, text=0)).packed
    assert packed is not None
    rows, columns, wanted, shown, fits, back, count = packed.cells.T
    on_cells = packed.ids[rows, columns] == marks()[1]
    assert on_cells.any()
    assert (~on_cells).any()
    judged = fits >= 0
    assert ((wanted == shown) == (fits == 1))[judged].all()
    assert (packed.ids[rows, columns - back] == marks()[1]).all()  # where the candidate begins
    assert set(count) == {16}


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


def test_rearranged_scenes_have_the_same_things_in_other_places() -> None:
    album = Album(Random(6))
    for _ in range(6):
        sample_family(album)
    for _, scene in album.scenes:
        others = rearranged(scene, album.rng, 3)
        assert len(others) == (0 if len(scene.objects) == 1 else 3)
        assert {other.contents for other in others} <= {scene.contents}
        assert len({scene.meaning, *(other.meaning for other in others)}) == len(others) + 1
