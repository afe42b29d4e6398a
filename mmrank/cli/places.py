"""The name of an item and where in its file it is, as people say it."""

from __future__ import annotations

import math
import re

from mmrank.cli.output import printable
from mmrank.errors import MediaError
from mmrank.media.uri import printable as show_path
from mmrank.media.uri import split_uri
from mmrank.types import Item


def name_and_place(item: Item) -> tuple[str, str]:
    """The file name of an item and where in that file it is, safe to print.

    >>> name_and_place(Item(id="x", kind="page", uri="docs/report.pdf#page=3"))
    ('report.pdf', 'page 3')
    >>> name_and_place(Item(id="x", kind="video", uri="/a/clip.mp4#t=65,70.5"))
    ('clip.mp4', '1:05 to 1:10.5')
    >>> name_and_place(Item(id="x", kind="video", uri="shard.tar#member=a/clip.mp4&t=0,30"))
    ('shard.tar', 'a/clip.mp4, 0:00 to 0:30')
    """
    if not item.uri:
        return item.id, ""
    try:
        where = split_uri(item.uri)
        span = where.span
    except MediaError:  # not a local file, or a span that cannot be read: shown as it is
        return printable(last_part(item.uri)), ""
    name = printable(last_part(show_path(where.path)))
    inside = printable(where.member) if where.member is not None else f"row {where.cell[0]:,}" if where.cell else ""
    if where.page is not None:
        part = f"page {where.page}"
    elif span is not None:
        part = f"{_clock(span[0])} to {_clock(span[1]) if math.isfinite(span[1]) else 'the end'}"
    else:
        part = f"part {where.chunk}" if where.chunk is not None else where.part.replace("=", " ")
    return name, ", ".join(filter(None, (inside, part)))


def last_part(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] or path


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{f'{rest:04.1f}'.removesuffix('.0')}"
