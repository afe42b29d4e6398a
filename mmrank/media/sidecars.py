"""What the files beside a media file say: captions (.txt), metadata (.json), Google's export among them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mmrank.errors import MediaError
from mmrank.media.texts import read_text
from mmrank.media.uri import cause, is_utf8, printable, regular_file
from mmrank.media.when_where import clock, place, taken
from mmrank.types import MetaValue

MAX_SIDECAR_BYTES = 1 << 20
"""Google's files have 1 kB. What is larger is data of another sort, and a picture does not carry it along."""

MAX_CAPTION_BYTES = 64 << 10
"""Ten thousand words: longer than any caption, and what a row of an index may carry."""

MAX_KEYS = 100
"""Every key becomes a column of the index, of all its rows."""

OWN_KEYS = frozenset({"name", "bytes", "page", "pages", "start", "end", "chunk", "duration", "fps", "width", "height"})
"""Keys that say what the file is. A sidecar does not know better."""

_TIME_AND_PLACE = ("taken", "taken_utc", "latitude", "longitude")
_WORDS = frozenset({"camera", "title", "author", "caption"})
"""Keys that are strings wherever they come from."""

_NOT_IN_COLUMNS = re.compile(r"[^a-z0-9_]")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarData:
    """What a JSON file says of the media file beside it.

    `text`: the caption. `given` goes before the media file's own header, `spare` behind it. `warnings`: keys that
    were left out, and why.
    """

    text: str | None = None
    given: Mapping[str, MetaValue] = field(default_factory=dict)
    spare: Mapping[str, MetaValue] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_caption(path: str | Path) -> str | None:
    """The caption in a text file (UTF-8, or UTF-16 with a byte order mark), None when it is empty.

    Raises `MediaError` when it cannot be read, is in another encoding, or has more than 64 KiB.
    """
    if _size(path) > MAX_CAPTION_BYTES:
        raise MediaError(
            f"{printable(path)} has {_size(path):,} bytes, and a caption at most {MAX_CAPTION_BYTES:,}. "
            "Give a text of its own another name than that of the file beside it."
        )
    if _size(path) == 0 or not Path(path).read_bytes().strip():
        return None
    return read_text(path).strip()


def read_data(path: str | Path) -> SidecarData:
    """The metadata in a JSON file that holds one object; the export of Google Photos is recognised by its keys.

    Keys are taken in lower case. ``text``, else ``caption``, becomes the caption. ``taken`` is read as ISO 8601,
    ``latitude`` and ``longitude`` as degrees. Numbers, truth values, strings and lists of strings stay as they are,
    other nested values become JSON text. Of Google's keys are taken: ``description`` as the caption, the time and
    place where the file's own header has none, names of ``people``, and ``favorited``.

    Raises `MediaError` when it cannot be read, is no JSON object, or has more than 1 MiB or 100 keys.
    """
    name = printable(path)
    if _size(path) > MAX_SIDECAR_BYTES:
        raise MediaError(f"{name} has {_size(path):,} bytes; of metadata at most {MAX_SIDECAR_BYTES:,} are read.")
    try:
        value = json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise MediaError(f"{name} cannot be opened: {cause(error)}.") from error
    except (ValueError, RecursionError) as error:
        raise MediaError(f"{name} is not JSON in UTF-8: {cause(error)}.") from error
    if not isinstance(value, dict):
        raise MediaError(f'{name} holds {_sort(value)}; metadata of a file is one object, such as {{"caption": ...}}.')
    if "photoTakenTime" in value:
        return _of_google(value)
    if len(value) > MAX_KEYS:
        raise MediaError(
            f"{name} has {len(value)} keys; at most {MAX_KEYS} are taken, as each is a column of the index."
        )
    return _of_object(value)


def _of_object(value: dict[str, Any]) -> SidecarData:
    warnings: list[str] = []
    keys = _columns(value, warnings)
    caption = next((key for key in ("text", "caption") if _caption(keys.get(key))), None)
    text = _caption(keys.pop(caption)) if caption else None
    given = _time(keys, warnings) | _place(keys, warnings)
    for key, one in keys.items():
        if one is None or key in _TIME_AND_PLACE:
            continue
        if key in OWN_KEYS:
            warnings.append(f"key {key!r} is left out: it says what the file is; use another name")
        elif key in _WORDS and not isinstance(one, str):
            warnings.append(f"key {key!r} is left out: it is {_sort(one)}, and must be a string")
        else:
            given[key] = _plain(one)
    return SidecarData(text=text, given=given, warnings=tuple(warnings))


def _columns(value: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """The keys in lower case, as columns have them; of two that would share a column, the first."""
    keys: dict[str, Any] = {}
    seen: dict[str, str] = {}
    for key, one in value.items():
        name = key.strip().lower()
        # As `mmrank.index.metadata.column_name` makes them: "id" goes into meta_id, as does "meta id".
        column = _NOT_IN_COLUMNS.sub("_", name).strip("_").removeprefix("meta_").strip("_")
        if not column or not is_utf8(key):
            warnings.append(f"key {printable(key)!r} is left out: it has no letter or digit of ASCII")
        elif column in seen:
            warnings.append(f"key {key!r} is left out: it would share a column with {seen[column]!r}")
        else:
            seen[column] = key
            keys[name] = one
    return keys


def _time(value: dict[str, Any], warnings: list[str]) -> dict[str, MetaValue]:
    when: dict[str, MetaValue] = {}
    for key in ("taken_utc", "taken"):
        if value.get(key) is None:
            continue
        told = clock(value[key])
        if told is None or (key == "taken_utc" and told.tzinfo is None):
            example = "2025-01-02T03:04:05" + ("Z" if key == "taken_utc" else "")
            warnings.append(f"key {key!r} is left out: {value[key]!r:.60} is no time such as {example}")
        else:
            when |= taken(told)
    return when


def _place(value: dict[str, Any], warnings: list[str]) -> dict[str, MetaValue]:
    there = [key for key in ("latitude", "longitude") if value.get(key) is not None]
    where = place(value.get("latitude"), value.get("longitude"))
    if there and not where:
        warnings.append(f"{' and '.join(there)} left out: a place is two numbers of degrees, at most 90 and 180")
    return where


def _of_google(value: dict[str, Any]) -> SidecarData:
    spare: dict[str, MetaValue] = {}
    seconds = _inside(value, "photoTakenTime", "timestamp")
    try:
        moment = _EPOCH + timedelta(seconds=int(seconds))
    except (TypeError, ValueError, OverflowError):
        moment = None
    warnings = (
        () if moment or not seconds else (f"photoTakenTime is left out: {seconds!r:.60} is no number of seconds",)
    )
    spare |= taken(moment)
    for key in ("geoData", "geoDataExif"):
        where = place(_inside(value, key, "latitude"), _inside(value, key, "longitude"))
        if where:
            spare |= where
            break
    given: dict[str, MetaValue] = {}
    people = value.get("people")
    if isinstance(people, list):
        names = tuple(
            _sound(one["name"]) for one in people if isinstance(one, dict) and isinstance(one.get("name"), str)
        )
        given |= {"people": names} if names else {}
    if isinstance(value.get("favorited"), bool):
        given["favorited"] = value["favorited"]
    return SidecarData(text=_caption(value.get("description")), given=given, spare=spare, warnings=warnings)


def _caption(value: object) -> str | None:
    """A string, or several as lines."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = "\n".join(one.strip() for one in value if one.strip())
    return (_sound(value).strip() or None) if isinstance(value, str) else None


def _inside(value: dict[str, Any], outer: str, inner: str) -> Any:
    found = value.get(outer)
    return found.get(inner) if isinstance(found, dict) else None


def _plain(value: Any) -> MetaValue:
    if isinstance(value, float) and not math.isfinite(value):  # json reads NaN and Infinity
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, str):
        return _sound(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return tuple(_sound(part) for part in value)
    return _sound(json.dumps(value, ensure_ascii=False))


def _sound(text: str) -> str:
    """The text with "?" for halves of characters, which JSON can spell and no column can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _size(path: str | Path) -> int:
    """Bytes of a regular file; empty ones are let through, anything else that cannot be read raises `MediaError`."""
    try:
        if Path(path).is_file() and (size := Path(path).stat().st_size) == 0:
            return size
    except OSError as error:
        raise MediaError(f"{printable(path)} cannot be opened: {cause(error)}.") from error
    return regular_file(path).st_size


def _sort(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
