"""SuperGlobal reranking (Shao et al., "Global Features are All You Need for Image Retrieval and Reranking", ICCV 2023).

Follows the authors' code, ShihaoShao-GH/SuperGlobal, `modules/reranking`, except where `refined` says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmrank.aggregate import Floats
from mmrank.compose.choose import Compose
from mmrank.rerank.vectors.settings import number, whole
from mmrank.rerank.vectors.source import Matrix, Vector, VectorSource
from mmrank.rerank.vectors.stage import Rescored, Shortlist, VectorReranker, best_first, settled

DEPTH = 400
NEIGHBOURS = 9
BETA = 0.15
"""M, K and beta of the paper."""

LEAST_WEIGHT = 0.1
"""A row's weights sum to 1 + beta * (the similarities of its neighbours), which many opposite neighbours bring to zero
or below; the published code then divides by it. Such a row has no neighbours worth the name and stays what it is."""


def refined(vectors: Matrix, *, neighbours: int = NEIGHBOURS, beta: float = BETA) -> Matrix:
    """Each vector as the weighted mean of itself (weight 1) and its nearest neighbours in the list (beta * similarity).

    float32 (n, d) to float32 (n, d), not renormalised. Neighbours are the rows of largest dot product; of equal ones
    the first. A list of fewer than `neighbours` + 1 has fewer neighbours.

    >>> print(refined(np.array([[1, 0], [0.6, 0.8]], np.float32), neighbours=1, beta=0.5).round(3))
    [[0.908 0.185]
     [0.692 0.615]]
    """
    count = min(neighbours, len(vectors) - 1)
    if count == 0:
        return vectors
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    bar = np.partition(similarity, len(vectors) - count, axis=1)[:, len(vectors) - count, None]
    near = similarity >= bar
    for row in np.flatnonzero(near.sum(axis=1) > count):  # several stand exactly at the bar: the first of them
        near[row] = False
        near[row, np.argsort(-similarity[row], kind="stable")[:count]] = True
    weights = np.where(near, similarity, np.float32(0))
    weights *= np.float32(beta)
    np.fill_diagonal(weights, 1)
    total = weights.sum(axis=1, keepdims=True)
    lonely = total[:, 0] < LEAST_WEIGHT
    total[lonely] = 1
    mixed: Matrix = (weights @ vectors) / total
    mixed[lonely] = vectors[lonely]
    return mixed


def super_global_scores(
    query: Vector, vectors: Matrix, *, neighbours: int = NEIGHBOURS, beta: float = BETA, expand: bool = True
) -> Floats:
    """New scores of a list, float64 (n,): the mean of q . x' and q_e . x' over the `refined` vectors x'.

    `query`: float32 (d,). `vectors`: float32 (n, d), any order, n at least 1. q_e is the element-wise maximum of the
    x' of the first `neighbours` + 1 by q . x'. `expand=False`: q . x' alone.

    >>> x = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> super_global_scores(np.array([0.8, 0.6], np.float32), x, neighbours=1).round(3).tolist()
    [0.907, 1.035, 0.608]
    """
    mixed = refined(vectors, neighbours=neighbours, beta=beta)
    first = (mixed @ query).astype(np.float64)
    if not expand:
        return first
    top = best_first(settled(first))[: neighbours + 1]
    expanded = mixed[top].max(axis=0)
    scores: Floats = (first + mixed @ expanded) / 2
    return scores


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SuperGlobal(VectorReranker):
    """A stage that orders by `super_global_scores`; see `super_global`."""

    depth: int | None = DEPTH
    neighbours: int = NEIGHBOURS
    beta: float = BETA
    expand: bool = True

    def check(self) -> None:
        whole(self.name, 1, neighbours=self.neighbours)
        number(self.name, 0, beta=self.beta)

    @property
    def name(self) -> str:
        return "super_global"

    def rescore(self, shortlist: Shortlist) -> Rescored:
        return Rescored(
            super_global_scores(
                shortlist.vector, shortlist.matrix, neighbours=self.neighbours, beta=self.beta, expand=self.expand
            )
        )


def super_global(
    source: VectorSource,
    *,
    depth: int | None = DEPTH,
    neighbours: int = NEIGHBOURS,
    beta: float = BETA,
    expand: bool = True,
    compose: Compose = None,
) -> SuperGlobal:
    """A Stage: the first `depth` hits by SuperGlobal, what lies below stays behind. No model but the query's embedding.

    Made for queries of the same sort as the Items (image to image, page to page). For a text over images the expanded
    query is made of images, so that step two measures how alike the candidates are: `expand=False` leaves it out.
    Takes twice depth x depth x dimension multiplications a query. Raises `UsageError` for settings that mean nothing.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> super_global(GivenVectors(), depth=100)
    super_global(GivenVectors(), depth=100)
    """
    return SuperGlobal(source=source, depth=depth, neighbours=neighbours, beta=beta, expand=expand, compose=compose)
