"""What an embedder is: Items and Queries in, vectors out.

Work is cut in two so that a build can overlap it: `prepare` runs in a decode worker (no model,
no torch), `embed` runs the model on a batch of prepared items in one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from mmrank.errors import EmbedderError
from mmrank.media.load import Loaded
from mmrank.types import Kind

Vectors: TypeAlias = npt.NDArray[np.float32]
"""float32, shape (n, dimension), rows of unit length unless said otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaNeeds:
    """What an embedder wants decoded: no more pixels or frames than it will look at.

    `size`: the shorter side in pixels the model resizes to; decoders may stop at a larger one.
    `frames`: how many frames of a video.
    """

    size: int = 224
    frames: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What makes two sets of vectors comparable: same weights, same preprocessing, same dimension."""

    weights: str
    preprocessing: str
    dimension: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """The vectors of one item.

    `vector`: float32 (dimension,), unit length: the picture of an image, page or video, or the content of a text.
    `text_vector`: float32 (dimension,) or None: a page's text layer in the same space.
    `frame_vectors`: float32 (frames, dimension) or None: the unit vectors a video's `vector` is the mean of.
    """

    vector: npt.NDArray[np.float32]
    text_vector: npt.NDArray[np.float32] | None = None
    frame_vectors: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedQuery:
    """A Query with its media decoded: what a `QueryEmbedder` is given.

    `text`: the query's words, then its dialogue turns. `images`: RGB, upright. `frames` and `times` (seconds): those
    of its video, in order. `instruction`: the query's own; the embedder has a default.
    """

    id: str
    text: str | None = None
    images: tuple[Image, ...] = field(default=(), repr=False)
    frames: tuple[Image, ...] = field(default=(), repr=False)
    times: tuple[float, ...] = ()
    instruction: str | None = None


class BatchError(EmbedderError):
    """Some items of a batch gave no vector; the others did, and their vectors are here, so nothing is computed twice.

    `embedded`: one entry per prepared item, in order, None where it failed.
    `failures`: position in the batch -> what went wrong, naming the item.

    >>> error = BatchError([None], {0: "item 'a' has no finite vector"})
    >>> error.failures[0]
    "item 'a' has no finite vector"
    """

    def __init__(self, embedded: Sequence[Embedded | None], failures: Mapping[int, str]) -> None:
        self.embedded = tuple(embedded)
        self.failures = dict(failures)
        reasons = "; ".join(self.failures[position] for position in sorted(self.failures))
        super().__init__(f"{len(self.failures)} of {len(self.embedded)} items could not be embedded: {reasons}")


@runtime_checkable
class Embedder(Protocol):
    """Items or texts and images to unit vectors in one space.

    The text of an image or a video is a caption, for text search: an index takes it to be no part of the vectors, and
    keeps them when it changes. An embedder that reads it says so with an attribute ``embeds_captions = True``.
    """

    @property
    def spec(self) -> str:
        """The spec that loads it again, for example ``open_clip:ViT-B-32/laion2b_s34b_b79k``."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def fingerprint(self) -> Fingerprint: ...

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of Item it can embed."""
        ...

    @property
    def needs(self) -> MediaNeeds: ...

    @property
    def warning(self) -> str | None:
        """What a caller must tell its user before trusting the vectors, or None; "trained on ... only"."""
        ...

    def prepare(self, loaded: Loaded) -> Any:
        """Everything that needs no model: resize, crop, chunk the text. Thread-safe; raises `MediaError`."""
        ...

    def embed(self, prepared: Sequence[Any]) -> list[Embedded]:
        """Vectors for a batch of what `prepare` gave, in order. A mixed batch of kinds is allowed.

        Raises `BatchError` when single items fail (a vector with NaN, say): it names them and carries the
        vectors of all the others, so that a build goes on with the rest.
        """
        ...

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Query-side text vectors, shape (n, dimension). Long texts are chunked, never cut silently."""
        ...

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        """Query-side image vectors, shape (n, dimension)."""
        ...


@runtime_checkable
class QueryEmbedder(Protocol):
    """What an `Embedder` offers besides, if it was trained on queries of text and pictures together.

    Whoever composes queries asks ``isinstance(embedder, QueryEmbedder)``: such an embedder is given a composed query
    whole; for all others the vectors of `embed_texts` and `embed_images` are mixed (`mmrank.compose`).
    """

    def embed_queries(self, queries: Sequence[OpenedQuery]) -> list[npt.NDArray[np.float32] | EmbedderError]:
        """For each query, in order, a unit vector, float32 (dimension,), or why it has none. The others go on."""
        ...
