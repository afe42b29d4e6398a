"""E2Rank: one embedder also reranks. The first hits and the query are written into one text, which is embedded.

Alibaba-NLP/E2Rank describes it for its own text model, whose exact wording belongs to its checkpoint (its README and
`src/eval.py`) and can be given as `write`. The wording here is our stand-in for other embedders. Pictures in that
query are our own, unproven idea.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from mmrank.compose.choose import Compose
from mmrank.errors import MmrankError
from mmrank.rerank.vectors.settings import whole
from mmrank.rerank.vectors.source import Asked, VectorSource
from mmrank.rerank.vectors.stage import Rescored, Shortlist, VectorReranker
from mmrank.types import Hit, Item, Query

DEPTH = 100
FEEDBACK = 20
WORDS = 1024
"""Candidates scored, documents in the query, and words of each document, as in the paper."""

TASK = "Find the documents that answer the search query; some candidates are listed first."

Write: TypeAlias = Callable[[Query, Sequence[Item]], Query]
"""Makes the listwise query of a Query and its first Items, best first."""


def listwise_text(query: str, documents: Sequence[str], *, task: str = TASK, words: int = WORDS) -> str:
    """A task, the documents numbered from 1 (each at most `words` words), and the query, a line each.

    >>> print(listwise_text("a red boat", ["boats in harbour", "cats"], task="Find it.", words=2))
    Find it.
    [1] boats in
    [2] cats
    Search query: a red boat
    """
    listed = [f"[{number}] {' '.join(text.split()[:words])}" for number, text in enumerate(documents, 1)]
    return "\n".join([task, *listed, f"Search query: {query}"])


def listwise_query(query: Query, items: Sequence[Item], *, pictures: bool = False) -> Query:
    """The Query whose embedding reranks: its text, turns included, with the Items' texts before it.

    An Item without a text is left out. `pictures`: the Items' pictures go in as images too (unproven). The query's own
    images stay in.
    """
    spoken = " ".join([*query.turns, *([query.text] if query.text else [])])
    text = listwise_text(spoken, [item.text for item in items if item.text])
    shown = [item.image if item.image is not None else item.uri for item in items if item.kind in ("image", "page")]
    images = [*query.images, *(image for image in shown if image is not None)] if pictures else list(query.images)
    return replace(query, text=text, turns=(), image=images or None)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class E2Rank(VectorReranker):
    """A stage that embeds the query with its first hits and orders by the cosine with it; see `e2rank`."""

    depth: int | None = DEPTH
    feedback: int = FEEDBACK
    write: Write = listwise_query

    def check(self) -> None:
        whole(self.name, 1, feedback=self.feedback)

    @property
    def name(self) -> str:
        return "e2rank"

    def ask(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> Sequence[Asked]:
        queries: dict[int, Query] = {}
        out: list[Asked | None] = [None] * len(batch)
        for i, (query, hits) in enumerate(batch):
            try:
                queries[i] = self.write(query, [hit.item for hit in hits[: self.feedback]])
            except MmrankError as error:
                out[i] = error
        found = self.source.query_vectors([*queries.values()], compose=self.compose) if queries else []
        for i, asked in zip(queries, found, strict=True):
            out[i] = asked
        return [asked for asked in out if asked is not None]

    def rescore(self, shortlist: Shortlist) -> Rescored:
        silent = sum(not hit.item.text for hit in shortlist.hits[: self.feedback])
        note = f"{silent} of the first {self.feedback} hits have no text for the listwise query." if silent else None
        return Rescored((shortlist.matrix @ shortlist.vector).astype(np.float64), note=note)


def e2rank(
    source: VectorSource,
    *,
    depth: int | None = DEPTH,
    feedback: int = FEEDBACK,
    write: Write = listwise_query,
    compose: Compose = None,
) -> E2Rank:
    """A Stage: the first `depth` hits by the cosine of their stored vectors with the embedded listwise query.

    One more embedding a query. It needs an embedder trained for it: one that was not reads the list as a long query.
    `write` makes the listwise Query; give the checkpoint's own form where it has one. Raises `UsageError` for settings
    that mean nothing.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> e2rank(GivenVectors(), depth=50).feedback
    20
    """
    return E2Rank(source=source, depth=depth, feedback=feedback, write=write, compose=compose)
