"""Queries to vectors, many at once: every text and every picture goes through the model once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL.Image import Image

from mmrank.compose.forms import TEXT_WEIGHT, Sides, Vector, choose_form, query_text
from mmrank.embed.base import Embedder, MediaNeeds, Vectors
from mmrank.embed.vectors import mean_unit
from mmrank.errors import EmbedderError, MediaError, UsageError
from mmrank.media.image import open_image
from mmrank.media.uri import split_uri
from mmrank.media.video import sample_frames
from mmrank.types import ImageSource, Query

PICTURES_HELD = 64
"""Decoded pictures in memory at once, about; a thousand queries with a photograph each must not need them all."""

PictureKey: TypeAlias = Hashable


@dataclass(frozen=True, slots=True)
class _Picture:
    """An image or a video of a query, not opened yet."""

    key: PictureKey
    source: ImageSource
    is_video: bool
    query_id: str

    def open(self, needs: MediaNeeds) -> tuple[Image, ...]:
        try:
            if not self.is_video:
                return (open_image(self.source, size=needs.size),)
            assert isinstance(self.source, str | Path)
            span = split_uri(self.source).span
            return sample_frames(self.source, frames=needs.frames, span=span, size=needs.size).images
        except MediaError as error:
            raise MediaError(f"Query {self.query_id!r}: {error}") from error


def query_vectors(
    embedder: Embedder, queries: Sequence[Query], form: str | None = None, *, text_weight: float = TEXT_WEIGHT
) -> Vectors:
    """Unit vectors of queries, float32, shape (n, dimension), in order.

    `form`: ``image``, ``text`` or ``sum`` (see `FORMS`); when None, ``sum`` for a query with a picture and a text,
    the side it has otherwise. ``sum`` is the renormalised ``(1 - text_weight) * image + text_weight * text`` of unit
    vectors. Several images, and a video's frames, are averaged. Dialogue turns stand before the text. A side that
    the form does not use is neither opened nor embedded; equal texts and pictures are embedded once.
    Instructions are for embedders that were trained with them; two-tower models were not.

    Raises `UsageError` for an empty query or one that lacks what the form needs, `MediaError` for a picture that
    cannot be read, `EmbedderError` for a vector that is none. Each names the query or the text.

        query_vectors(embedder, [Query(image="ref.jpg", text="the same place at night")]).shape     # (1, 512)
    """
    if not 0 <= text_weight <= 1:
        raise UsageError(f"text_weight is {text_weight}; it must lie between 0 (picture only) and 1 (text only).")
    forms = [choose_form(query, form) for query in queries]
    pictures = [_pictures(query) if "image" in form.needs else () for query, form in zip(queries, forms, strict=True)]
    wanted = [query_text(query) if "text" in form.needs else "" for query, form in zip(queries, forms, strict=True)]
    by_text = _embed_texts(embedder, wanted)
    by_picture = _embed_pictures(embedder, pictures)
    vectors = np.empty((len(queries), embedder.dimension), np.float32)
    for place, (query, chosen) in enumerate(zip(queries, forms, strict=True)):
        own = [by_picture[picture.key] for picture in pictures[place]]
        try:
            sides = Sides(image=mean_unit(np.stack(own)) if own else None, text=by_text.get(wanted[place]))
            vectors[place] = chosen.combine(sides, text_weight)
        except EmbedderError as error:
            raise EmbedderError(f"Query {query.id!r}: {error}.") from error
    return vectors


def _pictures(query: Query) -> tuple[_Picture, ...]:
    images = [_Picture(_key(source), source, is_video=False, query_id=query.id) for source in query.images]
    if query.video:
        images.append(_Picture(("video", str(query.video)), query.video, is_video=True, query_id=query.id))
    return tuple(images)


def _key(source: ImageSource) -> PictureKey:
    """Equal for what is the same picture without looking into it. The queries keep their objects alive meanwhile."""
    return source if isinstance(source, bytes) else str(source) if isinstance(source, str | Path) else id(source)


def _embed_texts(embedder: Embedder, texts: Sequence[str]) -> dict[str, Vector]:
    unique = [text for text in dict.fromkeys(texts) if text]
    return dict(zip(unique, embedder.embed_texts(unique), strict=True)) if unique else {}


def _embed_pictures(embedder: Embedder, pictures: Sequence[Sequence[_Picture]]) -> dict[PictureKey, Vector]:
    unique = {picture.key: picture for own in pictures for picture in own}
    vectors: dict[PictureKey, Vector] = {}
    for block in _blocks(list(unique.values()), embedder.needs):
        try:
            rows = iter(embedder.embed_images([image for _, images in block for image in images]))
        except EmbedderError:
            rows = iter(np.concatenate([_embed_alone(embedder, picture, images) for picture, images in block]))
        for picture, images in block:
            vectors[picture.key] = mean_unit(np.stack([next(rows) for _ in images]))
    return vectors


def _embed_alone(embedder: Embedder, picture: _Picture, images: Sequence[Image]) -> Vectors:
    """After a block has failed: the same again, one by one, so that the error can name the query."""
    try:
        return embedder.embed_images(images)
    except EmbedderError as error:
        raise EmbedderError(f"Query {picture.query_id!r}: {error}") from error


def _blocks(pictures: Sequence[_Picture], needs: MediaNeeds) -> Iterator[list[tuple[_Picture, tuple[Image, ...]]]]:
    """Opened pictures, about `PICTURES_HELD` images at a time."""
    block: list[tuple[_Picture, tuple[Image, ...]]] = []
    held = 0
    for picture in pictures:
        images = picture.open(needs)
        block.append((picture, images))
        held += len(images)
        if held >= PICTURES_HELD:
            yield block
            block, held = [], 0
    if block:
        yield block
