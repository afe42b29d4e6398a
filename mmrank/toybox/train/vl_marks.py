"""The grammar's own truth about words and cells: what of a thing that is named or shown before is in a candidate."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mmrank.toybox.clips import OPPOSITE, Clip
from mmrank.toybox.grammar import GROUNDS, Scene
from mmrank.toybox.notes import DAYS, WRITERS
from mmrank.toybox.pages import MONTHS, PLACES
from mmrank.toybox.sprites import object_names
from mmrank.toybox.train.vl_forms import ids
from mmrank.toybox.train.vl_pictures import ROLES, WORDS, Picture, role_names

Mark = tuple[int, int, int]
"""The role that a thing should have, the role that it has in the candidate, and whether both are one (1 yes, 0 no).

Roles are numbers in `ROLES`, the ground's being "ground", or `GONE`; -1 is not to be judged.
"""

Facts = tuple[int, ...]
"""What of a candidate fits a query: objects, ground, arrangement; 1 yes, 0 no, -1 not to be judged."""

FACTS = 3

MARKS = 5
"""Columns of a mark in a batch: its three numbers, how far back the candidate's first cell is, and how many it has."""

GONE = len(ROLES)
"""The role of what is not there."""

CLEAR = 0.4
"""A cell is judged by what fills at least this share of it."""

NAMES = (*object_names(), *GROUNDS, *PLACES, *MONTHS, *WRITERS, *DAYS)
"""Words of a query about a text that must stand in the text."""


def standing(scene: Scene) -> dict[str, int]:
    """The role of every object of a scene, and of its ground."""
    roles = {name: ROLES.index(role) for name, role in zip(scene.names, role_names(scene), strict=True)}
    return roles | {scene.ground: ROLES.index("ground")}


def token(word: str) -> int:
    """The first token of a name behind a space: what stands for it."""
    return ids(f" {word}")[0]


def scene_words(asked: Scene, shown: Scene) -> dict[int, Mark]:
    """A mark for every object and ground by its token, when `asked` is asked for and `shown` is shown."""
    wanted, there = standing(asked), standing(shown)
    return {token(word): _mark(word, wanted, there) for word in WORDS}


def scene_cells(picture: Picture, asked: Scene, shown: Scene) -> npt.NDArray[np.int64]:
    """Marks (cells, 3) for the cells of a reference picture; those that show a bit of two things have none.

    Of bare ground every fifth cell has some: it is much of the picture, and soon known.
    """
    wanted, there = standing(asked), standing(shown)
    known = np.array([_mark(word, wanted, there) for word in WORDS])
    best = picture.words.argmax(1)
    judged = (picture.words.max(1) > CLEAR) & ((best < len(object_names())) | (np.arange(len(best)) % 5 == 0))
    return np.where(judged[:, None], known[best], -1)


def _mark(word: str, wanted: Mapping[str, int], there: Mapping[str, int]) -> Mark:
    mine, other = wanted.get(word, GONE), there.get(word, GONE)
    return mine, other, int(mine == other)


def clip_words(asked: Clip, shown: Clip) -> dict[int, Mark]:
    """Whether mover, other object, ground and movement are those asked for, by the words that tell of them."""
    moved = (asked.motion, asked.side) == (shown.motion, shown.side)
    told = {asked.mover: asked.mover == shown.mover, asked.ground: asked.ground == shown.ground}
    told |= {asked.side: moved, OPPOSITE[asked.side]: moved}
    if asked.other is not None:
        told[asked.other] = asked.other == shown.other
    return {token(word): (-1, -1, int(fits)) for word, fits in told.items()}


@lru_cache(maxsize=1)
def _spellings() -> dict[str, frozenset[int]]:
    """The tokens that can stand for a name: behind a space or not, with a capital or not."""
    bare = ids(" ")[0]
    return {
        name: frozenset(ids(before + each)[0] for before in ("", " ") for each in (name, name[0].upper() + name[1:]))
        - {bare}
        for name in NAMES
    }


def text_words(text: str) -> dict[int, Mark]:
    """Whether each name, by its token, stands in a text."""
    there = set(ids(text))
    return {each: (-1, -1, int(bool(tokens & there))) for tokens in _spellings().values() for each in tokens}


def scene_facts(asked: Scene, shown: Scene) -> Facts:
    """What of a scene fits what is asked: objects, ground, arrangement (judged only where the objects fit)."""
    objects = set(asked.names) == set(shown.names)
    arranged = (asked.relation, asked.names) == (shown.relation, shown.names)
    return int(objects), int(asked.ground == shown.ground), int(arranged) if objects else -1


def clip_facts(asked: Clip, shown: Clip) -> Facts:
    """What of a clip fits what is asked: objects, ground, movement (judged only where the objects fit)."""
    objects = set(asked.names) == set(shown.names)
    moved = (asked.mover, asked.motion, asked.side) == (shown.mover, shown.motion, shown.side)
    return int(objects), int(asked.ground == shown.ground), int(moved) if objects else -1


def distance(asked: Scene, shown: Scene) -> int:
    """In how many things two scenes differ: objects, the ground, the arrangement."""
    mine, other = set(asked.names), set(shown.names)
    objects = max(len(mine - other), len(other - mine))
    arranged = objects == 0 and (asked.relation, asked.names) != (shown.relation, shown.names)
    return objects + (asked.ground != shown.ground) + arranged
