"""The bundled toybox-vl as its users meet it: local files, stock classes, its own prompt forms."""

from random import Random

import pytest
import torch

from mmrank.toybox.assets import toybox_vl_folder
from mmrank.toybox.captions import caption
from mmrank.toybox.grammar import GROUNDS, place, sample_scene
from mmrank.toybox.train.vl_found import Judge, picture
from mmrank.toybox.train.vl_model import load


@pytest.fixture(scope="module")
def judge() -> Judge:
    torch.set_num_threads(1)
    return Judge(*load(toybox_vl_folder()))


def test_size() -> None:
    assert sum(path.stat().st_size for path in toybox_vl_folder().iterdir()) < 15_000_000


def test_heldout_grounds_are_judged_right(judge: Judge) -> None:
    rng = Random("toybox-vl/bundled")
    right = 0
    for _ in range(12):
        scene = sample_scene(rng, "heldout")
        other = place(rng.choice([name for name in GROUNDS if name != scene.ground]), scene.names, scene.relation, rng)
        yes = judge.yes([caption(scene, rng)], [[picture(scene, rng)], [picture(other, rng)]])
        right += yes[0] > yes[1]
    assert right >= 11


def test_letters_are_all_the_probability(judge: Judge) -> None:
    """In a list the answer is one of its letters, and of no others."""
    rng = Random("toybox-vl/letters")
    scenes = [sample_scene(rng, "heldout") for _ in range(5)]
    told = judge.best([caption(scenes[0], rng)], [[picture(scene, rng)] for scene in scenes])
    assert sum(torch.tensor(told).exp().tolist()) > 0.98
