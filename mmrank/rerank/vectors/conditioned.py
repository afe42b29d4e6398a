"""The hook for models whose Items have no single vector: an Item's local tokens are read with the query in mind.

FLAIR (arXiv 2412.03561) pools an image's local tokens by attention that the text steers, with weights of its own; it
retrieves by global vectors and rescores the first 128 or 256 this way. Such a model is a `Rescore`; here are the stage
that calls one, and `attention_pool`, which needs no weights and is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from mmrank.compose.choose import Compose
from mmrank.rerank.vectors.source import LocalSource, Matrix, Vector
from mmrank.rerank.vectors.stage import Rescored, Shortlist, VectorReranker

DEPTH = 128
TEMPERATURE = 0.07
"""CLIP's initial temperature; smaller looks at fewer tokens."""


class Rescore(Protocol):
    """Scores one Item for one Query: higher = better, NaN where it cannot.

    `query_vector`: float32 (d,). `local_tokens`: float32 or float16 (tokens, d), at least one. Raise a
    `mmrank.errors.MmrankError` when the model fails: the query then keeps its order and says why.
    """

    def __call__(self, query_vector: Vector, local_tokens: Matrix) -> float: ...


def attention_pool(query_vector: Vector, local_tokens: Matrix) -> float:
    """The cosine of the query with the tokens' mean, weighted by the softmax of their dot products / 0.07.

    >>> attention_pool(np.array([1, 0], np.float32), np.eye(2, dtype=np.float32)) > 0.99
    True
    """
    tokens = local_tokens.astype(np.float64)
    steered = tokens @ query_vector / TEMPERATURE
    weights = np.exp(steered - steered.max())
    pooled = weights @ tokens
    return float(pooled @ query_vector / max(np.linalg.norm(pooled), np.finfo(np.float64).tiny))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TextConditioned(VectorReranker):
    """A stage that orders by a `Rescore`; see `text_conditioned`."""

    depth: int | None = DEPTH
    score: Rescore = attention_pool
    wanted: ClassVar[str] = "local tokens"
    held_at_once: ClassVar[int] = 256
    """Hits: with 256 tokens of 512 dimensions 128 MiB."""

    @property
    def name(self) -> str:
        return "text_conditioned"

    def hold(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
        found: Mapping[str, Matrix] = self.source.token_vectors(ids)
        return found

    def rescore(self, shortlist: Shortlist) -> Rescored:
        scores = np.array([self.score(shortlist.vector, tokens) for tokens in shortlist.held], dtype=np.float64)
        unknown = int(np.isnan(scores).sum())
        error = f"{unknown} of {len(scores)} hits got NaN and stand behind." if unknown else None
        return Rescored(scores, error=error)


def text_conditioned(
    source: LocalSource, score: Rescore = attention_pool, *, depth: int | None = DEPTH, compose: Compose = None
) -> TextConditioned:
    """A Stage: the first `depth` hits by what `score` makes of the query's vector and each Item's local tokens.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> text_conditioned(GivenVectors(), depth=256).depth
    256
    """
    return TextConditioned(source=source, score=score, depth=depth, compose=compose)
