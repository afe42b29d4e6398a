"""The ways to make one vector of a query's picture and text. A new form is a function and a row in `FORMS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.embed.vectors import unit
from mmrank.errors import UsageError
from mmrank.types import Query

Vector: TypeAlias = npt.NDArray[np.float32]
Side: TypeAlias = Literal["image", "text"]

TEXT_WEIGHT = 0.5
"""The share of the text in `sum`: the plain average of both sides, the "Image + Text" baseline of zero-shot composed
retrieval (Pic2Word, CVPR 2023; SEARLE, ICCV 2023)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Unit vectors of a query's two sides, float32 (d,); a side the form does not need is not computed.

    `image`: the mean of its images and its video; `text`: its text, after its dialogue turns.
    """

    image: Vector | None = None
    text: Vector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How `combine` makes a unit vector of the sides it `needs`; its second argument is the text's weight, 0..1."""

    needs: frozenset[Side]
    combine: Callable[[Sides, float], Vector]


def _image(sides: Sides, text_weight: float) -> Vector:
    return _there(sides.image)


def _text(sides: Sides, text_weight: float) -> Vector:
    return _there(sides.text)


def _sum(sides: Sides, text_weight: float) -> Vector:
    mixed = (1 - text_weight) * _there(sides.image) + text_weight * _there(sides.text)
    return unit(mixed.astype(np.float32, copy=False), of="the picture's and the text's vector")


FORMS: dict[str, Form] = {
    "image": Form(needs=frozenset({"image"}), combine=_image),
    "text": Form(needs=frozenset({"text"}), combine=_text),
    "sum": Form(needs=frozenset({"image", "text"}), combine=_sum),
}
"""By name: `image` and `text` look at one side only; `sum` is the renormalised weighted sum of both unit vectors."""


def choose_form(query: Query, name: str | None = None) -> Form:
    """The form named, or the one that suits the query: `sum` when it has both sides, else the side it has.

    Raises `UsageError` for an empty query, an unknown form, and a form that needs a side the query lacks.

    >>> choose_form(Query(text="a red boat")) is FORMS["text"]
    True
    """
    if query.empty:
        raise UsageError(f"Query {query.id!r} is empty; it needs a text, an image, a video or dialogue turns.")
    there = _sides_of(query)
    if name is None:
        return next(form for form in FORMS.values() if form.needs == there)
    form = FORMS.get(name)
    if form is None:
        raise UsageError(f"There is no form {name!r} of composing a query; it must be one of {', '.join(FORMS)}.")
    if missing := form.needs - there:
        raise UsageError(
            f"Query {query.id!r} has no {' and no '.join(sorted(missing))}, which the form {name!r} needs; "
            f"it has {' and '.join(sorted(there))}."
        )
    return form


def _sides_of(query: Query) -> frozenset[Side]:
    sides: set[Side] = set()
    if query.images or query.video:
        sides.add("image")
    if query_text(query):
        sides.add("text")
    return frozenset(sides)


def query_text(query: Query) -> str:
    """What the text side reads: the dialogue turns in order, then the text, a line each. Empty when there is neither.

    >>> query_text(Query(text="at night", turns=("a beach", "with palms")))
    'a beach\\nwith palms\\nat night'
    """
    return "\n".join(part.strip() for part in (*query.turns, query.text or "") if part.strip())


def _there(side: Vector | None) -> Vector:
    assert side is not None  # choose_form has checked that the query has what the form needs
    return side
