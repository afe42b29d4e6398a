"""F4-ITS (mailcorahul/f4-its): a picture and what a model says is in it, together, find captions.

Two steps: the query's picture and its caption mixed into one vector; and, for a list of attributes (ingredients, say),
the best caption for each. The vectors follow the authors' code. It mixes the picture into the gallery's vectors too
("bi-directional"), but compares by the dot product without renormalising, which adds the same number to every caption
and changes no order; here the mixed gallery is renormalised, so that the option does something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mmrank.aggregate import Floats
from mmrank.embed.vectors import unit, unit_rows
from mmrank.errors import MmrankError, UsageError
from mmrank.rerank.vectors.settings import number, whole
from mmrank.rerank.vectors.source import Asked, Matrix, Vector, VectorSource
from mmrank.rerank.vectors.stage import Rescored, Shortlist, VectorReranker, best_first, settled
from mmrank.types import Cost, Hit, Query

TEXT_WEIGHT = 0.3
GALLERY_IMAGE = 0.2
"""The caption's share in the query (0.2 to 0.4 was best), and the picture's share in the gallery."""

TAKE = 2
THRESHOLD = 0.6
"""Captions looked at for each attribute, and the cosine that the better one must exceed (60 of 100 in their code)."""

Caption = Callable[[Query], str]
Attributes = Callable[[Query], Sequence[str]]


def weighted_sum(components: Sequence[Matrix], weights: Sequence[float]) -> Matrix:
    """The sum of vectors or matrices of one shape, each times its weight; float32, not renormalised.

    Raises `UsageError` when there is not one weight for each.

    >>> weighted_sum([np.array([1, 0], np.float32), np.array([0, 1], np.float32)], [0.7, 0.3]).round(1).tolist()
    [0.699999988079071, 0.30000001192092896]
    """
    if len(components) != len(weights) or not components:
        raise UsageError(f"There are {len(components)} vectors and {len(weights)} weights; give one weight each.")
    total = sum(weight * one.astype(np.float64) for weight, one in zip(weights, components, strict=True))
    return np.asarray(total, np.float32)


def fused_scores(query: Vector, captions: Matrix, image: Vector, *, gallery_image: float = 0.0) -> Floats:
    """Cosines of the mixed query with the captions, float64 (n,).

    `query`: the mixed vector (d,). `captions`: unit rows (n, d). With `gallery_image` each caption is first mixed with
    the query's `image` in that share, and renormalised.

    >>> image = np.array([1, 0], np.float32)
    >>> fused_scores(image, np.eye(2, dtype=np.float32), image, gallery_image=0.5).round(3).tolist()
    [1.0, 0.707]
    """
    if gallery_image:
        whole_image = np.broadcast_to(image, captions.shape)
        captions = unit_rows(weighted_sum([captions, whole_image], [1 - gallery_image, gallery_image]))
    scores: Floats = (captions @ unit(query, of="the picture's and the caption's vector")).astype(np.float64)
    return scores


class Kept(NamedTuple):
    """A caption kept for an attribute: its position, the attribute's, and their cosine."""

    caption: int
    attribute: int
    cosine: float


def per_attribute(
    attributes: Matrix,
    image: Vector,
    captions: Matrix,
    *,
    weight: float = TEXT_WEIGHT,
    take: int = TAKE,
    threshold: float = THRESHOLD,
) -> list[Kept]:
    """The caption that each attribute finds, best first by its cosine with the attribute.

    For each row g of `attributes` (a, d), in order: the `take` captions with the largest dot product with weight * g +
    (1 - weight) * image; of these the one with the largest cosine with g alone. It is kept when that exceeds
    `threshold` and no attribute before has it; otherwise the attribute keeps none. All rows of unit length.

    >>> eye = np.eye(2, dtype=np.float32)
    >>> [kept.caption for kept in per_attribute(eye[1:], eye[0], eye)]
    [1]
    """
    kept: dict[int, Kept] = {}
    alone = settled(attributes @ captions.T)
    for number_, own in enumerate(attributes):
        mixed = weighted_sum([own, image], [weight, 1 - weight])
        found = best_first(settled(captions @ mixed))[:take]
        if not found:
            continue
        best = max(found, key=lambda place: alone[number_, place])
        if alone[number_, best] > threshold and best not in kept:
            kept[best] = Kept(best, number_, float(alone[number_, best]))
    return sorted(kept.values(), key=lambda one: -one.cosine)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class F4Its(VectorReranker):
    """A stage that orders captions by a picture and its own caption; see `f4its`."""

    caption: Caption | None = None
    text_weight: float = TEXT_WEIGHT
    gallery_image: float = 0.0

    def check(self) -> None:
        number(self.name, 0, 1, text_weight=self.text_weight, gallery_image=self.gallery_image)

    @property
    def name(self) -> str:
        return "f4its"

    def ask(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> Sequence[Asked]:
        """The picture's vector and the caption's as the two rows of a matrix."""
        return _rows(self.source, [query for query, _ in batch], lambda query: [self._said(query)])

    def _said(self, query: Query) -> str:
        return self.caption(query) if self.caption is not None else query.text or ""

    def rescore(self, shortlist: Shortlist) -> Rescored:
        image, said = shortlist.vector
        query = weighted_sum([image, said], [1 - self.text_weight, self.text_weight])
        return Rescored(fused_scores(query, shortlist.matrix, image, gallery_image=self.gallery_image))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class F4ItsList(VectorReranker):
    """A stage that puts the caption of each attribute first; see `f4its_list`."""

    attributes: Attributes
    weight: float = TEXT_WEIGHT
    take: int = TAKE
    threshold: float = THRESHOLD

    def check(self) -> None:
        number(self.name, 0, 1, weight=self.weight)
        number(self.name, -1, 1, threshold=self.threshold)
        whole(self.name, 1, take=self.take)

    @property
    def name(self) -> str:
        return "f4its_list"

    def ask(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> Sequence[Asked]:
        """The picture's vector and those of the attributes as the rows of a matrix."""
        return _rows(self.source, [query for query, _ in batch], lambda query: dict.fromkeys(self.attributes(query)))

    def rescore(self, shortlist: Shortlist) -> Rescored:
        image, attributes = shortlist.vector[0], shortlist.vector[1:]
        kept = per_attribute(
            attributes, image, shortlist.matrix, weight=self.weight, take=self.take, threshold=self.threshold
        )
        scores = np.full(len(shortlist.hits), np.nan)
        for one in kept:
            scores[one.caption] = one.cosine
        note = f"{len(kept)} of {len(attributes)} attributes found a caption above {self.threshold:g}."
        order = [*(one.caption for one in kept), *np.flatnonzero(np.isnan(scores)).tolist()]
        return Rescored(scores, order=order, note=note if kept else None, error=None if kept else note)


def _rows(source: VectorSource, queries: Sequence[Query], say: Callable[[Query], Iterable[str]]) -> list[Asked]:
    """Per query one matrix: the vector of its pictures, then one of each text. One batch for the embedder."""
    parts = [_parts(query, say) for query in queries]
    asked = [part for own in parts if not isinstance(own, MmrankError) for part in own]
    found = iter(source.query_vectors(asked) if asked else ())
    return [own if isinstance(own, MmrankError) else _stacked([next(found) for _ in own]) for own in parts]


def _parts(query: Query, say: Callable[[Query], Iterable[str]]) -> list[Query] | MmrankError:
    if not (query.images or query.video):
        return UsageError(f"Query {query.id!r} has no image or video; F4-ITS mixes a picture with what is in it.")
    try:
        texts = list(say(query))
    except MmrankError as error:
        return error
    if not texts or not all(text.strip() for text in texts):
        return UsageError(f"Query {query.id!r} has no caption or attributes to mix with its picture.")
    pictures = replace(query, text=None, turns=())
    return [pictures, *(Query(text=text, id=f"{query.id}/{place}") for place, text in enumerate(texts))]


def _stacked(sides: Sequence[Asked]) -> Asked:
    """The vectors as rows, their costs added; the first error when there is one."""
    vectors: list[Vector] = []
    cost = Cost()
    for side in sides:
        if isinstance(side, MmrankError):
            return side
        vectors.append(side[0])
        cost += side[1]
    return np.stack(vectors), cost


def f4its(
    source: VectorSource,
    caption: Caption | None = None,
    *,
    text_weight: float = TEXT_WEIGHT,
    gallery_image: float = 0.0,
    depth: int | None = None,
) -> F4Its:
    """A Stage for pictures over captions: (1 - text_weight) * picture + text_weight * its caption scores the hits.

    `caption` writes the caption of a Query's picture (by an MLLM, say); without it the Query's own text is taken.
    `gallery_image`: the picture's share in every hit's vector, 0.2 in the paper. A Query without a picture or caption
    keeps its order and says so. Raises `UsageError` for weights outside 0 to 1.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> f4its(GivenVectors(), text_weight=0.4)
    f4its(GivenVectors(), text_weight=0.4)
    """
    return F4Its(source=source, caption=caption, text_weight=text_weight, gallery_image=gallery_image, depth=depth)


def f4its_list(
    source: VectorSource,
    attributes: Attributes,
    *,
    weight: float = TEXT_WEIGHT,
    take: int = TAKE,
    threshold: float = THRESHOLD,
    depth: int | None = None,
) -> F4ItsList:
    """A Stage for pictures over short captions: `attributes` names what is in the Query's picture, each finds its hit.

    The hits found stand first, by their cosine with the attribute; the others keep their order behind. See
    `per_attribute`. Raises `UsageError` for settings that mean nothing.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> f4its_list(GivenVectors(), lambda query: ["tomato", "basil"], threshold=0.5).threshold
    0.5
    """
    return F4ItsList(source=source, attributes=attributes, weight=weight, take=take, threshold=threshold, depth=depth)
