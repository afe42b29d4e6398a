"""The scene grammar: one to three objects on a coloured ground, sampled from a seed, split by combination.

Every combination is either a *train* or a *heldout* one, decided by a hash of names alone, so the split never moves:
a pair of objects (for a lone object: the object and its ground) is held out in about one case in ten.
No training scene holds a held-out combination; every held-out scene consists of at least one.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Literal

from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.sprites import object_names

Relation = Literal["alone", "left of", "above"]
"""How the objects of a scene stand, in the order they are listed: left to right, or top to bottom."""

Split = Literal["train", "heldout"]

GROUNDS: dict[str, tuple[int, int, int]] = {
    "red": (196, 48, 48),
    "yellow": (240, 208, 64),
    "green": (62, 150, 74),
    "blue": (58, 104, 200),
    "purple": (128, 74, 168),
    "pink": (244, 164, 190),
    "brown": (134, 90, 56),
    "gray": (140, 142, 146),
    "white": (246, 246, 246),
    "black": (34, 34, 38),
}
"""Ground colours by name, RGB 0-255, far enough apart to be told from each other in any shade."""

MAX_OBJECTS = 3

HELDOUT_SHARE = 10
"""One combination in this many is held out."""

COUNT_WEIGHTS = (12, 58, 30)
"""How often a sampled scene has one, two or three objects (percent)."""

SIZES = ((0.46, 0.64), (0.34, 0.45), (0.26, 0.32))
"""Least and greatest object side for one, two and three objects, as a share of the picture's side."""

ACROSS_SLACK = 0.12
"""How far objects may stray from the line they stand on: less than their distance along it, so relations stay plain."""


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """An object and where it is: `x`, `y` of its middle and its side, as shares of the picture's side (0-1)."""

    name: str
    x: float
    y: float
    size: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A ground colour and one to three placed objects that stand in one relation.

    `shade` in -1..1 darkens or lightens the ground a little. Two scenes of equal `meaning` deserve the same captions.
    """

    ground: str
    objects: tuple[PlacedObject, ...]
    relation: Relation
    shade: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The objects' names, left to right or top to bottom."""
        return tuple(placed.name for placed in self.objects)

    @property
    def meaning(self) -> tuple[str, Relation, tuple[str, ...]]:
        """What a caption can tell: ground, relation, names in order. Places and sizes left out."""
        return self.ground, self.relation, self.names

    @property
    def contents(self) -> tuple[str, frozenset[str]]:
        """Ground and objects without their order: scenes of different contents differ even to a careless reader."""
        return self.ground, frozenset(self.names)


def heldout_combination(first: str, second: str) -> bool:
    """Whether two objects (or an object and a ground) never occur together in training. Symmetric.

    Example:
        >>> heldout_combination("dog", "pizza") == heldout_combination("pizza", "dog")
        True
    """
    key = "|".join(sorted((first, second)))
    return hashlib.sha256(key.encode()).digest()[0] % HELDOUT_SHARE == 0


def split_of(ground: str, names: tuple[str, ...]) -> Split:
    """The split that a scene with this ground and these objects belongs to."""
    pairs = [(names[0], ground)] if len(names) == 1 else list(combinations(names, 2))
    return "heldout" if any(heldout_combination(*pair) for pair in pairs) else "train"


def place(ground: str, names: tuple[str, ...], relation: Relation, rng: Random) -> Scene:
    """Put named objects on a ground, in the given relation, with places, sizes and shade from `rng`.

    Objects never overlap by more than a touch, and the relation is always plain to see.

    Raises:
        ToyboxError: unknown ground or object, no or more than three objects, or a relation that does not fit.
    """
    _check(ground, names, relation)
    count = len(names)
    low, high = SIZES[count - 1]
    sizes = [rng.uniform(low, high) for _ in names]
    along = _spread(sizes, rng)
    across = [rng.uniform(0.5 - slack, 0.5 + slack) for slack in (min(ACROSS_SLACK, (1 - size) / 2) for size in sizes)]
    horizontal = relation != "above"
    objects = tuple(
        PlacedObject(name, round(a if horizontal else b, 4), round(b if horizontal else a, 4), round(size, 4))
        for name, a, b, size in zip(names, along, across, sizes, strict=True)
    )
    return Scene(ground, objects, relation, round(rng.uniform(-1, 1), 3))


def sample_scene(rng: Random, split: Split = "train", count: int | None = None) -> Scene:
    """Draw one scene of a split; `count` objects, or one to three at random.

    Example:
        >>> scene = sample_scene(Random(7), "heldout", count=2)
        >>> split_of(scene.ground, scene.names)
        'heldout'
    """
    grounds = list(GROUNDS)
    while True:
        wanted = count or rng.choices((1, 2, 3), COUNT_WEIGHTS)[0]
        ground = rng.choice(grounds)
        names = tuple(rng.sample(object_names(), wanted))
        relation: Relation = "alone" if wanted == 1 else rng.choice(("left of", "above"))
        if split_of(ground, names) == split:
            return place(ground, names, relation, rng)


def sample_scenes(count: int, seed: int, split: Split = "train") -> Iterator[Scene]:
    """`count` scenes no two of which have the same ground and objects, the same for the same seed.

    Raises:
        ToyboxError: the split holds too few different scenes for `count`.
    """
    rng = Random(f"scenes/{split}/{seed}")
    seen: set[tuple[str, frozenset[str]]] = set()
    misses = 0
    while len(seen) < count:
        scene = sample_scene(rng, split)
        if scene.contents in seen:
            misses += 1
            if misses > 100 * count + 10_000:
                raise ToyboxError(f"the {split} split has no {count} different scenes; ask for fewer")
            continue
        seen.add(scene.contents)
        yield scene


def _check(ground: str, names: tuple[str, ...], relation: Relation) -> None:
    if ground not in GROUNDS:
        raise ToyboxError(f"no toybox ground is {ground!r}; there are: {', '.join(GROUNDS)}")
    unknown = [name for name in names if name not in object_names()]
    if unknown:
        raise ToyboxError(f"no toybox object is called {unknown[0]!r}; there are: {', '.join(object_names())}")
    if not 1 <= len(names) <= MAX_OBJECTS:
        raise ToyboxError(f"a scene has 1 to {MAX_OBJECTS} objects, not {len(names)}; leave some out or add one")
    if len(set(names)) != len(names):
        raise ToyboxError(f"a scene holds each object once, but {names} repeats one; name different objects")
    if (relation == "alone") != (len(names) == 1):
        raise ToyboxError(f"{len(names)} object(s) cannot stand {relation!r}: 'alone' is for one, the others for more")


def _spread(sizes: list[float], rng: Random) -> list[float]:
    """Middles along the line from edge to edge: the free space is shared out at random between and around objects."""
    free = max(0.0, 1 - sum(sizes))
    shares = [rng.uniform(0.4, 1.0) for _ in range(len(sizes) + 1)]
    gaps = [free * share / sum(shares) for share in shares]
    middles, edge = [], 0.0
    for gap, size in zip(gaps, sizes, strict=False):
        middles.append(edge + gap + size / 2)
        edge += gap + size
    return middles
