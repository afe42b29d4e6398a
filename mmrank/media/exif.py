"""What a picture's header tells: size, time, place and camera. No pixel is decoded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from mmrank.media.image import _register_heif
from mmrank.media.uri import cause, printable, regular_file
from mmrank.media.when_where import LARGEST_OFFSET, camera, clock, offset, place, taken
from mmrank.types import MetaValue

log = logging.getLogger("mmrank.media.exif")

PICTURE_KEYS = ("width", "height", "camera", "taken", "taken_utc", "latitude", "longitude")
"""All that `picture_meta` may give."""

MAX_EXIF_BYTES = 8 << 20
"""A JPEG's EXIF has at most 64 kB a segment, of which cameras write one or two; a PNG's can claim anything."""

_MAKE, _MODEL, _ORIENTATION, _CHANGED = 0x010F, 0x0110, 0x0112, 0x0132
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_TIMES = ((0x9003, 0x9011), (0x9004, 0x9012))
"""Tags of a time and of its offset from UTC: when the picture was taken, else when it was digitised (EXIF 2.32)."""
_OFFSET_CHANGED = 0x9010
_LATITUDE, _LONGITUDE, _GPS_TIME, _GPS_DATE = (1, 2), (3, 4), 7, 29

_SIDEWAYS = frozenset({5, 6, 7, 8})
"""Orientations whose upright picture has width and height exchanged."""


def picture_meta(path: str | Path) -> dict[str, MetaValue]:
    """What the header of a picture file says; keys it does not tell are left out.

    ===============  ========  ======================================================================
    key              type      from
    ===============  ========  ======================================================================
    ``width``        int       upright pixels: the EXIF orientation is applied
    ``height``       int       likewise
    ``camera``       str       EXIF Make and Model
    ``taken``        datetime  the camera's clock, without time zone: EXIF DateTimeOriginal, else
                               DateTimeDigitized, else DateTime
    ``taken_utc``    datetime  the same moment in UTC, where OffsetTime... or the GPS time says it
    ``latitude``     float     EXIF GPS, degrees, north positive
    ``longitude``    float     degrees, east positive
    ===============  ========  ======================================================================

    Never raises: a file that cannot be opened, or a broken header, tells nothing (whoever opens the picture reports
    what is wrong with it).

    >>> picture_meta("no such.jpg")
    {}
    """
    try:
        regular_file(path)
        with Path(path).open("rb") as file:
            _register_heif(file.read(64))
            file.seek(0)
            with Image.open(file) as image:
                return _told(image)
    except Exception as error:  # noqa: BLE001 - a stranger's header may set off anything in a parser, and only costs its metadata
        log.debug("no metadata of %s: %s", printable(path), cause(error))
        return {}


def _told(image: Image.Image) -> dict[str, MetaValue]:
    width, height = image.size
    told: dict[str, MetaValue] = {}
    try:
        exif = _exif(image)
        if exif.get(_ORIENTATION) in _SIDEWAYS:
            width, height = height, width
        told = _of_exif(exif)
    except Exception as error:  # noqa: BLE001 - as above; the size is known all the same
        log.debug("EXIF cannot be read: %s", cause(error))
    return {"width": width, "height": height, **told}


def _exif(image: Image.Image) -> Image.Exif:
    """The EXIF that was met before the pixels: Pillow's own `getexif` decodes all of a PNG to look behind them."""
    if image.format in ("TIFF", "MPO"):
        return image.getexif()
    raw = image.info.get("exif")
    exif = Image.Exif()
    if isinstance(raw, bytes) and len(raw) <= MAX_EXIF_BYTES:
        exif.load(raw)
    return exif


def _of_exif(exif: Image.Exif) -> dict[str, MetaValue]:
    told: dict[str, MetaValue] = {}
    name = camera(exif.get(_MAKE), exif.get(_MODEL))
    if name:
        told["camera"] = name
    detail, gps = _part(exif, _EXIF_IFD), _part(exif, _GPS_IFD)
    return {**told, **_when(exif, detail, gps), **_where(gps)}


def _part(exif: Image.Exif, tag: int) -> Mapping[int, Any]:
    """A part of the EXIF; empty when its address leads nowhere, which leaves the other parts as they are."""
    try:
        return exif.get_ifd(tag) if tag in exif else {}
    except Exception as error:  # noqa: BLE001 - as above
        log.debug("EXIF part 0x%04x cannot be read: %s", tag, cause(error))
        return {}


def _when(exif: Mapping[int, Any], detail: Mapping[int, Any], gps: Mapping[int, Any]) -> dict[str, MetaValue]:
    stated = [(detail.get(time), detail.get(zone)) for time, zone in _TIMES]
    stated.append((exif.get(_CHANGED), detail.get(_OFFSET_CHANGED)))
    for text, zone in stated:
        told = clock(text)
        if told is None:
            continue
        if told.tzinfo is None:
            told = told.replace(tzinfo=offset(zone))
        when = taken(told)
        moment = _gps_time(gps)
        if "taken_utc" not in when and moment is not None and _may_be_one(moment, told):
            when["taken_utc"] = moment
        return when
    return {}


def _may_be_one(moment: datetime, local: datetime) -> bool:
    """False when no time zone lies between them: the position was found hours ago, or the clock was never set."""
    return abs(moment.replace(tzinfo=None) - local.replace(tzinfo=None)) <= LARGEST_OFFSET + timedelta(minutes=5)


def _gps_time(gps: Mapping[int, Any]) -> datetime | None:
    day = clock(gps.get(_GPS_DATE))
    parts = _three(gps.get(_GPS_TIME))
    if (
        day is None
        or parts is None
        or not all(0 <= part < limit for part, limit in zip(parts, (24, 60, 61), strict=True))
    ):
        return None
    hours, minutes, seconds = parts
    return day.replace(tzinfo=UTC) + timedelta(hours=float(hours), minutes=float(minutes), seconds=int(seconds))


def _where(gps: Mapping[int, Any]) -> dict[str, MetaValue]:
    degrees = []
    for (side, value), (plus, minus) in ((_LATITUDE, "NS"), (_LONGITUDE, "EW")):
        letter, parts = gps.get(side), _three(gps.get(value))
        if not isinstance(letter, str) or parts is None:
            return {}  # without the letter nobody knows which half of the globe is meant
        letter = letter.strip("\x00 ").upper()
        if letter not in (plus, minus) or any(part < 0 for part in parts) or parts[1] > 60 or parts[2] > 60:
            return {}
        size = float(parts[0] + parts[1] / 60 + parts[2] / 3600)
        degrees.append(-size if letter == minus else size)
    return place(*degrees)


def _three(value: object) -> tuple[Fraction, Fraction, Fraction] | None:
    """Three rationals (degrees or hours, minutes, seconds); None when one is missing or divided by zero."""
    if not isinstance(value, tuple) or len(value) != 3:
        return None
    try:
        first, second, third = (Fraction(float(part)).limit_denominator(1_000_000) for part in value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):  # NaN and infinity are no fractions
        return None
    return first, second, third
