"""What all embedders do with a batch whose vectors are there: one result each, a failure named and the rest kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from mmrank.embed.base import BatchError, Embedded, Vectors
from mmrank.embed.vectors import mean_unit
from mmrank.errors import EmbedderError, UsageError
from mmrank.types import Kind

Array = npt.NDArray[np.float32]


class Named(Protocol):
    """What a prepared item says about itself."""

    @property
    def kind(self) -> Kind: ...

    @property
    def id(self) -> str: ...


P = TypeVar("P", bound=Named)


def embedded_each(prepared: Sequence[P], make: Callable[[P], Embedded]) -> list[Embedded]:
    """`make` of every prepared item, in order; an `EmbedderError` it raises is that item's alone.

    Raises `BatchError` when there are such: it names the items and carries what the others gave.
    """
    embedded: list[Embedded | None] = []
    failures: dict[int, str] = {}
    for position, one in enumerate(prepared):
        try:
            embedded.append(make(one))
        except EmbedderError as error:
            embedded.append(None)
            failures[position] = f"{one.kind} {one.id!r}: {error}"
    if failures:
        raise BatchError(embedded, failures)
    return [one for one in embedded if one is not None]


def of_parts(kind: Kind, pictures: Sequence[Array], chunks: Sequence[Array]) -> Embedded:
    """One item from the unit vectors of its pictures and of its text's chunks, (d,) each; it has one or the other.

    A video keeps its frames' vectors. Raises `EmbedderError` for a vector that is not finite.
    """
    text = mean_unit(np.stack(chunks)) if chunks else None
    if not pictures:
        assert text is not None  # `prepare` gives every item one or the other
        return Embedded(vector=text)
    frames = np.stack(pictures)
    return Embedded(vector=mean_unit(frames), text_vector=text, frame_vectors=frames if kind == "video" else None)


def check_texts(texts: Sequence[str]) -> None:
    """Raise `UsageError` for an empty text among those to be embedded."""
    for position, text in enumerate(texts):
        if not text.strip():
            raise UsageError(f"Text {position + 1} of {len(texts)} is empty; there is nothing to embed.")


def text_name(texts: Sequence[str], position: int) -> str:
    """How an error names one of several texts.

    >>> text_name(["a dog", "a cat"], 1)
    "Text 2 of 2 ('a cat')"
    """
    return f"Text {position + 1} of {len(texts)} ({texts[position][:40]!r})"


def mean_texts(texts: Sequence[str], counts: Sequence[int], rows: Iterator[Array], dimension: int) -> Vectors:
    """One unit vector per text, float32 (n, dimension): the mean of its chunks, `counts[i]` of the next `rows` each.

    Raises `EmbedderError`, naming the text, for a vector that is not finite.
    """
    vectors = np.empty((len(texts), dimension), np.float32)
    for position, count in enumerate(counts):
        try:
            vectors[position] = mean_unit(np.stack([next(rows) for _ in range(count)]))
        except EmbedderError as error:
            raise EmbedderError(f"{text_name(texts, position)}: {error}") from None
    return vectors


def checked_pictures(vectors: Vectors) -> Vectors:
    """Unit vectors of pictures, as they are. Raises `EmbedderError`, naming its place, for one that is none."""
    for position, vector in enumerate(vectors):
        try:
            vectors[position] = mean_unit(vector[None])
        except EmbedderError as error:
            raise EmbedderError(f"Image {position + 1} of {len(vectors)}: {error}") from None
    return vectors
