"""Pseudo-relevance feedback: the first hits are taken to be right, and move the query's vector.

Rocchio ("Relevance feedback in information retrieval", 1971), and query expansion of image retrieval (average: Chum
et al., ICCV 2007; alpha-weighted: Radenović et al., TPAMI 2019). `search_again` asks the index with the moved vector.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from mmrank.compose.choose import Compose
from mmrank.embed.vectors import unit
from mmrank.rerank.vectors.settings import number, whole
from mmrank.rerank.vectors.source import Matrix, Vector, VectorSource
from mmrank.rerank.vectors.stage import Rescored, Shortlist, VectorReranker

FEEDBACK = 10
"""Hits taken to be right."""

ORIGINAL, POSITIVE, NEGATIVE = 1.0, 0.75, 0.15
"""Rocchio's usual weights (Manning, Raghavan & Schütze, "Introduction to Information Retrieval", section 9.1.1)."""

POWER = 3.0
"""alpha of alpha-weighted query expansion, as its authors set it."""


def rocchio_vector(
    query: Vector,
    positive: Matrix,
    negative: Matrix | None = None,
    *,
    weights: tuple[float, float, float] = (ORIGINAL, POSITIVE, NEGATIVE),
) -> Vector:
    """The unit vector along w0 * query + w1 * mean(positive) - w2 * mean(negative); float32 (d,).

    `positive`, `negative`: float32 (n, d); no rows, no term. Raises `EmbedderError` when the terms cancel out.

    >>> query, right = np.array([1, 0], np.float32), np.array([[0, 1]], np.float32)
    >>> print(rocchio_vector(query, right, weights=(3, 4, 0)).round(3))
    [0.6 0.8]
    """
    moved = weights[0] * query.astype(np.float64)
    if len(positive):
        moved += weights[1] * positive.mean(axis=0, dtype=np.float64)
    if negative is not None and len(negative):
        moved -= weights[2] * negative.mean(axis=0, dtype=np.float64)
    return unit(moved.astype(np.float32), of="the query's vector and its feedback")


def expanded_vector(query: Vector, neighbours: Matrix, *, power: float = POWER) -> Vector:
    """The unit vector along query + the sum of x * max(q . x, 0) ** power; float32 (d,). Power 0: average expansion.

    `neighbours`: float32 (n, d). Raises `EmbedderError` when the terms cancel out.

    >>> x = np.array([[0.6, 0.8]], np.float32)
    >>> print(expanded_vector(np.array([1, 0], np.float32), x, power=0).round(3))
    [0.894 0.447]
    """
    weights = np.maximum(neighbours.astype(np.float64) @ query.astype(np.float64), 0.0) ** power
    return unit((query + weights @ neighbours).astype(np.float32), of="the query's vector and its neighbours")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Feedback(VectorReranker):
    """A stage that moves the query's vector by its first hits and orders by the cosine with the moved one."""

    feedback: int = FEEDBACK

    @abstractmethod
    def moved(self, shortlist: Shortlist) -> Vector:
        """The moved query, a unit vector float32 (d,)."""

    def rescore(self, shortlist: Shortlist) -> Rescored:
        return Rescored((shortlist.matrix @ self.moved(shortlist)).astype(np.float64))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Rocchio(Feedback):
    """Rocchio's moved query; see `rocchio`."""

    negatives: int = 0
    weights: tuple[float, float, float] = (ORIGINAL, POSITIVE, NEGATIVE)

    def check(self) -> None:
        whole(self.name, 0, feedback=self.feedback, negatives=self.negatives)
        for weight, which in zip(self.weights, ("original", "positive", "negative"), strict=True):
            number(self.name, 0, **{f"the {which} weight": weight})

    @property
    def name(self) -> str:
        return "rocchio"

    def moved(self, shortlist: Shortlist) -> Vector:
        vectors = shortlist.matrix
        # A short list must not have the same hit count for and against.
        below = vectors[max(len(vectors) - self.negatives, self.feedback) :]
        return rocchio_vector(shortlist.vector, vectors[: self.feedback], below, weights=self.weights)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class QueryExpansion(Feedback):
    """The query expanded by its neighbours; see `query_expansion`."""

    power: float = POWER

    def check(self) -> None:
        whole(self.name, 0, feedback=self.feedback)
        number(self.name, 0, power=self.power)

    @property
    def name(self) -> str:
        return "query_expansion"

    def moved(self, shortlist: Shortlist) -> Vector:
        return expanded_vector(shortlist.vector, shortlist.matrix[: self.feedback], power=self.power)


def rocchio(
    source: VectorSource,
    *,
    feedback: int = FEEDBACK,
    negatives: int = 0,
    weights: tuple[float, float, float] = (ORIGINAL, POSITIVE, NEGATIVE),
    depth: int | None = None,
    compose: Compose = None,
) -> Rocchio:
    """A Stage: the query moved towards the mean of its first `feedback` hits, away from that of its last `negatives`.

    `weights`: of the query, of the first hits, of the last ones. The hits are taken in the order they come in, so
    behind a judge its choice moves the query. Raises `UsageError` for settings that mean nothing.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> rocchio(GivenVectors(), feedback=5)
    rocchio(GivenVectors(), feedback=5)
    """
    return Rocchio(source=source, feedback=feedback, negatives=negatives, weights=weights, depth=depth, compose=compose)


def query_expansion(
    source: VectorSource,
    *,
    feedback: int = FEEDBACK,
    power: float = POWER,
    depth: int | None = None,
    compose: Compose = None,
) -> QueryExpansion:
    """A Stage: the query's vector plus its first `feedback` hits', each weighted by its cosine to the power `power`.

    Raises `UsageError` for settings that mean nothing.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> query_expansion(GivenVectors(), power=0)
    query_expansion(GivenVectors(), power=0)
    """
    return QueryExpansion(source=source, feedback=feedback, power=power, depth=depth, compose=compose)
