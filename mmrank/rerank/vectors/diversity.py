"""Maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998): relevant, and unlike what stands above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np

from mmrank.aggregate import Floats
from mmrank.compose.choose import Compose
from mmrank.rerank.vectors.first_stage import first_share
from mmrank.rerank.vectors.settings import number, one_of
from mmrank.rerank.vectors.source import Asked, Matrix, VectorSource
from mmrank.rerank.vectors.stage import Rescored, Shortlist, VectorReranker, settled, unasked
from mmrank.types import Hit, Query

TRADE = 0.7
"""The share of relevance (lambda)."""

Relevance: TypeAlias = Literal["score", "cosine"]


def marginal_order(relevance: Floats, vectors: Matrix, *, trade: float = TRADE) -> tuple[list[int], Floats]:
    """All positions by maximal marginal relevance, and the value each had when it was chosen, float64 (n,).

    The next one is always the largest trade * relevance - (1 - trade) * (largest cosine with one already chosen); the
    first is the most relevant. `relevance`: float64 (n,); `vectors`: unit rows, float32 (n, d). Equal values go in
    the order given. Takes n * n * d multiplications and no n x n matrix.

    >>> x = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    >>> marginal_order(np.array([0.9, 0.8, 0.7]), x, trade=0.5)[0]
    [0, 2, 1]
    """
    count = len(relevance)
    values = settled(trade * relevance)
    alike = np.full(count, -np.inf)
    left = np.ones(count, np.bool_)
    chosen: list[int] = []
    marginal = np.empty(count)
    while len(chosen) < count:
        now = values if not chosen else settled(values - (1.0 - trade) * alike)
        best = int(np.argmax(np.where(left, now, -np.inf)))
        marginal[best] = now[best]
        left[best] = False
        chosen.append(best)
        np.maximum(alike, vectors @ vectors[best], out=alike)
    return chosen, marginal


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Mmr(VectorReranker):
    """A stage that orders by maximal marginal relevance; see `mmr`."""

    trade: float = TRADE
    relevance: Relevance = "score"
    compares_kinds: ClassVar[bool] = False

    def check(self) -> None:
        number(self.name, 0, 1, trade=self.trade)
        one_of(self.name, get_args(Relevance), relevance=self.relevance)

    @property
    def name(self) -> str:
        return "mmr"

    def ask(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> Sequence[Asked]:
        if self.relevance == "score":
            return unasked(batch)
        found: Sequence[Asked] = self.source.query_vectors([query for query, _ in batch], compose=self.compose)
        return found

    def rescore(self, shortlist: Shortlist) -> Rescored:
        vectors = shortlist.matrix
        if self.relevance == "score":
            relevance, note = first_share(shortlist.hits)
        else:
            relevance, note = (vectors @ shortlist.vector).astype(np.float64), None
        order, values = marginal_order(relevance, vectors, trade=self.trade)
        return Rescored(values, order=order, note=note)


def mmr(
    source: VectorSource,
    *,
    trade: float = TRADE,
    depth: int | None = None,
    relevance: Relevance = "score",
    compose: Compose = None,
) -> Mmr:
    """A Stage for variety: each next hit is relevant (`trade`) and unlike those above it (1 - `trade`).

    `relevance`: "score", what the hits came with, brought to 0..1 (ranks where their scores do not compare), so that
    it respects a judge before it and embeds no query; "cosine" of query and Item, as in the paper. 1 keeps the order
    of relevance, 0 looks at variety alone. Raises `UsageError` for settings that mean nothing.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> mmr(GivenVectors(), trade=0.5, depth=50)
    mmr(GivenVectors(), depth=50, trade=0.5)
    """
    return Mmr(source=source, trade=trade, depth=depth, relevance=relevance, compose=compose)
