from itertools import combinations
from random import Random

import numpy as np

from mmrank.toybox.grammar import heldout_combination
from mmrank.toybox.sprites import object_names
from mmrank.toybox.train.clip_batches import IMAGE_SIDE, batches, make_batch, render_pages


def test_a_batch_follows_from_seed_and_step() -> None:
    first, again, other = make_batch(1, 5, 16), make_batch(1, 5, 16), make_batch(1, 6, 16)
    assert first.captions == again.captions != other.captions
    assert np.array_equal(first.pictures, again.pictures)
    assert first.pictures.shape == (16, IMAGE_SIDE, IMAGE_SIDE, 3)
    assert first.pictures.dtype == np.uint8


def test_no_caption_twice() -> None:
    captions = make_batch(0, 0, 200).captions
    assert len(set(captions)) == len(captions) == 200


def test_no_heldout_pair_is_ever_shown_together() -> None:
    """Looked at from outside: by the object names in the captions. An edit's words may name what is taken away."""
    longest_first = sorted(object_names(), key=len, reverse=True)
    for step in range(6):
        for caption in make_batch(0, step, 128).captions:
            names, rest = [], caption.lower()
            for name in longest_first:
                if name in rest:
                    names.append(name)
                    rest = rest.replace(name, " ")
            edited = caption.startswith(("swap", "replace", "remove", "take")) or "instead" in caption
            if not edited:
                assert not any(heldout_combination(*pair) for pair in combinations(names, 2)), caption


def test_batches_come_in_order_from_the_background() -> None:
    with batches(3, 2, 4, 8) as stream:
        got = [batch.captions for batch in stream]
    assert got == [make_batch(3, 2, 8).captions, make_batch(3, 3, 8).captions]


def test_no_pages_no_pictures() -> None:
    assert render_pages([], Random(0)) == []
