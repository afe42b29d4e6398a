"""Words for scenes: many wordings of the same meaning, of which about a tenth are kept out of training.

A wording is an *arrangement* clause ("a dog to the left of a pizza") put into a *setting* ("... on a blue background").
The last entries of each table are the unseen ones; they use only words that seen wordings also use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Literal

from mmrank.toybox.grammar import Relation, Scene

Wording = Literal["seen", "unseen"]


@dataclass(frozen=True, slots=True)
class Forms:
    """Alternative templates: those used in training, and those kept for testing."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...]


SETTINGS = Forms(
    seen=(
        "{what} on a {ground} background",
        "{what} on {ground} ground",
        "{what} against {ground}",
        "{what} in front of a {ground} wall",
        "on a {ground} background, {what}",
        "on {ground} ground, {what}",
        "a {ground} picture of {what}",
        "{what}, everything behind is {ground}",
        "{ground} background, {what}",
    ),
    unseen=("in front of a {ground} background, {what}",),
)

ARRANGEMENTS: dict[tuple[Relation, int], Forms] = {
    ("alone", 1): Forms(
        seen=("{a}", "only {a}", "one {A}", "{a} alone", "just {a}", "a single {A}", "{a} and nothing else"),
        unseen=("one {A} alone",),
    ),
    ("left of", 2): Forms(
        seen=(
            "{a} to the left of {b}",
            "{a} left of {b}",
            "{b} to the right of {a}",
            "{b} right of {a}",
            "{b} with {a} on its left",
            "{a} with {b} on its right",
            "{a} on the left and {b} on the right",
            "on the left {a}, on the right {b}",
            "{a} beside {b}, the {A} on the left",
        ),
        unseen=("{b} beside {a}, the {B} on the right",),
    ),
    ("above", 2): Forms(
        seen=(
            "{a} above {b}",
            "{a} over {b}",
            "{b} below {a}",
            "{b} under {a}",
            "{b} with {a} above it",
            "{a} with {b} below it",
            "{a} at the top and {b} at the bottom",
            "at the top {a}, at the bottom {b}",
            "{a} and {b}, the {A} at the top",
        ),
        unseen=("{b} and {a}, the {B} at the bottom",),
    ),
    ("left of", 3): Forms(
        seen=(
            "{a}, {b} and {c} from left to right",
            "from left to right {a}, {b} and {c}",
            "{a} left of {b} left of {c}",
            "{b} between {a} on the left and {c} on the right",
            "{a} on the left, {b} in the middle and {c} on the right",
            "{c} to the right of {b}, and {b} to the right of {a}",
            "{a} to the left of {b}, and {b} to the left of {c}",
            "a row of three: {a}, {b}, {c}",
        ),
        unseen=("in the middle {b}, on the left {a}, on the right {c}",),
    ),
    ("above", 3): Forms(
        seen=(
            "{a}, {b} and {c} from top to bottom",
            "from top to bottom {a}, {b} and {c}",
            "{a} above {b} above {c}",
            "{b} between {a} at the top and {c} at the bottom",
            "{a} at the top, {b} in the middle and {c} at the bottom",
            "{c} below {b}, and {b} below {a}",
            "{a} above {b}, and {b} above {c}",
            "a column of three: {a}, {b}, {c}",
        ),
        unseen=("in the middle {b}, at the top {a}, at the bottom {c}",),
    ),
}


def with_article(name: str) -> str:
    """`"owl"` -> `"an owl"`."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def arrangements(scene: Scene, wording: Wording = "seen") -> tuple[str, ...]:
    """Every clause of one wording set that tells how the scene's objects stand, without its ground."""
    names = scene.names
    slots = {slot: with_article(name) for slot, name in zip("abc", names, strict=False)}
    slots |= dict(zip("ABC", names, strict=False))
    forms = ARRANGEMENTS[scene.relation, len(names)]
    return tuple(form.format(**slots) for form in (forms.seen if wording == "seen" else forms.unseen))


def captions(scene: Scene, wording: Wording = "seen") -> tuple[str, ...]:
    """Every full caption of a scene. Unseen: an unseen clause, an unseen setting, or both; never both seen.

    Example:
        >>> from mmrank.toybox.grammar import PlacedObject
        >>> captions(Scene("blue", (PlacedObject("dog", 0.5, 0.5, 0.5),), "alone"))[0]
        'a dog on a blue background'
    """
    if wording == "seen":
        pairs = list(product(SETTINGS.seen, arrangements(scene, "seen")))
    else:
        pairs = list(product(SETTINGS.unseen, arrangements(scene, "seen") + arrangements(scene, "unseen")))
        pairs += list(product(SETTINGS.seen, arrangements(scene, "unseen")))
    return tuple(setting.format(what=what, ground=scene.ground) for setting, what in pairs)


def caption(scene: Scene, rng: Random, wording: Wording = "seen") -> str:
    """One caption of a scene, drawn at random."""
    return rng.choice(captions(scene, wording))


def joined(parts: Sequence[str]) -> str:
    """`["a dog", "a cat", "an owl"]` -> `"a dog, a cat and an owl"`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def listed(names: Sequence[str]) -> str:
    """Names with their articles, as one phrase: `("dog", "owl")` -> `"a dog and an owl"`."""
    return joined([with_article(name) for name in names])
