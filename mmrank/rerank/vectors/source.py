"""Where the vectors of Items and Queries come from: an `Index`, or any object of one's own with these methods.

A stage names in its `source` only what it needs: vectors, frame vectors or token vectors. Ids a source does not know
are left out of what it returns; a query it cannot embed is answered with the error, so that the other queries go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.compose.choose import Compose
from mmrank.errors import EmbedderError, MmrankError
from mmrank.types import Cost, Query

Vector: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (dimension,)."""

Matrix: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (n, dimension)."""

Asked: TypeAlias = tuple[Vector, Cost] | MmrankError
"""A query's vector, or its token vectors, and what they cost; or why there are none."""


class AskingSource(Protocol):
    """Gives the vectors of Queries."""

    def query_vectors(self, queries: Sequence[Query], *, compose: Compose = None) -> Sequence[Asked]:
        """One answer per Query, in order: a unit vector, float32 (dimension,). `compose`: see `mmrank.compose`."""
        ...


class VectorSource(AskingSource, Protocol):
    """Gives one vector per Item and Query. An `Index` is one."""

    def known_vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        """Vectors by Item id, float32 (dimension,)."""
        ...


class FrameSource(AskingSource, Protocol):
    """Gives the vectors of videos' frames. An `Index` is one."""

    def frame_vectors(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
        """Unit vectors by Item id, float32 (frames, dimension)."""
        ...


class LocalSource(AskingSource, Protocol):
    """Gives the local tokens of Items (patches, words), and one vector per Query."""

    def token_vectors(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
        """Token vectors by Item id, float32 or float16 (tokens, dimension)."""
        ...


class TokenSource(Protocol):
    """Late interaction: several vectors per Item and per Query."""

    def token_vectors(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
        """Token vectors by Item id, float32 or float16 (tokens, dimension)."""
        ...

    def query_tokens(self, queries: Sequence[Query]) -> Sequence[Asked]:
        """One answer per Query, in order: token vectors, float32 (tokens, dimension), padding left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenVectors:
    """Vectors one has already, by id: a source for every stage of this room, without an index and without a model.

    `items`: Item id to (d,). `frames`, `tokens`: Item id to (n, d). `queries`: Query id to (d,), `asked_tokens`: Query
    id to (n, d). Vectors are taken as they are; cosines need unit length.

    >>> given = GivenVectors(items={"a": np.ones(2, np.float32)}, queries={"q": np.ones(2, np.float32)})
    >>> sorted(given.known_vectors(["a", "b"]))
    ['a']
    """

    items: Mapping[str, Vector] = field(default_factory=dict, repr=False)
    queries: Mapping[str, Vector] = field(default_factory=dict, repr=False)
    frames: Mapping[str, Matrix] = field(default_factory=dict, repr=False)
    tokens: Mapping[str, Matrix] = field(default_factory=dict, repr=False)
    asked_tokens: Mapping[str, Matrix] = field(default_factory=dict, repr=False)

    def known_vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        return {i: self.items[i] for i in ids if i in self.items}

    def frame_vectors(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
        return {i: self.frames[i] for i in ids if i in self.frames}

    def token_vectors(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
        return {i: self.tokens[i] for i in ids if i in self.tokens}

    def query_vectors(self, queries: Sequence[Query], *, compose: Compose = None) -> Sequence[Asked]:
        return [_given(self.queries, query, "vector") for query in queries]

    def query_tokens(self, queries: Sequence[Query]) -> Sequence[Asked]:
        return [_given(self.asked_tokens, query, "token vectors") for query in queries]


def _given(known: Mapping[str, Vector], query: Query, what: str) -> Asked:
    if query.id in known:
        return known[query.id], Cost()
    return EmbedderError(f"Query {query.id!r} has no {what} among the {len(known)} given; add it under that id.")
