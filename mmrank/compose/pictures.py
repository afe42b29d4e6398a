"""The pictures of queries: opened a block at a time, embedded once each, each failing alone."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL.Image import Image

from mmrank.compose.sides import Vector
from mmrank.embed.base import Embedder, MediaNeeds, Vectors
from mmrank.embed.vectors import mean_unit
from mmrank.errors import EmbedderError, MediaError
from mmrank.media.image import open_image
from mmrank.media.uri import split_uri
from mmrank.media.video import sample_frames
from mmrank.types import ImageSource, Query

PICTURES_HELD = 64
"""Decoded pictures in memory at once, about; a thousand queries with a photograph each must not need them all."""

PictureKey: TypeAlias = Hashable

Embedded: TypeAlias = "Vector | MediaError | EmbedderError"
"""The vector of one picture or video, or why it has none."""


@dataclass(frozen=True, slots=True)
class QueryPicture:
    """An image or a video of a query, not opened yet. Equal keys are the same picture."""

    key: PictureKey
    source: ImageSource
    is_video: bool

    def open(self, needs: MediaNeeds) -> tuple[tuple[Image, ...], tuple[float, ...]]:
        """Its images, and for a video their times in seconds. Raises `MediaError`."""
        if not self.is_video:
            return (open_image(self.source, size=needs.size),), ()
        assert isinstance(self.source, str | Path)
        sampled = sample_frames(self.source, frames=needs.frames, span=split_uri(self.source).span, size=needs.size)
        return sampled.images, sampled.times


def pictures_of(query: Query) -> tuple[QueryPicture, ...]:
    """A query's images, then its video."""
    images = [QueryPicture(_key(source), source, is_video=False) for source in query.images]
    if query.video:
        images.append(QueryPicture(("video", str(query.video)), query.video, is_video=True))
    return tuple(images)


def _key(source: ImageSource) -> PictureKey:
    """Equal for what is the same picture without looking into it. The queries keep their objects alive meanwhile."""
    return source if isinstance(source, bytes) else str(source) if isinstance(source, str | Path) else id(source)


def picture_vectors(embedder: Embedder, pictures: Sequence[QueryPicture]) -> Mapping[PictureKey, Embedded]:
    """For each picture its unit vector (a video's is the mean of its frames'), or why it has none."""
    out: dict[PictureKey, Embedded] = {}
    unique = {picture.key: picture for picture in pictures}
    for block in _blocks(list(unique.values()), embedder.needs, out):
        try:
            rows: Vectors | None = embedder.embed_images([image for _, images in block for image in images])
        except EmbedderError:
            rows = None  # one by one then, so that one picture's fault is not another's
        start = 0
        for picture, images in block:
            own = None if rows is None else rows[start : start + len(images)]
            start += len(images)
            try:
                out[picture.key] = mean_unit(embedder.embed_images(images) if own is None else np.asarray(own))
            except EmbedderError as error:
                out[picture.key] = error
    return out


def _blocks(
    pictures: Sequence[QueryPicture], needs: MediaNeeds, faults: dict[PictureKey, Embedded]
) -> Iterator[list[tuple[QueryPicture, tuple[Image, ...]]]]:
    """Opened pictures, about `PICTURES_HELD` images at a time; what cannot be opened goes to `faults`."""
    block: list[tuple[QueryPicture, tuple[Image, ...]]] = []
    held = 0
    for picture in pictures:
        try:
            images, _ = picture.open(needs)
        except MediaError as error:
            faults[picture.key] = error
            continue
        block.append((picture, images))
        held += len(images)
        if held >= PICTURES_HELD:
            yield block
            block, held = [], 0
    if block:
        yield block
