"""Queries given whole to an embedder that was trained on texts and pictures together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL.Image import Image

from mmrank.compose.pictures import PICTURES_HELD, pictures_of
from mmrank.compose.sides import Vector, query_text
from mmrank.embed.base import Embedder, OpenedQuery, QueryEmbedder
from mmrank.errors import EmbedderError, MediaError, MmrankError
from mmrank.types import Query


def whole_vectors(embedder: Embedder, queries: Mapping[int, Query]) -> dict[int, Vector | MmrankError]:
    """The vector of each query, float32 (d,), or why it has none; under the number it came with.

    Pictures are opened about `PICTURES_HELD` at a time.
    """
    assert isinstance(embedder, QueryEmbedder)  # the form is refused before for any other
    out: dict[int, Vector | MmrankError] = {}
    block: dict[int, OpenedQuery] = {}
    held = 0
    for number, query in queries.items():
        try:
            block[number] = opened = _opened(query, embedder)
        except MediaError as error:
            out[number] = error
            continue
        held += len(opened.images) + len(opened.frames)
        if held >= PICTURES_HELD:
            out |= _embedded(embedder, block)
            block, held = {}, 0
    return out | _embedded(embedder, block)


def _embedded(embedder: QueryEmbedder, block: Mapping[int, OpenedQuery]) -> dict[int, Vector | EmbedderError]:
    opened: Sequence[OpenedQuery] = [*block.values()]
    return dict(zip(block, embedder.embed_queries(opened), strict=True)) if block else {}


def _opened(query: Query, embedder: Embedder) -> OpenedQuery:
    images: list[Image] = []
    frames: tuple[Image, ...] = ()
    times: tuple[float, ...] = ()
    for picture in pictures_of(query):
        shown, at = picture.open(embedder.needs)
        if picture.is_video:
            frames, times = shown, at
        else:
            images += shown
    return OpenedQuery(
        id=query.id,
        text=query_text(query) or None,
        images=tuple(images),
        frames=frames,
        times=times,
        instruction=query.instruction,
    )
