"""The bundled toybox-clip keeps what its card promises, loaded as anybody would load it."""

import pytest
import torch

from mmrank.toybox.assets import toybox_clip_folder
from mmrank.toybox.train.clip_model import load
from mmrank.toybox.train.clip_score import clip_score, page_score, scene_scores


@pytest.fixture(scope="module")
def bundled():
    torch.set_num_threads(1)
    return load(toybox_clip_folder())


def test_heldout_scenes_are_found_in_seen_and_unseen_wordings(bundled) -> None:
    seen, unseen = scene_scores(*bundled)
    assert seen.gallery == 500
    assert seen.recall_1 >= 0.95
    assert seen.recall_10 >= 0.98
    assert unseen.recall_1 >= 0.95
    assert unseen.recall_10 >= 0.98


def test_heldout_pages_are_found_by_their_look(bundled) -> None:
    assert page_score(*bundled).recall_10 >= 0.9


def test_heldout_clips_are_found_by_their_mean_frame(bundled) -> None:
    assert clip_score(*bundled).recall_10 >= 0.9
