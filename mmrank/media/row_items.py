"""One row of a table to its Items: one, or all pages of a PDF."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, cast, get_args

from mmrank.errors import MediaError
from mmrank.media.columns import MEDIA, Roles
from mmrank.media.kinds import kind_of
from mmrank.media.page import page_count
from mmrank.media.remote_copies import beside
from mmrank.media.survey import id_text
from mmrank.media.uri import cause, cell_fragment, item_id, path_uri, printable, split_uri
from mmrank.types import Item, Kind, MetaValue


class MissingMediaError(MediaError):
    """What a row names is not there. `uri`: the medium's."""

    def __init__(self, uri: str, why: str) -> None:
        self.uri = uri
        super().__init__(why)


def row_items(
    row: Mapping[str, Any], number: int, *, table: Path, names: Mapping[str, str], roles: Roles, default_id: str
) -> Iterator[Item]:
    """The Items of a row.

    `row`: cells by plain column name; `names`: those columns as the file writes them; `number`: of the row, from 1.
    Raises `MediaError` when the row is none, `MissingMediaError` when the file it names is not there.
    """
    found = [(role, column) for role in MEDIA for column in roles[role] if row.get(column) not in (None, "", b"")]
    if len(found) > 1:
        named = " and ".join(column for _, column in found)
        raise MediaError(f"the row names {named}; a row is one Item, so give one of them")
    text_column = next((column for column in roles["text"] if row.get(column) not in (None, "")), None)
    if not found and text_column is None:
        columns = [column for role in (*MEDIA, "text") for column in roles[role]]
        raise MediaError(f"the row has nothing to find: none of its columns {', '.join(columns)} is filled")
    role, column = found[0] if found else (None, "")
    uri, image = _media(row[column], table, cell_fragment(number, names[column])) if role else (None, None)
    kind = _kind(_first(row, roles["kind"]), role, uri)
    used = {c for role in ("id", "kind", "parent", *MEDIA) for c in roles[role]}
    # of the columns that may hold the text, the one that does not is metadata like any other
    used.add(text_column if text_column is not None else roles["text"][0] if roles["text"] else "")
    given = id_text(_first(row, roles["id"]))
    whole = Item(
        id=default_id if given is None else item_id(given) if any(c.isspace() for c in given) else given,
        kind=kind,
        uri=uri,
        image=image,
        text=None if text_column is None else str(row[text_column]),
        meta={name: meta_value(value) for name, value in row.items() if name not in used},
        parent=item_id(str(parent)) if (parent := _first(row, roles["parent"])) not in (None, "") else None,
    )
    yield from _pages(whole) if _is_whole_pdf(whole, role) else [whole]


def _first(row: Mapping[str, Any], columns: tuple[str, ...]) -> Any:
    return row.get(columns[0]) if columns else None


def _media(value: Any, table: Path, cell: str) -> tuple[str, bytes | None]:
    """The uri of a medium, and its bytes where they lie in the cell itself."""
    if isinstance(value, Mapping):  # how Hugging Face data sets keep images
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return path_uri(table, cell), value
    if not isinstance(value, str) or not value:
        raise MediaError(
            f"its media is {type(value).__name__}; a path, a uri or (in Parquet and Arrow) bytes are allowed"
        )
    if "://" in value and not value.lower().startswith("file://"):
        return value, None
    where = split_uri(value)
    if not value.lower().startswith("file://") and (address := beside(table, where.path)) is not None:
        return path_uri(address, where.fragment), None
    path = where.path if value.lower().startswith("file://") else os.path.join(table.parent, where.path)  # noqa: PTH118
    uri = path_uri(path, where.fragment)
    try:
        os.stat(path)  # noqa: PTH116 - once per row of millions
    except (OSError, ValueError) as error:
        raise MissingMediaError(uri, cause(error)) from error
    return uri, None


def _kind(given: object, role: str | None, uri: str | None) -> Kind:
    if given not in (None, ""):
        if given not in get_args(Kind):
            raise MediaError(
                f"its kind is {given!r}; it must be one of {', '.join(get_args(Kind))} "
                "(where this column means something else, map the role away: --column kind=)"
            )
        return cast(Kind, given)
    if role is None:
        return "text"
    if role in ("image", "video"):
        return cast(Kind, role)
    if role == "pdf":
        return "page"
    where = split_uri(uri) if uri and "://" not in uri else None
    kind = kind_of((where.member or where.path) if where else (uri or "").partition("#")[0])
    if kind is None:
        raise MediaError(f"the kind of {printable(uri or '')} cannot be told from its suffix; add a column kind")
    return kind


def _is_whole_pdf(item: Item, role: str | None) -> bool:
    if item.kind != "page" or role not in ("pdf", "uri") or (item.uri and "://" in item.uri):
        return False
    where = split_uri(item.uri or "")
    return where.page is None and (role == "pdf" or kind_of(where.member or where.path) == "page")


def _pages(whole: Item) -> Iterator[Item]:
    """The pages of a row's PDF: its id and metadata with each, and the number of the page."""
    where = split_uri(whole.uri or "")
    joint = "&" if where.inside else ""
    for page in range(1, page_count(whole.image if isinstance(whole.image, bytes) else where.path) + 1):
        yield replace(
            whole,
            id=f"{whole.id}#page={page}",
            uri=path_uri(where.path, f"{where.inside}{joint}page={page}"),
            parent=whole.id,
            meta={**whole.meta, "page": page},
        )


def meta_value(value: Any) -> MetaValue:
    """What of a cell can be kept as metadata: nested values as JSON, numbers that are none as unknown.

    >>> meta_value(["a", "b"]), meta_value({"n": 1}), meta_value(float("nan"))
    (('a', 'b'), '{"n": 1}', None)
    """
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | bool | date | datetime):
        return value
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return tuple(value)
    return json.dumps(value, ensure_ascii=False, default=str)
