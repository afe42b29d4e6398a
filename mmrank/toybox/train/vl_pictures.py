"""Pictures for toybox-vl with the truth about every cell of them: what lies there, where it stands, on which ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmrank.media.sheet import numbered_sheet, s_grid
from mmrank.toybox.clips import Clip, clip_frame, clip_scene
from mmrank.toybox.drawing import draw
from mmrank.toybox.grammar import GROUNDS, Scene
from mmrank.toybox.sprites import object_names

IMAGE_SIDE = 64
"""Side in pixels of the square pictures the model is at home with: 16 visual tokens each."""

PATCH = 8
MERGE = 2

CELL = PATCH * MERGE
"""Side in pixels of what one visual token covers."""

WORDS = (*object_names(), *GROUNDS)
"""What a cell can show: an object or bare ground."""

ROLES = ("ground", "alone", "left", "right", "top", "bottom", "middle")
"""Where a cell's object stands among the objects of its scene."""

FILLED = 0.75
"""How much of its square an emoji covers, about."""

NEVER = -100
"""A cell with this label is not learned from."""

DRAWN_SIDES = (64, 96, 128, 160)
"""Scenes are drawn at one of these sides and reduced, so that the model knows pictures of any origin."""

FRAMES_SIDE = 128
"""Side of the sheet of a clip's 2 x 2 frames."""


Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture (height, width, 3), sides multiples of a cell, and labels for its cells, row by row.

    `words` (cells, words) are shares that sum to one (or to nothing: not to be learned), `roles` and `grounds`
    (cells,) are numbers or `NEVER`.
    """

    pixels: npt.NDArray[np.uint8]
    words: npt.NDArray[np.float32]
    roles: npt.NDArray[np.int64]
    grounds: npt.NDArray[np.int64]

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width in visual tokens."""
        return self.pixels.shape[0] // CELL, self.pixels.shape[1] // CELL


def role_names(scene: Scene) -> tuple[str, ...]:
    """Where each object stands, in the scene's order."""
    if scene.relation == "alone":
        return ("alone",)
    ends = ("left", "right") if scene.relation == "left of" else ("top", "bottom")
    return (ends[0], *["middle"] * (len(scene.objects) - 2), ends[1])


def places(scene: Scene) -> str:
    """Every object with its place, then the ground: the answer to `Objects:`."""
    told = [f"{name} {role}" for name, role in zip(scene.names, role_names(scene), strict=True)]
    return ", ".join((*told, scene.ground))


def cover(scene: Scene, cells: int) -> npt.NDArray[np.float32]:
    """How much of each of `cells` x `cells` parts of the picture each object covers: (cells, cells, objects)."""
    edges = np.arange(cells + 1) / cells
    shares = np.zeros((cells, cells, len(scene.objects)), np.float32)
    for index, placed in enumerate(scene.objects):
        spans = []
        for middle in (placed.y, placed.x):
            low, high = middle - placed.size / 2, middle + placed.size / 2
            spans.append(np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) * cells)
        shares[:, :, index] = np.outer(*spans)
    return shares


Labels = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def labels(scene: Scene, cells: int, *, roles: bool) -> Labels:
    """Words, roles and grounds of a scene's cells, as square arrays."""
    shares = cover(scene, cells) * FILLED
    words = np.zeros((cells, cells, len(WORDS)), np.float32)
    for index, name in enumerate(scene.names):
        words[:, :, WORDS.index(name)] = shares[:, :, index]
    total = shares.sum(-1)
    words /= np.maximum(1.0, total)[:, :, None]
    words[:, :, WORDS.index(scene.ground)] = np.clip(1 - total, 0, None)
    numbers = np.full((cells, cells), NEVER, np.int64)
    if roles:
        names = [ROLES.index(role) for role in role_names(scene)]
        strongest = shares.argmax(-1)
        numbers = np.where(total > 0.25, np.array(names)[strongest], np.where(total < 0.08, 0, NEVER))
    ground = np.full((cells, cells), list(GROUNDS).index(scene.ground), np.int64)
    return words, numbers, ground


def scene_picture(scene: Scene, rng: Random, side: int = IMAGE_SIDE) -> Picture:
    """A scene drawn at some side and brought to the model's."""
    drawn = draw(scene, rng.choice(DRAWN_SIDES))
    if drawn.size != (side, side):
        drawn = drawn.resize((side, side), Image.Resampling.BICUBIC)
    words, roles, grounds = labels(scene, side // CELL, roles=True)
    return Picture(np.asarray(drawn), words.reshape(-1, len(WORDS)), roles.reshape(-1), grounds.reshape(-1))


def clip_picture(clip: Clip) -> Picture:
    """A clip as four frames on one sheet."""
    moments = np.linspace(0, clip.frames - 1, 4).astype(int)
    drawn = s_grid([clip_frame(clip, int(index)) for index in moments], s=2, size=FRAMES_SIDE)
    cells = FRAMES_SIDE // 2 // CELL
    known = [labels(clip_scene(clip, index / max(1, clip.frames - 1)), cells, roles=False) for index in moments]
    words = _two_by_two([told[0] for told in known]).reshape(-1, len(WORDS))
    roles = _two_by_two([told[1] for told in known]).reshape(-1)
    grounds = _two_by_two([told[2] for told in known]).reshape(-1)
    return Picture(np.asarray(drawn), words, roles, grounds)


def _two_by_two(parts: Sequence[npt.NDArray[Number]]) -> npt.NDArray[Number]:
    return np.concatenate([np.concatenate(parts[:2], axis=1), np.concatenate(parts[2:], axis=1)])


def sheet_picture(scenes: Sequence[Scene], columns: int = 3) -> Picture:
    """Scenes in numbered cells on one sheet, as many in a row as there are columns."""
    drawn = numbered_sheet([draw(scene, IMAGE_SIDE) for scene in scenes], columns=columns, cell=IMAGE_SIDE)
    cells = IMAGE_SIDE // CELL
    words = np.zeros((drawn.height // CELL, drawn.width // CELL, len(WORDS)), np.float32)
    roles, grounds = (np.full(words.shape[:2], NEVER, np.int64) for _ in range(2))
    for index, scene in enumerate(scenes):
        down, across = (cells * each for each in divmod(index, columns))
        here = slice(down, down + cells), slice(across, across + cells)
        words[here], roles[here], grounds[here] = labels(scene, cells, roles=True)
    return Picture(np.asarray(drawn), words.reshape(-1, len(WORDS)), roles.reshape(-1), grounds.reshape(-1))


def plain_picture(image: Image.Image) -> Picture:
    """A picture whose cells are not to be learned from, cut to whole cells."""
    width, height = (max(CELL, round(side / CELL) * CELL) for side in image.size)
    drawn = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    cells = (width // CELL) * (height // CELL)
    never = np.full(cells, NEVER, np.int64)
    return Picture(np.asarray(drawn), np.zeros((cells, len(WORDS)), np.float32), never, never)


def patches(pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Pictures of one size (n, height, width, 3) as rows of patches, in the processor's order: (n * patches, 192).

    Neighbouring patches that one visual token covers stand together; values are still bytes, one moment only.
    """
    stacked = np.stack(pictures)
    number, height, width, _ = stacked.shape
    cut = stacked.reshape(number, height // CELL, MERGE, PATCH, width // CELL, MERGE, PATCH, 3)
    return cut.transpose(0, 1, 4, 2, 5, 7, 3, 6).reshape(-1, 3 * PATCH * PATCH)
