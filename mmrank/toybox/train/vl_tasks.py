"""What toybox-vl is asked in training: families of near-duplicate scenes and clips, and prompts about them."""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal, get_args

import numpy as np

from mmrank.toybox.captions import caption
from mmrank.toybox.clips import Clip, Motion, Side, clip_captions, sample_clip
from mmrank.toybox.edits import Change, Edit, edit, possible_changes
from mmrank.toybox.grammar import GROUNDS, Scene, Split, place, sample_scene, split_of
from mmrank.toybox.sprites import object_names
from mmrank.toybox.train.vl_forms import (
    Candidate,
    CellFacts,
    Facts,
    Part,
    caption_tree,
    list_tree,
    order_tree,
    pair_tree,
)
from mmrank.toybox.train.vl_pack import Tree
from mmrank.toybox.train.vl_pictures import WORDS, Picture, clip_picture, places, role_names, scene_picture

Form = Literal["pair", "list", "order"]

MOST = 10
"""Candidates in the longest list."""

CLEAR = 0.4
"""A cell is judged by what fills at least this share of it."""

NEAR_MISSES = 5
"""Near misses of its middle scene in a family."""

CHANGE_WEIGHTS: dict[Change, float] = {
    "move": 1.5,
    "turn": 1.2,
    "swap": 1.0,
    "ground": 0.8,
    "remove": 0.6,
    "add": 0.8,
}
"""How often near misses differ in what: order most, because it is learned last."""


@dataclass(slots=True)
class Album:
    """The pictures of one step, each with what it shows; prompts name them by number."""

    rng: Random
    pictures: list[Picture] = field(default_factory=list)
    scenes: list[tuple[int, Scene]] = field(default_factory=list)
    clips: list[tuple[int, Clip]] = field(default_factory=list)

    def part(self, number: int) -> Part:
        """The picture of that number as a part of a prompt."""
        return (number, *self.pictures[number].grid)

    def add(self, picture: Picture) -> int:
        """Keep a picture; returns its number."""
        self.pictures.append(picture)
        return len(self.pictures) - 1

    def add_scene(self, scene: Scene) -> int:
        """Draw a scene and keep it."""
        number = self.add(scene_picture(scene, self.rng))
        self.scenes.append((number, scene))
        return number

    def add_clip(self, clip: Clip) -> int:
        """Draw a clip's frames and keep them."""
        number = self.add(clip_picture(clip))
        self.clips.append((number, clip))
        return number


@dataclass(frozen=True, slots=True)
class Family:
    """Near-duplicates by picture number: `reference` leads to `middle` by `first`, and `middle` to each near miss."""

    reference: int
    middle: int
    first: Edit
    misses: tuple[tuple[int, Edit], ...]


def facts(asked: Scene, shown: Scene) -> Facts:
    """What of a scene fits what is asked: objects, ground, arrangement (judged only where the objects fit)."""
    objects = set(asked.names) == set(shown.names)
    arranged = (asked.relation, asked.names) == (shown.relation, shown.names)
    return int(objects), int(asked.ground == shown.ground), int(arranged) if objects else -1


def cell_facts(asked: Scene, shown: Scene, picture: Picture) -> CellFacts:
    """What of each cell of a scene's picture fits what is asked; cells that show a bit of two things are not judged."""
    wanted = dict(zip(asked.names, role_names(asked), strict=True))
    roles = dict(zip(shown.names, role_names(shown), strict=True))
    known = {name: (int(name in wanted), int(wanted[name] == roles[name]) if name in wanted else -1) for name in roles}
    known[shown.ground] = (int(asked.ground == shown.ground), -1)
    facts_of = np.array([known.get(word, (-1, -1)) for word in WORDS])
    best = picture.words.argmax(1)
    clear = picture.words.max(1) > CLEAR
    objects = np.where(best < len(object_names()), best, -1)
    return np.where(clear[:, None], np.column_stack((facts_of[best], objects)), -1)


def distance(asked: Scene, shown: Scene) -> int:
    """In how many things two scenes differ: objects, the ground, the arrangement."""
    mine, other = set(asked.names), set(shown.names)
    objects = max(len(mine - other), len(other - mine))
    arranged = objects == 0 and (asked.relation, asked.names) != (shown.relation, shown.names)
    return objects + (asked.ground != shown.ground) + arranged


def shuffled(scene: Scene, rng: Random) -> Scene:
    """Three objects in another order, or in a column instead of a row."""
    names = list(scene.names)
    while tuple(names) == scene.names:
        rng.shuffle(names)
    return place(scene.ground, tuple(names), scene.relation, rng)


def sample_family(album: Album) -> Family:
    """Draw a family of training scenes into the album."""
    rng = album.rng
    while True:
        start = sample_scene(rng, "train", rng.choices((1, 2, 3), (10, 65, 25))[0])
        first = _miss(start, rng)
        middle = first.target
        seen = {start.meaning, middle.meaning}
        misses: list[Edit] = []
        for _ in range(40):
            made = _miss(middle, rng)
            if made.target.meaning not in seen:
                seen.add(made.target.meaning)
                misses.append(made)
            if len(misses) == NEAR_MISSES:
                numbers = [album.add_scene(scene) for scene in (start, middle, *[miss.target for miss in misses])]
                if len(middle.objects) == 3:
                    album.add_scene(shuffled(middle, rng))
                return Family(numbers[0], numbers[1], first, tuple(zip(numbers[2:], misses, strict=True)))


def _miss(scene: Scene, rng: Random) -> Edit:
    """One change to a scene that leads to another of the training split."""
    possible = possible_changes(scene)
    while True:
        made = edit(scene, rng.choices(possible, [CHANGE_WEIGHTS[change] for change in possible])[0], rng)
        if split_of(made.target.ground, made.target.names) == "train":
            return made


def composed_query(family: Family, album: Album) -> tuple[list[Part], int]:
    """A reference picture with an edit, and the number of the picture it leads to."""
    rng = album.rng
    if rng.random() < 0.5:
        return [" ", album.part(family.reference), f" {family.first.text}"], family.middle
    number, made = rng.choice(family.misses)
    return [" ", album.part(family.middle), f" {made.text}"], number


def text_query(family: Family, album: Album) -> tuple[list[Part], int]:
    """A caption of one member of a family, and that member's number."""
    rng = album.rng
    number = family.middle if rng.random() < 0.5 else rng.choice([number for number, _ in family.misses])
    return [f" {caption(dict(album.scenes)[number], rng)}"], number


def scene_prompt(album: Album, query: list[Part], answer: int, near: set[int], form: Form) -> Tree:
    """One query over 2 to 10 pictures: the answer, some or all of its family, and others of the album."""
    rng, scenes = album.rng, dict(album.scenes)
    asked = scenes[answer]
    count = MOST if rng.random() < 0.5 else rng.randint(2, MOST)
    close = [number for number in near if number != answer and scenes[number].meaning != asked.meaning]
    others = [number for number in scenes if number not in near and scenes[number].meaning != asked.meaning]
    rng.shuffle(close)
    rng.shuffle(others)
    chosen = [answer, *(close[: rng.randint(1, MOST - 1)] + others)[: count - 1]]
    rng.shuffle(chosen)
    candidates = [
        Candidate(
            [album.part(number)],
            facts(asked, scenes[number]),
            cell_facts(asked, scenes[number], album.pictures[number]),
        )
        for number in chosen
    ]
    return prompt(form, query, candidates, [distance(asked, scenes[number]) for number in chosen])


def prompt(form: Form, query: list[Part], candidates: list[Candidate], distances: list[int]) -> Tree:
    """One query over candidates in one of the forms."""
    if form == "pair":
        return pair_tree(query, candidates)
    if form == "list":
        return list_tree(query, candidates)
    return order_tree(query, candidates, distances)


def caption_prompt(album: Album, number: int) -> Tree:
    """Two captions of a scene, and its objects with their places."""
    scene = dict(album.scenes)[number]
    return caption_tree(album.part(number), [caption(scene, album.rng) for _ in range(2)], places(scene))


def sample_clips(album: Album) -> list[int]:
    """A training clip and near misses of it, by picture number."""
    return [album.add_clip(clip) for clip in clip_near_misses(sample_clip(album.rng), album.rng, "train", 5)]


def clip_near_misses(base: Clip, rng: Random, split: Split | None, count: int) -> list[Clip]:
    """A clip and others that differ from it in motion, side, object or ground, of a split where one is given."""
    clips = {_told(base): base}
    while len(clips) < count:
        made = _other_clip(base, rng)
        if split is None or split_of(made.ground, made.names) == split:
            clips.setdefault(_told(made), made)
    return list(clips.values())


def _told(clip: Clip) -> tuple[object, ...]:
    return clip.ground, clip.mover, clip.other, clip.motion, clip.side


def _other_clip(clip: Clip, rng: Random) -> Clip:
    kind = rng.choice(("motion", "side", "side", "mover", "other", "roles", "ground"))
    new = rng.choice([name for name in object_names() if name not in clip.names])
    motions: list[Motion] = [motion for motion in get_args(Motion) if motion != clip.motion]
    sides: list[Side] = [side for side in get_args(Side) if side != clip.side]
    if kind == "motion":
        return replace(clip, motion=rng.choice(motions))
    if kind == "side":
        return replace(clip, side=rng.choice(sides))
    if kind == "ground":
        return replace(clip, ground=rng.choice([ground for ground in GROUNDS if ground != clip.ground]))
    if kind == "roles" and clip.other is not None:
        return replace(clip, mover=clip.other, other=clip.mover)
    if kind == "other" and clip.other is not None:
        return replace(clip, other=new)
    return replace(clip, mover=new)


def clip_prompt(album: Album, near: list[int], form: Form, most: int = 6) -> Tree:
    """One sentence over 2 to `most` clips."""
    rng, clips = album.rng, dict(album.clips)
    answer = rng.choice(near)
    asked = clips[answer]
    count = rng.randint(2, most)
    close = [number for number in near if number != answer]
    others = [number for number in clips if number not in near and _told(clips[number]) != _told(asked)]
    rng.shuffle(close)
    rng.shuffle(others)
    chosen = [answer, *(close + others)[: count - 1]]
    rng.shuffle(chosen)
    query: list[Part] = [f" {rng.choice(clip_captions(asked))}"]
    known = [clip_facts(asked, clips[number]) for number in chosen]
    candidates = [Candidate([album.part(number)], fits) for number, fits in zip(chosen, known, strict=True)]
    return prompt(form, query, candidates, [3 - sum(max(0, fact) for fact in fits) for fits in known])


def clip_facts(asked: Clip, shown: Clip) -> Facts:
    """What of a clip fits what is asked: objects, ground, movement (judged only where the objects fit)."""
    objects = set(asked.names) == set(shown.names)
    moved = (asked.mover, asked.motion, asked.side) == (shown.mover, shown.motion, shown.side)
    return int(objects), int(asked.ground == shown.ground), int(moved) if objects else -1
