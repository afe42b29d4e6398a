"""What a video's container is labelled with: time, place and camera, beside length, size and rate."""

from __future__ import annotations

from mmrank.media.frame_index import VideoInfo
from mmrank.media.when_where import camera, clock, place_of_text, taken
from mmrank.types import MetaValue

_APPLE = "com.apple.quicktime."
_MADE_LOCALLY = (_APPLE + "creationdate", "date")
"""Labels that hold a local time, with its zone when they are well made; before ``creation_time``, which is UTC."""
_PLACES = (_APPLE + "location.iso6709", "location", "location-eng")
_EPOCHS = frozenset({"1904-01-01", "1970-01-01"})
"""What a clock of nought looks like: QuickTime counts from 1904, others from 1970."""


def video_meta(info: VideoInfo) -> dict[str, MetaValue]:
    """The metadata of a video; keys it does not tell are left out.

    ===============  ========  ======================================================================
    key              type      from
    ===============  ========  ======================================================================
    ``duration``     float     seconds
    ``fps``          float     frames per second, on average
    ``width``        int       upright pixels
    ``height``       int       likewise
    ``taken``        datetime  the local time of Apple's ``creationdate``; else ``creation_time``,
                               which is UTC: then this is UTC's clock
    ``taken_utc``    datetime  the same moment in UTC
    ``latitude``     float     the ISO 6709 location, degrees, north positive
    ``longitude``    float     degrees, east positive
    ``camera``       str       make and model
    ===============  ========  ======================================================================

    >>> tags = {"creation_time": "2025-01-02T03:04:05.000000Z"}
    >>> video_meta(VideoInfo(duration=2.0, fps=25.0, frame_count=50, width=64, height=48, tags=tags))["taken"]
    datetime.datetime(2025, 1, 2, 3, 4, 5)
    """
    told: dict[str, MetaValue] = {
        "duration": round(info.duration, 3),
        "fps": round(info.fps, 3),
        "width": info.width,
        "height": info.height,
    }
    name = camera(_first(info, _APPLE + "make", "make"), _first(info, _APPLE + "model", "model"))
    if name:
        told["camera"] = name
    return {**told, **_when(info), **_where(info)}


def _when(info: VideoInfo) -> dict[str, MetaValue]:
    for key in (*_MADE_LOCALLY, "creation_time"):
        text = info.tags.get(key, "").strip()
        if len(text) > len("2025-01-02") and text[:10] not in _EPOCHS and (when := taken(clock(text))):
            return when
    return {}


def _where(info: VideoInfo) -> dict[str, MetaValue]:
    return next((where for key in _PLACES if (where := place_of_text(info.tags.get(key)))), {})


def _first(info: VideoInfo, *keys: str) -> str | None:
    return next((info.tags[key] for key in keys if key in info.tags), None)
