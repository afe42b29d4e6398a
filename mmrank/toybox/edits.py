"""Composed queries: a reference scene, words that change one thing, a target scene; subsets of near-duplicates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, get_args

from mmrank.toybox.captions import with_article
from mmrank.toybox.grammar import GROUNDS, MAX_OBJECTS, Relation, Scene, Split, place, sample_scene, split_of
from mmrank.toybox.sprites import object_names

Change = Literal["swap", "ground", "move", "turn", "remove", "add"]
"""What an edit changes: one object, the ground, the order of two, row against column, one object less, one more."""

SUBSET_SIZE = 6
"""Members of a CIRR image set: reference, target and near misses."""

PHRASES: dict[Change, tuple[str, ...]] = {
    "swap": ("swap the {old} for {new}", "replace the {old} with {new}", "{new} instead of the {old}"),
    "ground": (
        "make the ground {ground}",
        "same picture on a {ground} background",
        "change the background to {ground}",
    ),
    "move": ("move the {first} {place} the {second}", "same two, but the {first} {place} the {second}"),
    "turn": ("put the {first} {place} the {second}", "same objects, but the {first} {place} the {second}"),
    "remove": ("remove the {old}", "without the {old}", "take the {old} away"),
    "add": ("add {new} {side}", "put {new} {side} as well"),
}


@dataclass(frozen=True, slots=True)
class Edit:
    """A composed query: from `reference`, `text` leads to `target`. They differ in one thing."""

    reference: Scene
    text: str
    target: Scene
    change: Change


@dataclass(frozen=True, slots=True)
class Subset:
    """Six near-duplicates, as in CIRR: an edit's reference and target among four near misses of the target.

    Every member but the target differs from the target in one thing; no two members mean the same.

    Attributes:
        edits: five composed queries with reference and target among the members. The first leads to the target,
            the others from it to each near miss.
        members: the six scenes, in random order.
    """

    edits: tuple[Edit, ...]
    members: tuple[Scene, ...]

    @property
    def target(self) -> Scene:
        """The member that all others are near to."""
        return self.edits[0].target


def possible_changes(scene: Scene) -> tuple[Change, ...]:
    """The changes that can be made to a scene."""
    count = len(scene.objects)
    changes: list[Change] = ["swap", "ground"]
    if count == 2:
        changes += ["move", "turn"]
    if count > 1:
        changes.append("remove")
    if count < MAX_OBJECTS:
        changes.append("add")
    return tuple(changes)


def edit(reference: Scene, change: Change, rng: Random) -> Edit:
    """Make one change to a scene and say it in words.

    Example:
        >>> from mmrank.toybox.grammar import sample_scene
        >>> made = edit(sample_scene(Random(3), count=2), "ground", Random(3))
        >>> made.reference.names == made.target.names, made.reference.ground == made.target.ground
        (True, False)
    """
    makers: dict[Change, Callable[[Scene, Random], tuple[Scene, dict[str, str]]]] = {
        "swap": _swap,
        "ground": _change_ground,
        "move": _move,
        "turn": _turn,
        "remove": _remove,
        "add": _add,
    }
    target, slots = makers[change](reference, rng)
    return Edit(reference, rng.choice(PHRASES[change]).format(**slots), target, change)


def sample_edit(rng: Random, split: Split = "train") -> Edit:
    """Draw one edit. Training edits hold no held-out combination; held-out ones have a held-out target."""
    while True:
        reference = sample_scene(rng, "train" if split == "train" else rng.choice(("train", "heldout")))
        made = edit(reference, rng.choice(possible_changes(reference)), rng)
        if split_of(made.target.ground, made.target.names) == split:
            return made


def near_miss(
    scene: Scene, rng: Random, split: Split | None = None, changes: Sequence[Change] = get_args(Change)
) -> Edit:
    """An edit that leads from `scene` to one that differs in one thing; of the given split, where one is given."""
    allowed = [change for change in possible_changes(scene) if change in changes]
    while True:
        made = edit(scene, rng.choice(allowed), rng)
        if split is None or split_of(made.target.ground, made.target.names) == split:
            return made


def sample_subset(rng: Random, split: Split = "train") -> Subset:
    """Draw an edit and four near misses of its target. Training subsets are wholly of the training split."""
    first = sample_edit(rng, split)
    edits = [first]
    members = {first.reference.meaning: first.reference, first.target.meaning: first.target}
    while len(members) < SUBSET_SIZE:
        other = near_miss(first.target, rng, "train" if split == "train" else None)
        if other.target.meaning not in members:
            members[other.target.meaning] = other.target
            edits.append(other)
    scenes = list(members.values())
    rng.shuffle(scenes)
    return Subset(tuple(edits), tuple(scenes))


def _new_name(scene: Scene, rng: Random) -> str:
    return rng.choice([name for name in object_names() if name not in scene.names])


def _swap(scene: Scene, rng: Random) -> tuple[Scene, dict[str, str]]:
    index, new = rng.randrange(len(scene.objects)), _new_name(scene, rng)
    objects = list(scene.objects)
    objects[index] = replace(objects[index], name=new)
    return replace(scene, objects=tuple(objects)), {"old": scene.names[index], "new": with_article(new)}


def _change_ground(scene: Scene, rng: Random) -> tuple[Scene, dict[str, str]]:
    ground = rng.choice([ground for ground in GROUNDS if ground != scene.ground])
    return replace(scene, ground=ground), {"ground": ground}


def _move(scene: Scene, rng: Random) -> tuple[Scene, dict[str, str]]:
    first, second = scene.names
    where = {"left of": ("to the right of", "to the left of"), "above": ("below", "above")}[scene.relation]
    target = place(scene.ground, (second, first), scene.relation, rng)
    if rng.random() < 0.5:
        return target, {"first": first, "second": second, "place": where[0]}
    return target, {"first": second, "second": first, "place": where[1]}


def _turn(scene: Scene, rng: Random) -> tuple[Scene, dict[str, str]]:
    relation: Relation = "above" if scene.relation == "left of" else "left of"
    first, second = rng.sample(scene.names, 2)
    where = "above" if relation == "above" else "to the left of"
    return place(scene.ground, (first, second), relation, rng), {"first": first, "second": second, "place": where}


def _remove(scene: Scene, rng: Random) -> tuple[Scene, dict[str, str]]:
    old = rng.choice(scene.names)
    kept = tuple(name for name in scene.names if name != old)
    relation: Relation = "alone" if len(kept) == 1 else scene.relation
    return place(scene.ground, kept, relation, rng), {"old": old}


def _add(scene: Scene, rng: Random) -> tuple[Scene, dict[str, str]]:
    new = _new_name(scene, rng)
    relation: Relation = rng.choice(("left of", "above")) if scene.relation == "alone" else scene.relation
    first = rng.random() < 0.5
    names = (new, *scene.names) if first else (*scene.names, new)
    sides = {"left of": ("on the left", "on the right"), "above": ("at the top", "at the bottom")}[relation]
    return place(scene.ground, names, relation, rng), {"new": with_article(new), "side": sides[0 if first else 1]}
