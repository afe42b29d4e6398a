"""From a Ranking to what the page needs: the thumbnails of its hits and the query's own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmrank.cli.html_shown import Shown
from mmrank.types import Query, Ranking

if TYPE_CHECKING:
    from mmrank.index.index import Index

QUERY_PICTURE = 320
"""Pixels of the longer side of the query's own pictures on the page: sharp on a dense screen."""


def show(
    index: Index,
    ranking: Ranking,
    *,
    label: str = "",
    conditions: Sequence[str] = (),
    right: frozenset[str] | None = None,
    seconds: float | None = None,
) -> Shown:
    """A ranking with its thumbnails, ready for the page."""
    pictures = {hit.id: index.thumbnail(hit.id) for hit in ranking.hits if hit.item.kind != "text"}
    return Shown(
        ranking=ranking,
        thumbnails={item_id: picture for item_id, picture in pictures.items() if picture},
        pictures=query_pictures(ranking.query),
        label=label,
        conditions=conditions,
        right=right,
        seconds=seconds,
    )


def query_pictures(query: Query) -> list[bytes]:
    """The query's own pictures as JPEG: its images, and one frame of its video."""
    from mmrank.media.image import open_image, thumbnail
    from mmrank.media.video import sample_frames

    images = [open_image(image, size=QUERY_PICTURE) for image in query.images]
    if query.video:
        images.extend(sample_frames(query.video, frames=1, size=QUERY_PICTURE).images)
    return [thumbnail(image, QUERY_PICTURE) for image in images]
