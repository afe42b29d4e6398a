"""Queries on their way to vectors: each is checked alone and fails alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mmrank.embed.base import Embedder
from mmrank.errors import MmrankError, UsageError
from mmrank.index.exact import Matrix
from mmrank.types import Cost, Query


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


def vectors_or_errors(embedder: Embedder, queries: Sequence[Query], form: str | None) -> list[Matrix | MmrankError]:
    """For each query its vector, float32 (d,), or why it has none.

    All in one batch; after a failed batch one query at a time, so that one bad file costs one query.
    """
    from mmrank.compose import query_vectors

    try:
        return list(query_vectors(embedder, queries, form=form))
    except MmrankError:
        return [_alone(embedder, query, form) for query in queries]


def _alone(embedder: Embedder, query: Query, form: str | None) -> Matrix | MmrankError:
    from mmrank.compose import query_vectors

    try:
        vector: Matrix = query_vectors(embedder, [query], form=form)[0]
    except MmrankError as error:
        return error
    return vector


def embed_queries(
    embedder: Callable[[], Embedder], queries: Sequence[Query], form: str | None
) -> list[tuple[Matrix, Cost] | MmrankError]:
    """For each query its vector and what that took (loading the model apart), or why it has none."""
    out: list[tuple[Matrix, Cost] | MmrankError | None] = [_fault(query) for query in queries]
    todo = [i for i, fault in enumerate(out) if fault is None]
    if todo:
        loaded = embedder()  # loading a model is no query's cost
        start = time.perf_counter()
        found = vectors_or_errors(loaded, [queries[i] for i in todo], form)
        each = (time.perf_counter() - start) / len(todo)
        for i, one in zip(todo, found, strict=True):
            out[i] = one if isinstance(one, MmrankError) else (one, cost_of(queries[i], form, each))
    return [one for one in out if one is not None]


def cost_of(query: Query, form: str | None, seconds: float) -> Cost:
    """What embedding one query cost: a model call, and its images where the form looks at them."""
    from mmrank.compose.forms import choose_form

    images = len(query.images) if "image" in choose_form(query, form).needs else 0
    return Cost(model_calls=1, images_encoded=images, seconds=seconds)


def _fault(query: Query) -> UsageError | None:
    try:
        check_unicode(query)
    except UsageError as error:
        return error
    return None
