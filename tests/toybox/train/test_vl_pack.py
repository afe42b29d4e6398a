"""The claim that packing rests on: every segment's logits are those of its own path through stock code."""

import re
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from mmrank.toybox.captions import caption
from mmrank.toybox.train.vl_batches import ROW, collect
from mmrank.toybox.train.vl_documents import note_question, page_question_about
from mmrank.toybox.train.vl_forms import caption_tree, list_tree, order_tree, pair_tree, sheet_tree, vocabulary
from mmrank.toybox.train.vl_learner import Learner
from mmrank.toybox.train.vl_model import new_processor
from mmrank.toybox.train.vl_pack import Segment, Tree, fill_rows, pack, tree_length
from mmrank.toybox.train.vl_pictures import places, sheet_picture
from mmrank.toybox.train.vl_tasks import (
    Album,
    clip_question,
    composed_question,
    sample_clips,
    sample_family,
    scene_candidates,
    text_question,
)


@pytest.fixture(scope="module")
def prompts() -> tuple[Album, list[Tree]]:
    album = Album(Random(3))
    family = sample_family(album)
    near = list(range(7))
    edited, asked = composed_question(family, album), text_question(family, album)
    scenes = [scene for _, scene in album.scenes[:5]]
    sheet = album.part(album.add(sheet_picture(scenes)))
    trees = [
        pair_tree(edited.query, scene_candidates(album, edited, near, 3, 2)),
        order_tree(asked.query, scene_candidates(album, asked, near, 4, 2)),
        list_tree(*note_question(album, scenes)),
        pair_tree(*page_question_about(album, scenes)),
        caption_tree(album.part(0), [caption(scenes[0], album.rng)], places(scenes[0])),
        pair_tree(*clip_question(album, sample_clips(album), 3)),
        sheet_tree(asked.query, sheet, [1, 0, 2, 2, 1]),
    ]
    return album, trees


def paths(tree: Tree) -> list[tuple[int, list[int], list[int]]]:
    """For every segment: its number, the tokens and the pictures from the root to its end."""
    found = []
    for number in range(len(tree)):
        chain: list[int] = []
        step: int | None = number
        while step is not None:
            chain.insert(0, step)
            step = tree[step].parent
        tokens = [token for index in chain for token in tree[index].tokens]
        pictures = [picture for index in chain for _, picture, _, _ in tree[index].pictures]
        found.append((number, tokens, pictures))
    return found


def test_packed_equals_plain(prompts) -> None:
    torch.set_num_threads(1)
    album, trees = prompts
    learner, processor = Learner(0).eval(), new_processor()
    batch = collect(album, trees)
    assert batch.packed is not None
    with torch.inference_mode():
        packed = learner.model.lm_head(learner.hidden(batch)[0])
    worst, column = 0.0, dict.fromkeys(range(len(batch.packed.ids)), 0)
    for row, members in enumerate(fill_rows(trees, max(ROW, *map(tree_length, trees)))):
        for tree in members:
            for number, tokens, pictures in paths(tree):
                text = re.sub(
                    r"(<\|image_pad\|>)+", "<|image_pad|>", vocabulary().decode(tokens, skip_special_tokens=False)
                )
                images = [Image.fromarray(album.pictures[picture].pixels) for picture in pictures]
                inputs = processor(text=[text], images=images or None, return_tensors="pt")
                assert inputs["input_ids"][0].tolist() == tokens
                with torch.inference_mode():
                    plain = learner.model(**inputs).logits[0]
                length = len(tree[number].tokens)
                here = packed[row, column[row] : column[row] + length]
                worst = max(worst, float((plain[-length:] - here).abs().max()))
                column[row] += length
    assert worst < 1e-5


def test_siblings_and_neighbours_are_not_seen() -> None:
    tree = [Segment(None, [1, 2]), Segment(0, [3]), Segment(0, [4, 5])]
    packed = pack([tree, [Segment(None, [6])], [Segment(None, [7])]], 6, 0, 3, 2)
    assert packed.ids.tolist() == [[1, 2, 3, 4, 5, 6], [7, 0, 0, 0, 0, 0]]
    sees = [np.flatnonzero(row).tolist() for row in packed.mask[0]]
    assert sees == [[0], [0, 1], [0, 1, 2], [0, 1, 3], [0, 1, 3, 4], [5]]
    assert packed.mask[1].any(axis=1).all()
    assert packed.positions[:, 0, :6].tolist() == [[0, 1, 2, 2, 3, 0]] * 3


def test_text_goes_on_after_the_longer_side_of_a_picture() -> None:
    segment = Segment(None, [9, *[7] * 6, 8], [(1, 0, 2, 3)])
    positions, end = segment.positions(5)
    assert positions.tolist() == [
        [5, 6, 6, 6, 6, 6, 6, 9],
        [5, 6, 6, 6, 7, 7, 7, 9],
        [5, 6, 7, 8, 6, 7, 8, 9],
    ]
    assert end == 10
