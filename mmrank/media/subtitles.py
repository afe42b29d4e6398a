"""Subtitles: SubRip (.srt) and WebVTT (.vtt) files as cues, and the words said in a span of a video."""

from __future__ import annotations

import codecs
import html
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmrank.errors import MediaError
from mmrank.media.uri import cause, printable, regular_file

SUBTITLE_SUFFIXES = (".srt", ".vtt")

MAX_SUBTITLE_BYTES = 4 << 20
"""A day of speech is 1 MB."""

MAX_NAMED = 3
"""Broken cues named one by one; more are counted."""

_MARK = "-->"
_CLOCK = r"((?:\d{1,4}:)?\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?)"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_BLOCKS = re.compile(r"\n[ \t]*\n")
_MARKUP = re.compile(r"</?[A-Za-z\d][^<>\n]*>|\{\\[^{}\n]*\}|\{[biusyfc]\}")
"""``<i>``, ``<c.yellow>``, ``<v Ann>``, ``<00:01.000>``; ``{\\an8}`` and other tags of SubStation. Not ``a < b``."""
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, slots=True)
class Cue:
    """Lines shown from `start` until `end`, in seconds; an end at the start is a moment, and counts as one."""

    start: float
    end: float
    lines: tuple[str, ...]

    def overlaps(self, start: float, end: float) -> bool:
        """Whether it is shown at some time of ``start <= t < end``."""
        return self.start < end and (self.end > start or self.start == self.end == start)


@dataclass(frozen=True, slots=True)
class Subtitles:
    """The cues of a file in order of their start, and `warnings`: what of it could not be read, or only guessed."""

    cues: tuple[Cue, ...]
    warnings: tuple[str, ...] = ()

    def said(self, start: float = 0.0, end: float = math.inf) -> str:
        """The lines of all cues that overlap the span, one space between; of repeated lines (roll-up captions) one.

        >>> parse_subtitles("00:01.000 --> 00:03.000\\n<i>Hello</i>\\nyou").said(2.0, 10.0)
        'Hello you'
        """
        lines: list[str] = []
        for cue in self.cues:
            for line in cue.lines if cue.overlaps(start, end) else ():
                if line not in lines[-2:]:
                    lines.append(line)
        return " ".join(lines)


def read_subtitles(path: str | Path) -> Subtitles:
    """The cues of a subtitle file: UTF-8, UTF-16 with a byte order mark, else Windows-1252, which is said.

    Raises `MediaError` when it is missing, empty, larger than 4 MiB, or has no cue that can be read.
    """
    name = printable(path)
    size = regular_file(path).st_size
    if size > MAX_SUBTITLE_BYTES:
        raise MediaError(f"{name} has {size:,} bytes; of subtitles at most {MAX_SUBTITLE_BYTES:,} are read.")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MediaError(f"{name} cannot be opened: {cause(error)}.") from error
    text, warnings = _decoded(data)
    found = parse_subtitles(text)
    warnings += found.warnings
    if not found.cues:
        raise MediaError(
            f"{name} has no cue that can be read{': ' + '; '.join(warnings) if warnings else ''}. "
            "A cue is a line such as 00:00:01,000 --> 00:00:02,500 with lines of text below it."
        )
    return Subtitles(found.cues, warnings)


def parse_subtitles(text: str) -> Subtitles:
    """Cues of SubRip or WebVTT text. Broken cues are named in `warnings`, and the rest is kept.

    A cue ends at an empty line. Tags are taken out, entities (``&amp;``) read; numbers, names, settings, NOTE, STYLE
    and REGION blocks are passed over.

    >>> parse_subtitles("1\\n00:00:01,000 --> 00:00:02,500\\nHello").cues
    (Cue(start=1.0, end=2.5, lines=('Hello',)),)
    """
    cues: list[Cue] = []
    broken: list[str] = []
    for block in _BLOCKS.split(text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")):
        rows = block.strip("\n").split("\n")
        if rows[0].startswith("NOTE"):
            continue
        for times, lines in _parts(rows):
            cue = _cue(times, lines)
            if cue is None:
                broken.append(times.strip()[:60])
            elif cue.lines:
                cues.append(cue)
    return Subtitles(tuple(sorted(cues, key=lambda cue: cue.start)), _told(broken))


def _parts(rows: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Every line of times in a block, with the lines below it: some files have no empty line between two cues."""
    starts = [i for i, row in enumerate(rows) if _MARK in row]
    starts = starts[:1] + [i for i in starts[1:] if _TIMES.fullmatch(rows[i])]  # an arrow in the text is text
    ends = [*starts[1:], len(rows)] if starts else []
    for start, end in zip(starts, ends, strict=True):
        lines = rows[start + 1 : end]
        if end < len(rows) and lines and lines[-1].strip().isdigit():
            lines = lines[:-1]  # the number of the next cue
        yield rows[start], lines


def _cue(times: str, rows: Iterable[str]) -> Cue | None:
    found = _TIMES.fullmatch(times)
    if found is None:
        return None
    start, end = _seconds(found[1]), _seconds(found[2])
    if start is None or end is None or end < start:
        return None
    lines = (" ".join(html.unescape(_MARKUP.sub("", row)).split()) for row in rows)
    return Cue(start, end, tuple(line for line in lines if line))


def _seconds(clock: str) -> float | None:
    """Seconds of ``1:02:03,5`` or ``02:03.500``; None when its minutes or seconds reach 60."""
    *hours, minutes, seconds = clock.replace(",", ".").split(":")
    if int(minutes) >= 60 or float(seconds) >= 60:
        return None
    return round(int(hours[0] if hours else 0) * 3600 + int(minutes) * 60 + float(seconds), 3)


def _told(broken: list[str]) -> tuple[str, ...]:
    if not broken:
        return ()
    named = ", ".join(repr(row) for row in broken[:MAX_NAMED])
    more = f" and {len(broken) - MAX_NAMED:,} more" if len(broken) > MAX_NAMED else ""
    return (f"left out {len(broken):,} cue{'s'[: len(broken) > 1]} without a time that can be read: {named}{more}",)


def _decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    encoding = next((encoding for bom, encoding in _BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        return data.decode(encoding), ()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), ("it is not UTF-8 and was read as Windows-1252",)
