"""The sides of a query: its pictures, its text, the caption of what it is after; and what each has to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.types import Query

Vector: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (dimension,)."""

Matrix: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (n, dimension)."""

Side: TypeAlias = Literal["image", "text", "caption", "whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Vectors of a query's sides, float32 (d,); a side the form does not need is not computed.

    `image`: the mean of its images and its video; `text`: its text and dialogue turns; `caption`: the caption of what
    is sought, written by a model; `whole`: all the query has, from an embedder that takes it together.
    """

    image: Vector | None = None
    text: Vector | None = None
    caption: Vector | None = None
    whole: Vector | None = None


def sides_of(query: Query) -> frozenset[Side]:
    """The sides a query brings itself.

    >>> sorted(sides_of(Query(text="at night", image="a.jpg")))
    ['image', 'text']
    """
    sides: set[Side] = set()
    if query.images or query.video:
        sides.add("image")
    if query_text(query):
        sides.add("text")
    return frozenset(sides)


def query_text(query: Query) -> str:
    """What the text side reads: the text, then the dialogue turns in order, a line each. Empty when there is neither.

    Of a dialogue the text is the caption it began with, and the turns are the rounds so far (Chat-IR: Levy et al.,
    NeurIPS 2023); every round asks with all that was said.

    >>> query_text(Query(text="a beach", turns=("with palms? no", "at night? yes")))
    'a beach\\nwith palms? no\\nat night? yes'
    """
    return "\n".join(part.strip() for part in (query.text or "", *query.turns) if part.strip())
