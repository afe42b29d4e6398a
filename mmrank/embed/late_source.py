"""Token vectors of queries, and of pages in memory: for exact MaxSim over candidates that no table holds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmrank.embed.late_base import TokenEmbedder, Tokens
from mmrank.errors import EmbedderError, MediaError, MmrankError, UsageError
from mmrank.media.load import load
from mmrank.types import Cost, Item, Query

if TYPE_CHECKING:
    from mmrank.embed.late import LateEmbedder

BUDGET = 1 << 30
"""Bytes of token vectors held: about 5,500 pages of 750 tokens and 128 numbers."""

Asked = tuple[npt.NDArray[np.float32], Cost] | MmrankError


class PageTokens:
    """What `mmrank.rerank.vectors.late_interaction` takes as its source, over a `LateEmbedder`.

        pages = PageTokens(load_embedder("colqwen2"))
        failed = pages.add(scan("reports/"))
        pipeline = index.retriever(k=50) >> late_interaction(pages, patience=12)

    `budget`: bytes of token vectors at most.
    """

    def __init__(self, embedder: LateEmbedder, *, budget: int = BUDGET) -> None:
        self.embedder = embedder
        self.budget = budget
        self._held: dict[str, Tokens] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"PageTokens({self.embedder.spec!r}, {len(self)} pages)"

    def add(self, items: Iterable[Item]) -> dict[str, str]:
        """Embed pages and images; those that are there already are embedded again. Returns id -> why, of the failed.

        Raises `UsageError` when the budget is spent; what was added before stays.
        """
        failed: dict[str, str] = {}
        needs = self.embedder.needs
        for item in items:
            try:
                prepared = self.embedder.prepare(load(item, size=needs.size, frames=needs.frames))
            except MediaError as error:
                failed[item.id] = str(error)
                continue
            (tokens,) = self.embedder.embed_tokens([prepared])
            if isinstance(tokens, EmbedderError):
                failed[item.id] = str(tokens)
                continue
            held = sum(own.nbytes for name, own in self._held.items() if name != item.id)
            if held + tokens.nbytes > self.budget:
                raise UsageError(
                    f"Page {item.id!r} does not fit: {len(self)} pages take {held} of {self.budget} bytes. "
                    "Give a larger budget=, or fewer pages."
                )
            self._held[item.id] = tokens
        return failed

    def token_vectors(self, ids: Sequence[str]) -> Mapping[str, Tokens]:
        """Unit token vectors by Item id, float16 (tokens, dimension); ids that were not added are left out."""
        return {name: self._held[name] for name in ids if name in self._held}

    def query_tokens(self, queries: Sequence[Query]) -> list[Asked]:
        """For each Query its token vectors, float32 (tokens, dimension), and their cost; or why there are none.

        A query's words, after its dialogue turns, are what counts; one without words has none.
        """
        return asked_tokens(self.embedder, queries)


def asked_tokens(embedder: TokenEmbedder, queries: Sequence[Query]) -> list[Asked]:
    """For each Query its token vectors, float32 (tokens, dimension), and their cost; or why there are none.

    A query's words, after its dialogue turns, are what counts; one without words has none.
    """
    return [_asked(embedder, query) for query in queries]


def _asked(embedder: TokenEmbedder, query: Query) -> Asked:
    start = time.perf_counter()
    text = "\n".join(part.strip() for part in (*query.turns, query.text or "") if part.strip())
    if not text:
        return UsageError(f"Query {query.id!r} has no words, and {embedder.spec} finds pages by words alone.")
    try:
        (tokens,) = embedder.query_tokens([text])
    except EmbedderError as error:
        return EmbedderError(f"Query {query.id!r}: {error}")
    return tokens, Cost(model_calls=1, tokens_in=len(tokens), seconds=time.perf_counter() - start)
