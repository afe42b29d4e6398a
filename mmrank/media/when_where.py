"""Times and places as files state them, checked: what makes no sense is unknown, never a made-up value."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone

from mmrank.types import MetaValue

FIRST_YEAR = 1826
"""The year of the oldest photograph that is kept. A camera that says less has lost its clock."""

LARGEST_OFFSET = timedelta(hours=14)
"""Between local time and UTC; Kiribati has it."""

MAX_WORDS = 500
"""Characters kept of a camera's name, a title or an author; no real one is longer."""

_CLOCK = re.compile(
    r"\s*(\d{4})[:./-](\d\d)[:./-](\d\d)"
    r"(?:[T ]+(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,6})\d*)?)?\s*(Z|[+-]\d\d:?\d\d)?)?[\s\x00]*"
)
_OFFSET = re.compile(r"\s*([+-])(\d\d):?(\d\d)[\s\x00]*")
_ISO_6709 = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)(?:[+-]\d+(?:\.\d+)?)?(?:CRS.*)?/?\s*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]+")


def clock(text: object) -> datetime | None:
    """The time a text states: ``2025:01:02 03:04:05`` (EXIF), ISO 8601, or a date alone (its midnight).

    With a time zone only where the text has one. None for what is no time, or before 1826.

    >>> clock("2025:01:02 03:04:05")
    datetime.datetime(2025, 1, 2, 3, 4, 5)
    >>> clock("0000:00:00 00:00:00"), clock("yesterday")
    (None, None)
    """
    found = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    *numbers, fraction, zone = found.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
    micro = int((fraction or "0").ljust(6, "0"))
    try:
        told = datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC if zone == "Z" else offset(zone))
    except ValueError:
        return None
    return told if told.year >= FIRST_YEAR else None


def offset(text: object) -> timezone | None:
    """The time zone of ``+09:00``; None for what is none, or lies beyond 14 hours.

    >>> offset("+09:00")
    datetime.timezone(datetime.timedelta(seconds=32400))
    """
    found = _OFFSET.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
    if ahead > LARGEST_OFFSET:
        return None
    return timezone(-ahead if found[1] == "-" else ahead)


def taken(told: datetime | None) -> dict[str, MetaValue]:
    """The two columns a time goes into: ``taken``, the clock on the wall there, and, where the zone is known,
    ``taken_utc``. One column for both would mix times that cannot be compared.

    >>> taken(clock("2025-01-02T03:04:05+09:00"))["taken_utc"].isoformat()
    '2025-01-01T18:04:05+00:00'
    """
    if told is None:
        return {}
    local: dict[str, MetaValue] = {"taken": told.replace(tzinfo=None)}
    try:
        return local if told.tzinfo is None else {**local, "taken_utc": told.astimezone(UTC)}
    except OverflowError:  # the last hours of the year 9999
        return local


def place(latitude: object, longitude: object) -> dict[str, MetaValue]:
    """``latitude`` and ``longitude`` in degrees, north and east positive; nothing when they are not on the globe.

    0, 0 is what devices write that do not know where they are; there is only water.

    >>> place(35.5, -139.25), place(0.0, 0.0), place(91.0, 0.5)
    ({'latitude': 35.5, 'longitude': -139.25}, {}, {})
    """
    degrees = [float(d) for d in (latitude, longitude) if isinstance(d, int | float) and not isinstance(d, bool)]
    if len(degrees) < 2 or not all(math.isfinite(d) for d in degrees):
        return {}
    if abs(degrees[0]) > 90 or abs(degrees[1]) > 180 or degrees == [0.0, 0.0]:
        return {}
    return {"latitude": round(degrees[0], 7), "longitude": round(degrees[1], 7)}  # 1 cm


def place_of_text(text: object) -> dict[str, MetaValue]:
    """The place a video names, in degrees after ISO 6709: ``+35.6895+139.6917+042.1/``.

    >>> place_of_text("+35.5-139.25/")
    {'latitude': 35.5, 'longitude': -139.25}
    """
    found = _ISO_6709.fullmatch(text) if isinstance(text, str) else None
    return place(float(found[1]), float(found[2])) if found else {}


def words(text: object) -> str | None:
    """A short text without control characters and white space around it, None when nothing is left.

    >>> words(" Canon\\x00\\x00"), words("  ")
    ('Canon', None)
    """
    if not isinstance(text, str):
        return None
    return " ".join(_CONTROL.sub(" ", text[: 2 * MAX_WORDS]).split())[:MAX_WORDS].strip() or None


def camera(make: object, model: object) -> str | None:
    """Maker and model as one name; a maker that the model begins with is not said twice.

    >>> camera("NIKON CORPORATION", "NIKON D90"), camera("Apple", "iPhone 12"), camera("Canon", None)
    ('NIKON D90', 'Apple iPhone 12', 'Canon')
    """
    maker, name = words(make), words(model)
    if not maker or not name:
        return maker or name
    first = maker.split()[0].casefold()
    return name if name.casefold().split()[0] == first else words(f"{maker} {name}")
