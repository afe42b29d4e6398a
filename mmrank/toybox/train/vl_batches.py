"""Training batches for toybox-vl, drawn ahead in one background process.

A batch is a function of (seed, step, mix) alone, so that training can stop and go on anywhere.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from queue import Full
from random import Random

import numpy as np
import numpy.typing as npt

from mmrank.toybox.captions import caption
from mmrank.toybox.clips import clip_captions
from mmrank.toybox.grammar import sample_scene
from mmrank.toybox.train.vl_documents import note_question, page_question_about
from mmrank.toybox.train.vl_forms import (
    Candidate,
    Part,
    caption_tree,
    list_tree,
    order_tree,
    padding,
    pair_tree,
    sheet_tree,
)
from mmrank.toybox.train.vl_marks import FACTS, MARKS, distance
from mmrank.toybox.train.vl_pack import Packed, Tree, pack, tree_length
from mmrank.toybox.train.vl_pictures import WORDS, patches, places, sheet_picture
from mmrank.toybox.train.vl_tasks import (
    MOST,
    Album,
    clip_question,
    composed_question,
    sample_clips,
    sample_family,
    scene_candidates,
    text_question,
)

QUEUE_LENGTH = 6
PARENT_CHECK_SECONDS = 20.0
"""A full queue is waited for this long before the worker looks whether the trainer still lives."""

ROW = 240
"""Tokens of a row: one or two trees of pairs. Rows of lists are as long as the longest list."""

BRANCHES = 3
"""Candidates in a tree of pairs: more would read the query less often, but cost more attention."""

MOST_CELLS = 9
"""Cells of the fullest sheet."""

ENDING = 0.5
"""This share of pairs comes to the answer's turn; the others end where the answer is known."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What one step is made of.

    Attributes:
        tokens: about how many tokens of prompts a step has; none: pictures alone, for the labels of their cells.
        pictures: how many pictures a step without prompts has.
        text, composed, captions, clips, documents: shares of the sorts of prompts.
        listed, ordered: shares of steps whose questions are lists, and orders; those of the others are pairs.
        sheets: share of questions about scenes in steps of orders that show their candidates on a numbered sheet.
        turned: the most rearrangements of what is asked for among the candidates.
    """

    tokens: int = 3000
    pictures: int = 0
    text: float = 1.0
    composed: float = 0.5
    captions: float = 0.2
    clips: float = 0.0
    documents: float = 0.0
    listed: float = 0.0
    ordered: float = 0.0
    sheets: float = 0.0
    turned: int = 3


@dataclass(frozen=True, slots=True)
class PictureGroup:
    """Pictures of one size: `patches` (n * height * width, 192) bytes, and the grid in patches."""

    patches: npt.NDArray[np.uint8]
    height: int
    width: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures by size, the labels of their cells in the same order, and packed prompts (none in picture steps)."""

    groups: tuple[PictureGroup, ...]
    words: npt.NDArray[np.float16]
    roles: npt.NDArray[np.int64]
    grounds: npt.NDArray[np.int64]
    packed: Packed | None


def make_batch(seed: int, step: int, mix: Mix) -> Batch:
    """The batch of one training step, from the training split only."""
    album = Album(Random(f"toybox-vl/{seed}/{step}"))
    trees: list[Tree] = []
    if mix.tokens:
        fill(album, trees, mix)
    else:
        for _ in range(mix.pictures // 8):
            sample_family(album)
        if album.rng.random() < mix.clips:
            sample_clips(album)
        while len(album.pictures) < mix.pictures:
            album.add_scene(sample_scene(album.rng))
    return collect(album, trees)


def fill(album: Album, trees: list[Tree], mix: Mix) -> None:
    """Questions of one form about families, clips and documents, and captions, until the step is full."""
    rng = album.rng
    form = rng.choices(("list", "order", "pair"), (mix.listed, mix.ordered, 1 - mix.listed - mix.ordered))[0]
    sorts = ("text", "composed", "captions", "clips", "documents")
    shares = [getattr(mix, sort) for sort in sorts]
    tokens = 0
    while tokens < mix.tokens:
        sort = rng.choices(sorts, shares)[0]
        if sort == "captions":
            made = _captions(album, mix)
        elif form == "order" and sort in ("text", "composed") and rng.random() < mix.sheets:
            made = [_sheet(album, sort)]
        else:
            made = [_tree(album, *each) for each in _questions(album, sort, form, mix)]
        trees += made
        tokens += sum(map(tree_length, made))


def _sheet(album: Album, sort: str) -> Tree:
    """A question about a new family, and its members and others on one sheet."""
    rng = album.rng
    before = len(album.scenes)
    family = sample_family(album)
    asked = (text_question if sort == "text" else composed_question)(family, album)
    near = [scene for _, scene in album.scenes[before:] if scene.meaning != asked.asked.meaning]
    others = [sample_scene(rng) for _ in range(MOST)]
    scenes = [asked.asked, *(rng.sample(near, rng.randint(1, len(near))) + others)[: rng.randint(3, MOST_CELLS - 1)]]
    rng.shuffle(scenes)
    sheet = album.part(album.add(sheet_picture(scenes)))
    return sheet_tree(asked.query, sheet, [distance(asked.asked, scene) for scene in scenes])


def _questions(album: Album, sort: str, form: str, mix: Mix) -> list[tuple[str, list[Part], list[Candidate]]]:
    """Some questions of one sort about a new family, new clips or new documents."""
    rng = album.rng
    if sort == "clips":
        near = sample_clips(album)
        return [(form, *clip_question(album, near, BRANCHES if form == "pair" else 6)) for _ in range(2)]
    if sort == "documents":
        sample_family(unseen := Album(rng))
        return [(form, *rng.choice((note_question, page_question_about))(album, [scene for _, scene in unseen.scenes]))]
    before = len(album.pictures)
    family = sample_family(album)
    near = list(range(before, len(album.pictures)))
    made = []
    for _ in range(1 if form != "pair" else 3):
        asked = (text_question if sort == "text" else composed_question)(family, album)
        count = 2 * BRANCHES if form == "pair" else MOST if rng.random() < 0.3 else rng.randint(2, MOST)
        candidates = scene_candidates(album, asked, near, count, mix.turned)
        made += [(form, asked.query, some) for some in _shares(candidates, BRANCHES if form == "pair" else MOST)]
    return made


def _shares(candidates: list[Candidate], most: int) -> list[list[Candidate]]:
    return [candidates[start : start + most] for start in range(0, len(candidates), most)]


def _tree(album: Album, form: str, query: list[Part], candidates: list[Candidate]) -> Tree:
    if form == "list":
        return list_tree(query, candidates)
    if form == "order":
        return order_tree(query, candidates)
    return pair_tree(query, candidates, [album.rng.random() < ENDING for _ in candidates])


def _captions(album: Album, mix: Mix) -> list[Tree]:
    """Captions of a new family, or of new clips where clips are asked about."""
    rng = album.rng
    if rng.random() < mix.clips / (mix.clips + mix.text + mix.composed):
        near = sample_clips(album)
        clips = dict(album.clips)
        return [caption_tree(album.part(number), rng.sample(clip_captions(clips[number]), 1)) for number in near]
    before = len(album.pictures)
    sample_family(album)
    return [
        caption_tree(album.part(number), [caption(scene, rng)], places(scene))
        for number, scene in album.scenes
        if number >= before and rng.random() < 0.5
    ]


def collect(album: Album, trees: list[Tree]) -> Batch:
    """The pictures of an album and prompts about them as one batch."""
    sizes = sorted({picture.pixels.shape[:2] for picture in album.pictures})
    groups: list[PictureGroup] = []
    for height, width in sizes:
        numbers = tuple(n for n, picture in enumerate(album.pictures) if picture.pixels.shape[:2] == (height, width))
        cut = patches([album.pictures[number].pixels for number in numbers])
        groups.append(PictureGroup(cut, height // 8, width // 8, numbers))
    order = [album.pictures[number] for group in groups for number in group.numbers]
    none = np.zeros(0, np.int64)  # questions about notes have no pictures
    return Batch(
        tuple(groups),
        np.concatenate([np.zeros((0, len(WORDS))), *(picture.words for picture in order)]).astype(np.float16),
        np.concatenate([none, *(picture.roles for picture in order)]),
        np.concatenate([none, *(picture.grounds for picture in order)]),
        pack(trees, ROW, padding(), FACTS + 1, MARKS) if trees else None,
    )


def _produce(queue: "Queue[Batch]", seed: int, first: int, last: int, mix_at: Callable[[int], Mix]) -> None:
    parent = multiprocessing.parent_process()
    for step in range(first, last):
        batch = make_batch(seed, step, mix_at(step))
        while True:
            try:
                queue.put(batch, timeout=PARENT_CHECK_SECONDS)
                break
            except Full:
                if parent is not None and not parent.is_alive():  # killed: nobody will ever take this batch
                    queue.cancel_join_thread()
                    return


@contextmanager
def batches(seed: int, first: int, last: int, mix_at: Callable[[int], Mix]) -> Iterator[Iterator[Batch]]:
    """The batches of steps `first` to `last` (excluded), drawn ahead in a process that ends with the block."""
    context = multiprocessing.get_context("spawn")
    queue: Queue[Batch] = context.Queue(maxsize=QUEUE_LENGTH)
    worker = context.Process(target=_produce, args=(queue, seed, first, last, mix_at), daemon=True)
    worker.start()
    try:
        yield (queue.get() for _ in range(first, last))
    finally:
        worker.terminate()
        worker.join()
