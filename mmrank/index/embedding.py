"""A batch through the embedder, with every vector looked at before it is believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmrank.embed.base import BatchError, Embedded, Embedder
from mmrank.embed.late_base import TokenEmbedder, Tokens, TokensEmbedded
from mmrank.index.work import Work, explain

LENGTH_TOLERANCE = 1e-2
"""How far a vector's length may be off 1: half precision rounds by up to 1e-3, anything more is not normalised."""


def embed_batch(embedder: Embedder, batch: Sequence[Work]) -> None:
    """Give every content of a batch its vectors, or the reason why it has none. Nothing is raised for an item."""
    leaders = [work for work in batch if work.leads and work.content.error is None]
    if leaders:
        _embed(embedder, leaders)
    for work in leaders:
        work.prepared = None
        content = work.content
        if content.embedded is not None:
            content.error = _fault(content.embedded, embedder.dimension)
            if content.error is None and isinstance(embedder, TokenEmbedder):
                content.error = _token_fault(content.embedded, embedder)


def _embed(embedder: Embedder, leaders: Sequence[Work]) -> None:
    try:
        results: Sequence[Embedded | None] = embedder.embed([work.prepared for work in leaders])
    except BatchError as error:
        for position, why in error.failures.items():
            leaders[position].content.error = why
        results = error.embedded
    except Exception as error:  # noqa: BLE001 - any model may be behind it; one bad item must not take the rest along
        if len(leaders) == 1:
            leaders[0].content.error = explain(error)
        else:  # find out whose fault it is; halves also fit where the whole ran out of memory
            middle = len(leaders) // 2
            _embed(embedder, leaders[:middle])
            _embed(embedder, leaders[middle:])
        return
    if len(results) != len(leaders):
        wrong = f"{embedder.spec} gave {len(results)} results for a batch of {len(leaders)}; it must give one for each"
        for work in leaders:
            work.content.error = wrong
        return
    for work, embedded in zip(leaders, results, strict=True):
        work.content.embedded = embedded
        if embedded is None and work.content.error is None:
            work.content.error = f"{embedder.spec} gave no vector and no reason"


def _fault(embedded: Embedded, dimension: int) -> str | None:
    """What is wrong with the vectors of one item, if anything."""
    for name, vectors in (
        ("vector", embedded.vector),
        ("text vector", embedded.text_vector),
        ("frame vectors", embedded.frame_vectors),
    ):
        wrong = None if vectors is None else _wrong(np.atleast_2d(vectors), dimension)
        if wrong is not None:
            return f"the embedder's {name} {wrong}"
    return None


def _token_fault(embedded: Embedded, embedder: TokenEmbedder) -> str | None:
    """What is wrong with the token vectors of one item, if anything."""
    if not isinstance(embedded, TokensEmbedded) or not len(embedded.token_vectors):
        return f"{embedder.spec} gives token vectors, and gave none here"
    wrong = _wrong(embedded.token_vectors, embedder.dimension)
    return None if wrong is None else f"one of the embedder's token vectors {wrong}"


def _wrong(vectors: npt.NDArray[np.float32] | Tokens, dimension: int) -> str | None:
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        return f"has shape {vectors.shape}, not {dimension} numbers"
    lengths = np.linalg.norm(vectors.astype(np.float64, copy=False), axis=1)
    if not np.isfinite(lengths).all():
        return "holds NaN or infinity"
    if (np.abs(lengths - 1) > LENGTH_TOLERANCE).any():
        return f"has length {lengths[np.argmax(np.abs(lengths - 1))]:.4g}; it must be a unit vector"
    return None
