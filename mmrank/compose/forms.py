"""The forms: how a query's sides become one vector, or two. A new form is a class here and a row in `PLAIN_FORMS`.

Recall in percent with toybox-clip on composed queries among families of near-duplicates (450 queries a split, 2,400
pictures, the reference left out; ties count against us). Weights, rules and depths were chosen on train families, by
R@1; ``scripts/bench_compose.py forms`` measures them.

========================================  ====  ====  ====  ========  ====  ====
form                                      train             held-out
                                          R@1   R@5   R@10  R@1       R@5   R@10
========================================  ====  ====  ====  ========  ====  ====
image                                     14.9  50.4  59.1  17.1      52.2  62.2
text                                      6.2   28.7  36.0  6.0       21.1  30.7
sum, alpha 0.65 (the default)             43.6  85.8  88.7  47.6      86.4  93.3
slerp, alpha 0.65                         43.3  85.3  88.4  48.4      86.9  92.9
intersection:min, depth 1,000             30.4  71.8  78.9  30.9      65.3  75.3
intersection (product), depth 200         39.3  81.6  85.3  40.2      82.4  87.8
caption, the true one of the answer       66.0  99.3  100   64.2      98.4  100
sqaf 0.3, 0.7, the true one               67.8  99.8  100   66.0      98.7  100
========================================  ====  ====  ====  ========  ====  ====

The last two are upper bounds: no model wrote their captions. Between alpha 0.6 and 0.7 a sum loses at most 1.2 points
of R@1 on train families; at 0.5 it loses 9. With true captions SQAF is flat (66 to 68) for beta 0.5 to 0.8 and alpha
0.5 or 0.6; at its defaults (0.6, 0.5) it has 66.2 on train families.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np

from mmrank.compose.captions import Captioner, captioner_of
from mmrank.compose.mixing import mixed
from mmrank.compose.sides import Matrix, Side, Sides, Vector
from mmrank.embed.vectors import unit
from mmrank.errors import UsageError
from mmrank.mllm.base import MLLM

TEXT_WEIGHT = 0.5
"""The text's share in `Sum` for embedders whose row in the registry names none: the plain average of both sides, the
"Image + Text" baseline of zero-shot composed retrieval (Pic2Word, CVPR 2023; SEARLE, ICCV 2023)."""

SQAF_ALPHA = 0.6
SQAF_BETA = 0.5
"""Ours: SQUARE's own weights are not public."""

SIDE_DEPTH = 1_000
"""Candidates of each side that an intersection scores on both. On train families of the toybox (2,400 pictures) a depth
of 200 has 0.4 points of R@1 more, one of 50 has 2.0 less."""

Rule: TypeAlias = Literal["min", "product"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(ABC):
    """How a composed query is put together. `needs`: the sides it looks at; the others are neither opened nor embedded.

    Forms that read the text side have `syntax`: whether weights and negation in it are read (`mmrank.compose.syntax`).
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[Side]]
    answers_as: ClassVar[Literal["image", "text"] | None] = None
    """Whether its vector lies where pictures or where texts do, whatever the query has; None: as the query has it."""
    syntax: bool = False

    @property
    def captions(self) -> Captioner | None:
        """Who writes the captions, where the form needs them."""
        return None

    @abstractmethod
    def vectors(self, sides: Sides) -> Matrix:
        """Unit vectors, float32 (n, d), from the sides' vectors of any length: one, or for an intersection two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageForm(Form):
    """The pictures alone."""

    name: ClassVar[str] = "image"
    answers_as: ClassVar[Literal["image", "text"] | None] = "image"
    needs: ClassVar[frozenset[Side]] = frozenset({"image"})

    def vectors(self, sides: Sides) -> Matrix:
        return _one(_there(sides.image, "picture"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextForm(Form):
    """The text alone, with the dialogue turns."""

    name: ClassVar[str] = "text"
    answers_as: ClassVar[Literal["image", "text"] | None] = "text"
    needs: ClassVar[frozenset[Side]] = frozenset({"text"})

    def vectors(self, sides: Sides) -> Matrix:
        return _one(_there(sides.text, "text"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Form):
    """The query as it is, for embedders trained on texts and pictures together (`mmrank.embed.base.QueryEmbedder`)."""

    name: ClassVar[str] = "whole"
    needs: ClassVar[frozenset[Side]] = frozenset({"whole"})

    def vectors(self, sides: Sides) -> Matrix:
        return _one(_there(sides.whole, "whole query"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum(Form):
    """``unit((1 - alpha) * image + alpha * text)`` of unit vectors; with `arc` along the sphere (`mixing.mixed`).

    `alpha`: the text's share, 0 to 1; None: what the registry names for the embedder, or `TEXT_WEIGHT`.

    >>> form = Sum(alpha=0.5)
    >>> form.vectors(Sides(image=np.array([1, 0], np.float32), text=np.array([0, 9], np.float32))).round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """

    alpha: float | None = None
    arc: bool = False
    name: ClassVar[str] = "sum"
    needs: ClassVar[frozenset[Side]] = frozenset({"image", "text"})

    def __post_init__(self) -> None:
        if self.alpha is not None:
            _check_share("alpha", self.alpha, "the text's")

    def vectors(self, sides: Sides) -> Matrix:
        alpha = TEXT_WEIGHT if self.alpha is None else self.alpha
        return _one(_image_and_text(sides, alpha, arc=self.arc))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption(Form):
    """A caption of what the reference would be after the change, embedded in the query's place.

    It is CoTRR's first stage for composed queries (arXiv 2509.14746; the idea is ImageScope's and CIReVL's).
    `captioner`: a loaded MLLM, a spec of one, or anything with the methods of `captions.Captioner`.
    """

    captioner: Captioner | MLLM | str
    name: ClassVar[str] = "caption"
    answers_as: ClassVar[Literal["image", "text"] | None] = "text"
    needs: ClassVar[frozenset[Side]] = frozenset({"caption"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "captioner", captioner_of(self.captioner))

    @property
    def captions(self) -> Captioner | None:
        return captioner_of(self.captioner)

    def vectors(self, sides: Sides) -> Matrix:
        return _one(_there(sides.caption, "caption"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sqaf(Form):
    """Reference and change, mixed with a caption of what they are after: SQUARE's SQAF (arXiv 2509.26330).

    ``q = unit((1 - beta) * unit((1 - alpha) * image + alpha * text) + beta * caption)``, every part of unit length.
    The second mix is inferred, and both weights are ours: the paper's are not public. `captioner` as in `Caption`.
    """

    captioner: Captioner | MLLM | str
    alpha: float = SQAF_ALPHA
    beta: float = SQAF_BETA
    name: ClassVar[str] = "sqaf"
    needs: ClassVar[frozenset[Side]] = frozenset({"image", "text", "caption"})

    def __post_init__(self) -> None:
        _check_share("alpha", self.alpha, "the text's")
        _check_share("beta", self.beta, "the caption's")
        object.__setattr__(self, "captioner", captioner_of(self.captioner))

    @property
    def captions(self) -> Captioner | None:
        return captioner_of(self.captioner)

    def vectors(self, sides: Sides) -> Matrix:
        asked = _image_and_text(sides, self.alpha)
        sought = _there(sides.caption, "caption")
        return _one(mixed(asked, sought, self.beta, of="the query's and the caption's vector"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intersection(Form):
    """What both sides agree on: two vectors, each searched with, and the Items ranked by both cosines.

    The idea is SETR's (arXiv 2509.26012): a sum of both sides drags in the reference's background, so keep what the
    reference and the change share. Its formula is not public; these are ours. Over the union of both sides' `depth`
    best Items (at least k), each scored exactly on both sides: `rule` "min" ranks by the lesser of the two z-scores,
    "product" (which the toybox prefers) by the product of the two min-max scores. A third stand-in, the cosine to a
    caption of what is shared, is `Caption`.
    """

    rule: Rule = "product"
    depth: int = SIDE_DEPTH
    name: ClassVar[str] = "intersection"
    needs: ClassVar[frozenset[Side]] = frozenset({"image", "text"})

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UsageError(f"The rule of an intersection is {self.rule!r}; it must be one of {', '.join(RULES)}.")
        if isinstance(self.depth, bool) or not isinstance(self.depth, int) or self.depth < 1:
            raise UsageError(f"The depth of an intersection is {self.depth!r}; it must be a whole number from 1.")

    def vectors(self, sides: Sides) -> Matrix:
        return np.concatenate([_one(_there(sides.image, "picture")), _one(_there(sides.text, "text"))])


PLAIN_FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "image": ImageForm(),
        "text": TextForm(),
        "sum": Sum(),
        "slerp": Sum(arc=True),
        "whole": Whole(),
        "intersection": Intersection(),
        "intersection:min": Intersection(rule="min"),
    }
)
"""What a name alone stands for."""

CAPTION_FORMS: Mapping[str, type[Caption] | type[Sqaf]] = MappingProxyType({"caption": Caption, "sqaf": Sqaf})
"""Named with the model that writes the captions, ``sqaf@MODEL``, or a file of them, ``sqaf@./captions.jsonl``."""

WEIGHTED = "weighted"
"""The default form, with weights and negation read in the text."""

FORMS: tuple[str, ...] = (*PLAIN_FORMS, *(f"{name}@MODEL" for name in CAPTION_FORMS), WEIGHTED)
"""Every name a form can be asked for by; MODEL is what `mmrank.load_mllm` takes, or a `CaptionFile`."""


def _image_and_text(sides: Sides, alpha: float, *, arc: bool = False) -> Vector:
    image, text = _there(sides.image, "picture"), _there(sides.text, "text")
    return mixed(image, text, alpha, arc=arc, of="the picture's and the text's vector")


def _one(vector: Vector) -> Matrix:
    return unit(vector, of="the query's own parts")[np.newaxis]


def _there(side: Vector | None, what: str) -> Vector:
    if side is None:
        raise UsageError(f"The {what} has no vector, and the form needs one; give it in Sides.")
    return side


def _check_share(name: str, share: float, whose: str) -> None:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise UsageError(f"{name} is {share!r}; it is {whose} share and must lie between 0 and 1.")
