"""What an embedder is that gives many vectors an Item, for late interaction, beside the pooled one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from mmrank.embed.base import Embedded, Embedder

Tokens: TypeAlias = npt.NDArray[np.float16]
"""Unit token vectors, float16, (tokens, dimension), without padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensEmbedded(Embedded):
    """The vectors of one item, the many and the one.

    `token_vectors`: float16 (tokens, dimension), one at least, unit length each; `vector`, for a first stage, is
    pooled of them.

    >>> tokens = np.eye(2, dtype=np.float16)
    >>> TokensEmbedded(vector=np.ones(2, np.float32) / np.sqrt(2), token_vectors=tokens).token_vectors.shape
    (2, 2)
    """

    token_vectors: Tokens = field(repr=False)


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An `Embedder` whose `embed` gives a `TokensEmbedded` for each item: an index keeps the token vectors too.

    Token vectors have the embedder's `dimension`, and all that changes them is in its `fingerprint`.
    """

    def query_tokens(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The token vectors of query texts, float32 (tokens, dimension) each, padding left out.

        Raises `UsageError` for an empty text, `EmbedderError` for vectors that are not finite; both name the text.
        """
        ...
