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

from mmrank.toybox.grammar import sample_scene
from mmrank.toybox.train.vl_documents import note_prompt, page_prompt, sheet_prompt
from mmrank.toybox.train.vl_forms import CELL_FACTS, FACTS, padding
from mmrank.toybox.train.vl_pack import Packed, Tree, pack, tree_length
from mmrank.toybox.train.vl_pictures import patches
from mmrank.toybox.train.vl_tasks import (
    Album,
    Form,
    caption_prompt,
    clip_prompt,
    composed_query,
    sample_clips,
    sample_family,
    scene_prompt,
    text_query,
)

QUEUE_LENGTH = 6
PARENT_CHECK_SECONDS = 20.0
"""A full queue is waited for this long before the worker looks whether the trainer still lives."""

ROW = 288
"""Tokens of a row: one list of ten pictures, or several shorter prompts."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What one step is made of.

    Attributes:
        tokens: about how many tokens of prompts a step has; none: pictures alone, for the labels of their cells.
        pictures: how many pictures a step without prompts has.
        captions, text, composed, order: shares of the prompts about scenes, by kind.
        clips, documents, sheets: share of clips, of pages and notes, and of numbered sheets among all, scenes being
            the sum of their kinds.
        listed: share of text and composed prompts that are lists; the others are pairs.
    """

    tokens: int = 3600
    pictures: int = 0
    captions: float = 1.0
    text: float = 1.0
    composed: float = 0.5
    order: float = 0.0
    clips: float = 0.0
    documents: float = 0.0
    sheets: float = 0.0
    listed: float = 0.5


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
    """Families (or clips) and prompts about them, until the step is full."""
    rng = album.rng
    makers = (_family_prompts, _clip_prompts, _document_prompts, _sheet_prompts)
    shares = (mix.captions + mix.text + mix.composed + mix.order, mix.clips, mix.documents, mix.sheets)
    tokens = 0
    sample_family(album)  # others to choose from, for the first family's lists
    while tokens < mix.tokens:
        made = rng.choices(makers, shares)[0](album, mix)
        trees += made
        tokens += sum(map(tree_length, made))


def _family_prompts(album: Album, mix: Mix) -> list[Tree]:
    """Four prompts about one new family."""
    rng = album.rng
    before = len(album.pictures)
    family = sample_family(album)
    near = set(range(before, len(album.pictures)))
    made: list[Tree] = []
    for kind in rng.choices(
        ("caption", "text", "composed", "order"), (mix.captions, mix.text, mix.composed, mix.order), k=4
    ):
        if kind == "caption":
            made += [caption_prompt(album, number) for number in rng.sample(sorted(near), 2)]
            continue
        asked = composed_query if kind == "composed" or (kind == "order" and rng.random() < 0.3) else text_query
        query, answer = asked(family, album)
        form: Form = "order" if kind == "order" else "list" if rng.random() < mix.listed else "pair"
        made.append(scene_prompt(album, query, answer, near, form))
    return made


def _clip_prompts(album: Album, mix: Mix) -> list[Tree]:
    near = sample_clips(album)
    forms: list[Form] = ["list" if album.rng.random() < mix.listed else "pair" for _ in range(2)]
    return [clip_prompt(album, near, form) for form in forms]


def _document_prompts(album: Album, mix: Mix) -> list[Tree]:
    """Two prompts about notes or pages; their scenes are near-duplicates, their pictures (but for pages) not needed."""
    rng = album.rng
    near = [scene for _, scene in rng.sample(album.scenes, min(6, len(album.scenes)))]
    form: Form = "list" if rng.random() < mix.listed else "pair"
    make = note_prompt if rng.random() < 0.5 else page_prompt
    return [make(album, near, form) for _ in range(2)]


def _sheet_prompts(album: Album, mix: Mix) -> list[Tree]:
    """One sheet of near-duplicates and others."""
    before = len(album.scenes)
    sample_family(album)
    others = [scene for _, scene in album.scenes[:before]]
    return [sheet_prompt(album, [scene for _, scene in album.scenes[before:]], others)]


def collect(album: Album, trees: list[Tree]) -> Batch:
    """The pictures of an album and prompts about them as one batch."""
    sizes = sorted({picture.pixels.shape[:2] for picture in album.pictures})
    groups: list[PictureGroup] = []
    for height, width in sizes:
        numbers = tuple(n for n, picture in enumerate(album.pictures) if picture.pixels.shape[:2] == (height, width))
        cut = patches([album.pictures[number].pixels for number in numbers])
        groups.append(PictureGroup(cut, height // 8, width // 8, numbers))
    order = [album.pictures[number] for group in groups for number in group.numbers]
    return Batch(
        tuple(groups),
        np.concatenate([picture.words for picture in order]).astype(np.float16),
        np.concatenate([picture.roles for picture in order]),
        np.concatenate([picture.grounds for picture in order]),
        pack(trees, ROW, padding(), FACTS, CELL_FACTS + 1) if trees else None,
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
