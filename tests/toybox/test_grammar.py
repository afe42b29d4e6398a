from itertools import combinations
from random import Random

import pytest

from mmrank.toybox import ToyboxError
from mmrank.toybox.grammar import (
    GROUNDS,
    heldout_combination,
    place,
    sample_scene,
    sample_scenes,
    split_of,
)
from mmrank.toybox.sprites import object_names


def test_same_seed_same_scenes() -> None:
    assert list(sample_scenes(30, 4)) == list(sample_scenes(30, 4))
    assert list(sample_scenes(30, 4)) != list(sample_scenes(30, 5))


def test_about_a_tenth_of_the_pairs_is_held_out() -> None:
    pairs = list(combinations(object_names(), 2))
    share = sum(heldout_combination(*pair) for pair in pairs) / len(pairs)
    assert 0.08 < share < 0.12


def test_the_split_never_moves() -> None:
    """Bundled weights were trained on this very split: these pairs must stay where they are."""
    assert heldout_combination("dog", "fish")
    assert not heldout_combination("dog", "pizza")


def test_training_scenes_hold_no_heldout_pair_and_heldout_scenes_at_least_one() -> None:
    rng = Random(0)
    for _ in range(400):
        train, heldout = sample_scene(rng, "train"), sample_scene(rng, "heldout")
        assert not any(heldout_combination(*pair) for pair in combinations(train.names, 2))
        if len(heldout.names) > 1:
            assert any(heldout_combination(*pair) for pair in combinations(heldout.names, 2))
        else:
            assert heldout_combination(heldout.names[0], heldout.ground)


def test_the_splits_are_disjoint() -> None:
    train = {scene.contents for scene in sample_scenes(800, 1, "train")}
    heldout = {scene.contents for scene in sample_scenes(800, 1, "heldout")}
    assert not train & heldout


def test_relations_hold_in_the_picture() -> None:
    rng = Random(2)
    for _ in range(300):
        scene = sample_scene(rng, count=rng.choice((2, 3)))
        for first, second in zip(scene.objects, scene.objects[1:], strict=False):
            dx, dy = second.x - first.x, second.y - first.y
            along, across = (dx, dy) if scene.relation == "left of" else (dy, dx)
            assert along > abs(across) > -1
            assert along >= (first.size + second.size) / 2 - 1e-3, "objects overlap"


def test_objects_stay_inside_the_picture() -> None:
    rng = Random(3)
    for _ in range(300):
        for placed in sample_scene(rng).objects:
            half = placed.size / 2 - 1e-3
            assert half <= placed.x <= 1 - half
            assert half <= placed.y <= 1 - half


@pytest.mark.parametrize(
    ("ground", "names", "relation", "said"),
    [
        ("teal", ("dog",), "alone", "teal"),
        ("red", ("unicorn",), "alone", "unicorn"),
        ("red", (), "alone", "1 to 3"),
        ("red", ("dog", "cat", "pig", "cow"), "above", "1 to 3"),
        ("red", ("dog", "dog"), "above", "once"),
        ("red", ("dog", "cat"), "alone", "alone"),
        ("red", ("dog",), "above", "above"),
    ],
)
def test_what_cannot_be_placed_is_refused(ground, names, relation, said) -> None:
    with pytest.raises(ToyboxError, match=said):
        place(ground, names, relation, Random(0))


def test_asking_for_more_scenes_than_there_are_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr("mmrank.toybox.grammar.object_names", lambda: ("dog", "cat", "fish"))
    with pytest.raises(ToyboxError, match="ask for fewer"):
        list(sample_scenes(100, 0))


def test_split_of_a_lone_object_goes_by_its_ground() -> None:
    splits = {split_of(ground, ("dog",)) for ground in GROUNDS}
    assert splits <= {"train", "heldout"}
