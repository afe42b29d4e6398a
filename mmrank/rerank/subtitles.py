"""Subtitles that lie beside a video file: SubRip (.srt) and WebVTT (.vtt), as one running text."""

from __future__ import annotations

import math
from pathlib import Path

from mmrank.errors import MediaError
from mmrank.media import split_uri
from mmrank.media.subtitles import parse_subtitles
from mmrank.media.uri import cause, printable

MAX_BYTES = 4 << 20
"""A day of speech is 1 MB."""


def subtitles_beside(video: str | Path) -> str | None:
    """The text of ``NAME.srt`` or ``NAME.vtt`` beside the video ``NAME.*``; of a span (``#t=10,20``) only what is
    said in it. None when there is no such file. Raises `MediaError` when there is one and it cannot be read.

    >>> subtitles_beside("no such clip.mp4") is None
    True
    """
    where = split_uri(video)
    start, end = where.span or (0.0, math.inf)
    for suffix in (".srt", ".vtt"):
        path = Path(where.path).with_suffix(suffix)
        if path.is_file():
            return parse_subtitles(_read(path)).said(start, end)
    return None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MediaError(f"The subtitles {printable(path)} cannot be read: {cause(error)}.") from error
    if len(content) > MAX_BYTES:
        raise MediaError(f"The subtitles {printable(path)} have more than {MAX_BYTES:,} bytes.")
    return content.decode("utf-8-sig", "replace")
