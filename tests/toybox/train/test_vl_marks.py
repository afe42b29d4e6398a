from dataclasses import replace
from random import Random

from mmrank.toybox.clips import sample_clip
from mmrank.toybox.edits import edit
from mmrank.toybox.grammar import PlacedObject, Scene, place
from mmrank.toybox.notes import note_about
from mmrank.toybox.train.vl_marks import (
    GONE,
    clip_words,
    distance,
    scene_cells,
    scene_facts,
    scene_words,
    text_words,
    token,
)
from mmrank.toybox.train.vl_pictures import ROLES, scene_picture

SCENE = place("blue", ("dog", "pizza"), "left of", Random(1))
SWAPPED = place("blue", ("pizza", "dog"), "left of", Random(1))
LEFT, RIGHT, ALONE, GROUND = (ROLES.index(role) for role in ("left", "right", "alone", "ground"))


def test_facts_and_distance_tell_objects_ground_and_arrangement() -> None:
    other = replace(SCENE, ground="red")
    alone = Scene("blue", (PlacedObject("dog", 0.5, 0.5, 0.5),), "alone")
    assert scene_facts(SCENE, SCENE) == (1, 1, 1)
    assert scene_facts(SCENE, other) == (1, 0, 1)
    assert scene_facts(SCENE, SWAPPED) == (1, 1, 0)
    assert scene_facts(SCENE, alone) == (0, 1, -1)
    assert [distance(SCENE, shown) for shown in (SCENE, other, SWAPPED, alone)] == [0, 1, 1, 1]


def test_words_tell_the_role_wanted_the_role_shown_and_whether_they_are_one() -> None:
    words = scene_words(SCENE, SWAPPED)
    assert words[token("dog")] == (LEFT, RIGHT, 0)
    assert words[token("blue")] == (GROUND, GROUND, 1)
    assert words[token("cat")] == (GONE, GONE, 1)
    alone = Scene("red", (PlacedObject("dog", 0.5, 0.5, 0.5),), "alone")
    assert scene_words(SCENE, alone)[token("pizza")] == (RIGHT, GONE, 0)
    assert scene_words(SCENE, alone)[token("dog")] == (LEFT, ALONE, 0)
    assert scene_words(SCENE, alone)[token("blue")] == (GROUND, GONE, 0)


def test_cells_of_a_reference_tell_what_becomes_of_them() -> None:
    made = edit(SCENE, "ground", Random(2))
    cells = scene_cells(scene_picture(SCENE, Random(3)), made.target, SWAPPED)
    assert cells.shape == (16, 3)
    known = {tuple(row) for row in cells.tolist()} - {(-1, -1, -1)}
    assert (GONE, GROUND, 0) in known
    assert known & {(LEFT, RIGHT, 0), (RIGHT, LEFT, 0)}
    assert len(known) <= 3


def test_clips_are_told_by_mover_other_ground_and_movement() -> None:
    clip = next(clip for clip in (sample_clip(Random(seed)) for seed in range(20)) if clip.other)
    assert {fits for _, _, fits in clip_words(clip, clip).values()} == {1}
    other = replace(clip, motion="enters" if clip.motion != "enters" else "leaves")
    words = clip_words(clip, other)
    assert words[token(clip.mover)][2] == 1
    assert words[token(clip.side)][2] == 0


def test_names_are_found_in_texts_with_and_without_a_capital() -> None:
    note = note_about(SCENE, Random(4))
    words = text_words(note.markdown)
    for name in ("dog", "blue", note.place, note.writer, note.day):
        assert words[token(name)] == (-1, -1, 1)
    assert words[token("cat")] == (-1, -1, 0)
