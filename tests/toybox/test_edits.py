from random import Random
from typing import get_args

import pytest

from mmrank.toybox.edits import SUBSET_SIZE, Change, edit, near_miss, possible_changes, sample_edit, sample_subset
from mmrank.toybox.grammar import place, split_of


@pytest.fixture
def pair():
    return place("blue", ("dog", "pizza"), "left of", Random(0))


def test_each_change_changes_what_it_says(pair) -> None:
    rng = Random(1)
    swap = edit(pair, "swap", rng)
    assert len(set(swap.target.names) & set(pair.names)) == 1
    assert (swap.target.ground, swap.target.relation) == (pair.ground, pair.relation)
    assert edit(pair, "ground", rng).target.names == pair.names
    assert edit(pair, "ground", rng).target.ground != pair.ground
    assert edit(pair, "move", rng).target.names == ("pizza", "dog")
    assert edit(pair, "turn", rng).target.relation == "above"
    assert len(edit(pair, "remove", rng).target.names) == 1
    assert len(edit(pair, "add", rng).target.names) == 3


def test_text_names_the_new_thing(pair) -> None:
    for seed in range(30):
        made = edit(pair, "swap", Random(seed))
        (new,) = set(made.target.names) - set(pair.names)
        (old,) = set(pair.names) - set(made.target.names)
        assert new in made.text
        assert old in made.text
        added = edit(pair, "add", Random(seed))
        assert ("left" in added.text) == (added.target.names[1:] == pair.names)


def test_moves_read_true(pair) -> None:
    for seed in range(30):
        text = edit(pair, "move", Random(seed)).text
        assert ("dog to the right of the pizza" in text) or ("pizza to the left of the dog" in text)


def test_only_fitting_changes_are_possible() -> None:
    lone = place("red", ("dog",), "alone", Random(0))
    three = place("red", ("dog", "cat", "pig"), "above", Random(0))
    assert set(possible_changes(lone)) == {"swap", "ground", "add"}
    assert set(possible_changes(three)) == {"swap", "ground", "remove"}


def test_training_edits_are_of_the_training_split() -> None:
    rng = Random(5)
    for _ in range(200):
        made = sample_edit(rng, "train")
        assert split_of(made.reference.ground, made.reference.names) == "train"
        assert split_of(made.target.ground, made.target.names) == "train"
        heldout = sample_edit(rng, "heldout")
        assert split_of(heldout.target.ground, heldout.target.names) == "heldout"


def test_subsets_have_six_members_of_different_meaning() -> None:
    rng = Random(6)
    for _ in range(60):
        subset = sample_subset(rng, "heldout")
        meanings = [scene.meaning for scene in subset.members]
        assert len(meanings) == len(set(meanings)) == SUBSET_SIZE
        assert len(subset.edits) == SUBSET_SIZE - 1
        for made in subset.edits:
            assert made.reference in subset.members
            assert made.target in subset.members
            assert made.target.meaning != made.reference.meaning
        assert {made.reference.meaning for made in subset.edits[1:]} == {subset.target.meaning}


def test_near_misses_keep_to_the_allowed_changes(pair) -> None:
    rng = Random(7)
    changes: tuple[Change, ...] = ("ground", "swap")
    assert {near_miss(pair, rng, "train", changes).change for _ in range(40)} == set(changes)
    assert {near_miss(pair, rng).change for _ in range(200)} == set(get_args(Change))
