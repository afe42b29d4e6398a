"""What toybox-vl is asked in training: near-duplicate scenes and clips, and questions with candidates among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from random import Random
from typing import get_args

from mmrank.toybox.captions import caption
from mmrank.toybox.clips import Clip, Motion, Side, clip_captions, sample_clip
from mmrank.toybox.edits import Change, Edit, edit, possible_changes
from mmrank.toybox.grammar import GROUNDS, Relation, Scene, Split, place, sample_scene, split_of
from mmrank.toybox.sprites import object_names
from mmrank.toybox.train.vl_forms import Candidate, Part
from mmrank.toybox.train.vl_marks import clip_facts, clip_words, distance, scene_cells, scene_facts, scene_words
from mmrank.toybox.train.vl_pictures import Picture, clip_picture, scene_picture

MOST = 10
"""Candidates in the longest list."""

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


@dataclass(frozen=True, slots=True)
class Question:
    """A query, the scene it asks for, that scene's picture, and the number of its reference picture, if it has one."""

    query: list[Part]
    asked: Scene
    answer: int
    reference: int | None = None


def text_question(family: Family, album: Album) -> Question:
    """A caption of one member of a family."""
    rng = album.rng
    number = family.middle if rng.random() < 0.5 else rng.choice([number for number, _ in family.misses])
    scene = dict(album.scenes)[number]
    return Question([f" {caption(scene, rng)}"], scene, number)


def composed_question(family: Family, album: Album) -> Question:
    """A reference picture with an edit that leads to another member."""
    rng = album.rng
    if rng.random() < 0.3:
        number, made, reference = family.middle, family.first, family.reference
    else:
        (number, made), reference = rng.choice(family.misses), family.middle
    return Question([" ", album.part(reference), f" {made.text}"], dict(album.scenes)[number], number, reference)


def rearranged(scene: Scene, rng: Random, count: int) -> list[Scene]:
    """At most `count` other ways in which the same objects can stand on the same ground."""
    relations: tuple[Relation, ...] = ("left of", "above")
    ways = [(names, relation) for relation in relations for names in permutations(scene.names)]
    ways = [way for way in ways if way != (scene.names, scene.relation)] if len(scene.names) > 1 else []
    return [place(scene.ground, names, way, rng) for names, way in rng.sample(ways, min(count, len(ways)))]


def scene_candidates(album: Album, asked: Question, near: Sequence[int], count: int, turned: int) -> list[Candidate]:
    """The answer, at most `turned` rearrangements of it, the reference, others of its family and of the album."""
    rng, scenes = album.rng, dict(album.scenes)
    numbers = [album.add_scene(scene) for scene in rearranged(asked.asked, rng, min(turned, count - 1))]
    known = {dict(album.scenes)[number].meaning for number in numbers} | {asked.asked.meaning}
    close = [number for number in near if scenes[number].meaning not in known]
    others = [number for number in scenes if number not in near and scenes[number].meaning not in known]
    rng.shuffle(close)
    rng.shuffle(others)
    if asked.reference in close:
        close.sort(key=lambda number: number != asked.reference)
    chosen = [asked.answer, *(numbers + close[: rng.randint(2, MOST)] + others)[: count - 1]]
    rng.shuffle(chosen)
    return [scene_candidate(album, asked, number) for number in chosen]


def scene_candidate(album: Album, asked: Question, number: int) -> Candidate:
    """A picture of the album as a candidate for a question."""
    shown = dict(album.scenes)[number]
    cells = None
    if asked.reference is not None:
        cells = scene_cells(album.pictures[asked.reference], asked.asked, shown)
    return Candidate(
        [album.part(number)],
        scene_facts(asked.asked, shown),
        scene_words(asked.asked, shown),
        cells,
        distance(asked.asked, shown),
    )


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


def clip_question(album: Album, near: Sequence[int], count: int) -> tuple[list[Part], list[Candidate]]:
    """One sentence, and at most `count` clips, one of which it tells of."""
    rng, clips = album.rng, dict(album.clips)
    answer = rng.choice(near)
    asked = clips[answer]
    chosen = [answer, *rng.sample([number for number in near if number != answer], min(count, len(near)) - 1)]
    rng.shuffle(chosen)
    query: list[Part] = [f" {rng.choice(clip_captions(asked))}"]
    return query, [clip_candidate(album, asked, number) for number in chosen]


def clip_candidate(album: Album, asked: Clip, number: int) -> Candidate:
    """A clip of the album as a candidate."""
    shown = dict(album.clips)[number]
    facts = clip_facts(asked, shown)
    return Candidate([album.part(number)], facts, clip_words(asked, shown), distance=sum(fact < 1 for fact in facts))
