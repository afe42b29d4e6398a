"""Queries on their way to vectors: each is checked alone and fails alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from mmrank.compose import Compose, Composed, compose_queries
from mmrank.embed.base import Embedder
from mmrank.errors import MmrankError, UsageError
from mmrank.index.exact import Matrix
from mmrank.index.hybrid import sought
from mmrank.index.options import Mode
from mmrank.types import Cost, Query


def askable(queries: Sequence[Query], mode: Mode, *, strict: bool) -> tuple[dict[int, Query], dict[int, MmrankError]]:
    """The queries that can be asked, by number, and what is wrong with the others; `strict` raises that instead."""
    asked: dict[int, Query] = {}
    failed: dict[int, MmrankError] = {}
    for i, query in enumerate(queries):
        try:
            if query.empty:
                raise UsageError(f"Query {query.id!r} is empty; give it a text, an image or a video.")
            check_unicode(query)
            if mode != "vector":
                sought(query)
        except UsageError as error:
            if strict:
                raise
            failed[i] = error
        else:
            asked[i] = query
    return asked, failed


def check_unicode(query: Query) -> None:
    """Half a surrogate pair (text cut in the middle of one, a badly decoded file) is no text a model or index takes."""
    for text in (query.text or "", *query.turns):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"The text of query {query.id!r} is not valid Unicode: it has {text[error.start]!r} at position "
                f"{error.start}. Decode it with the encoding it was written in, or with errors='replace'."
            ) from error


def vectors_or_errors(embedder: Embedder, queries: Sequence[Query], form: Compose) -> list[Matrix | MmrankError]:
    """For each query its vector, float32 (d,), or why it has none; one bad file costs one query.

    Raises `UsageError` for a form of two vectors, as `embed_queries` does.
    """
    composed = compose_queries(embedder, queries, form)
    return [one if isinstance(one, MmrankError) else one.vector for one in composed]


def embed_queries(
    embedder: Callable[[], Embedder], queries: Sequence[Query], form: Compose
) -> list[tuple[Matrix, Cost] | MmrankError]:
    """For each query its vector and what that took (loading the model apart), or why it has none."""
    out: list[tuple[Matrix, Cost] | MmrankError | None] = [fault_of(query) for query in queries]
    todo = [i for i, fault in enumerate(out) if fault is None]
    if todo:
        loaded = embedder()  # loading a model is no query's cost
        for i, composed in zip(todo, timed(loaded, [queries[i] for i in todo], form), strict=True):
            if isinstance(composed, MmrankError):
                out[i] = composed
            else:
                out[i] = (composed.vector, composed.cost)
    return [one for one in out if one is not None]


def timed(embedder: Embedder, queries: Sequence[Query], form: Compose) -> list[Composed | MmrankError]:
    """The queries composed, each with its share of the seconds in its cost."""
    start = time.perf_counter()
    found = compose_queries(embedder, queries, form)
    each = Cost(seconds=(time.perf_counter() - start) / max(len(queries), 1))
    return [one if isinstance(one, MmrankError) else replace(one, cost=one.cost + each) for one in found]


def fault_of(query: Query) -> UsageError | None:
    """What `check_unicode` has against a query, if anything."""
    try:
        check_unicode(query)
    except UsageError as error:
        return error
    return None
