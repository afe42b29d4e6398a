"""Training batches for toybox-clip, drawn on the fly in one background process.

A batch is a function of (seed, step) alone, so that training can stop and go on anywhere.
"""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from queue import Full
from random import Random

import numpy as np
import numpy.typing as npt
import pypdfium2
from PIL import Image

from mmrank.toybox.captions import caption, listed
from mmrank.toybox.clips import clip_captions, clip_scene, sample_clip
from mmrank.toybox.drawing import draw
from mmrank.toybox.edits import Change, near_miss, sample_edit
from mmrank.toybox.grammar import Scene, sample_scene
from mmrank.toybox.notes import note_about, note_captions
from mmrank.toybox.pages import Page, page_captions, page_question, pdf_bytes, sample_page

IMAGE_SIDE = 64
"""Side of the pictures the model sees, in pixels."""

PAGE_SHARE = 0.15
FRAME_SHARE = 0.08
NEAR_MISS_SHARE = 0.2
"""How many of the scenes differ in one thing from the scene before them: hard negatives inside the batch."""

NEAR_MISS_CHANGES: tuple[Change, ...] = ("swap", "ground", "remove", "add")
"""The things near misses differ in: never the order alone, which is left to a judge, as with any CLIP."""

EDIT_SHARE = 0.06
"""How many scenes go by the words that would lead to them from another one: "add a car on the left"."""

LOOSE_SHARE = 0.08
"""How many scenes are told without their ground or relation, as people do when they search."""

NOTE_SHARE = 0.08
"""How many scenes are told in the words of a note, so that notes lie near the pictures they tell of."""

DRAWN_SIDES = (64, 96, 128, 160)
"""Scenes are drawn at one of these sides and reduced, so that the model knows pictures of any origin."""

PAGE_WIDTHS = (72, 128, 210)
"""Widths in pixels at which pages are rendered before they are squashed."""

QUEUE_LENGTH = 6
PARENT_CHECK_SECONDS = 20.0
"""A full queue is waited for this long before the worker looks whether the trainer still lives."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures (batch, side, side, 3) as bytes, and one caption each; no caption occurs twice."""

    pictures: npt.NDArray[np.uint8]
    captions: tuple[str, ...]


def shrink(picture: Image.Image) -> Image.Image:
    """A picture as the model will see it: squashed to its side with bicubic interpolation."""
    if picture.size == (IMAGE_SIDE, IMAGE_SIDE):
        return picture
    return picture.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC)


def render_pages(pages: list[Page], rng: Random) -> list[Image.Image]:
    """Real pages through a real PDF: drawn, opened and rendered, then squashed to the model's side."""
    if not pages:
        return []
    document = pypdfium2.PdfDocument(pdf_bytes(pages, "training", figure_pixels=112))
    try:
        pictures = []
        for index in range(len(pages)):
            page = document[index]
            bitmap = page.render(scale=rng.choice(PAGE_WIDTHS) / page.get_width())
            pictures.append(shrink(bitmap.to_pil().convert("RGB")))
        return pictures
    finally:
        document.close()


def scene_words(scene: Scene, rng: Random) -> str:
    """One training caption of a scene: mostly exact, sometimes loose, sometimes as a note would tell it."""
    draw_lot = rng.random()
    if draw_lot < LOOSE_SHARE:
        return rng.choice((listed(scene.names), f"{listed(scene.names)} on {scene.ground}", " ".join(scene.names)))
    if draw_lot < LOOSE_SHARE + NOTE_SHARE:
        note = note_about(scene, rng)
        return rng.choice((*note.sentences[:2], *note_captions(note), " ".join(note.sentences[:2])))
    return caption(scene, rng)


def told_scene(last: Scene | None, rng: Random) -> tuple[str, Scene]:
    """A scene and words for it: now and then a near miss of the scene before, or told by an edit."""
    lot = rng.random()
    if last is not None and lot < NEAR_MISS_SHARE:
        scene = near_miss(last, rng, "train", NEAR_MISS_CHANGES).target
        return caption(scene, rng), scene
    if lot < NEAR_MISS_SHARE + EDIT_SHARE:
        made = sample_edit(rng)
        return made.text, made.target
    scene = sample_scene(rng)
    return scene_words(scene, rng), scene


def make_batch(seed: int, step: int, size: int) -> Batch:
    """The batch of one training step, from the training split only."""
    rng = Random(f"toybox-clip/{seed}/{step}")
    words: dict[str, Image.Image | Page] = {}
    last: Scene | None = None
    while len(words) < size:
        lot = rng.random()
        if lot < PAGE_SHARE:
            page = sample_page(rng)
            words.setdefault(rng.choice((*page_captions(page), page_question(page), *page.sentences)), page)
        elif lot < PAGE_SHARE + FRAME_SHARE:
            clip = sample_clip(rng)
            low, high = {"crosses": (0.3, 0.7), "enters": (0.4, 1.0), "leaves": (0.0, 0.6)}[clip.motion]
            frame = draw(clip_scene(clip, rng.uniform(low, high)), rng.choice(DRAWN_SIDES))
            words.setdefault(rng.choice(clip_captions(clip)), shrink(frame))
        else:
            text, last = told_scene(last, rng)
            words.setdefault(text, shrink(draw(last, rng.choice(DRAWN_SIDES))))
    pages = [made for made in words.values() if isinstance(made, Page)]
    rendered = iter(render_pages(pages, rng))
    pictures = [next(rendered) if isinstance(made, Page) else made for made in words.values()]
    return Batch(np.stack([np.asarray(picture) for picture in pictures]), tuple(words))


def _produce(queue: "Queue[Batch]", seed: int, first: int, last: int, size: int) -> None:
    parent = multiprocessing.parent_process()
    for step in range(first, last):
        batch = make_batch(seed, step, size)
        while True:
            try:
                queue.put(batch, timeout=PARENT_CHECK_SECONDS)
                break
            except Full:
                if parent is not None and not parent.is_alive():  # killed: nobody will ever take this batch
                    queue.cancel_join_thread()
                    return


@contextmanager
def batches(seed: int, first: int, last: int, size: int) -> Iterator[Iterator[Batch]]:
    """The batches of steps `first` to `last` (excluded), drawn ahead in a process that ends with the block."""
    context = multiprocessing.get_context("spawn")
    queue: Queue[Batch] = context.Queue(maxsize=QUEUE_LENGTH)
    worker = context.Process(target=_produce, args=(queue, seed, first, last, size), daemon=True)
    worker.start()
    try:
        yield (queue.get() for _ in range(first, last))
    finally:
        worker.terminate()
        worker.join()
