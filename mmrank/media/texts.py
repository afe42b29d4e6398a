"""Text files: read as UTF-8 or refused with the reason, and cut at paragraphs into bounded chunks."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from mmrank.errors import MediaError
from mmrank.media.uri import cause, printable, regular_file

CHUNK_CHARACTERS = 2_000
"""About half a printed page, 300 to 400 words: long enough to hold a thought, short enough to be shown as one hit."""

MAX_TEXT_BYTES = 64 << 20
"""A text file is held in memory while it is cut; the complete works of Shakespeare have 5.5 MB."""

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n")
_BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}


def read_text(path: str | Path) -> str:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark; line ends become ``\\n``.

    Raises `MediaError` when it is too large, binary or in another encoding (which is not guessed at), or holds
    nothing but white space.
    """
    name = printable(path)
    if regular_file(path).st_size > MAX_TEXT_BYTES:
        raise MediaError(f"{name} is larger than {MAX_TEXT_BYTES >> 20} MiB; split it, or give its rows as JSONL.")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MediaError(f"{name} cannot be opened: {cause(error)}.") from error
    encoding = next((encoding for bom, encoding in _BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise MediaError(
            f"{name} is not UTF-8 text (byte 0x{data[error.start]:02x} at {error.start}); "
            "if it is text in another encoding, convert it, for example with iconv."
        ) from error
    if "\x00" in text:
        raise MediaError(f"{name} holds NUL characters: it is binary, not text.")
    if not text.strip():
        raise MediaError(f"{name} holds no text, only white space.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def chunk_text(text: str, limit: int = CHUNK_CHARACTERS) -> list[str]:
    """Cut a text into chunks of at most `limit` characters, at paragraph bounds where there are any.

    A paragraph that is too long is cut at a sentence end, else at white space, else at the limit. Nothing but
    white space is lost.

    >>> chunk_text("one two.\\n\\nthree", limit=10)
    ['one two.', 'three']
    """
    chunks: list[str] = []
    current = ""
    for piece in _pieces(text, limit):
        joined = f"{current}\n\n{piece}" if current else piece
        if len(joined) <= limit:
            current = joined
        else:
            chunks.append(current)
            current = piece
    return [*chunks, current] if current else chunks


def _pieces(text: str, limit: int) -> Iterator[str]:
    for paragraph in _PARAGRAPH.split(text):
        rest = paragraph.strip()
        while len(rest) > limit:
            cut = _cut_position(rest, limit)
            yield rest[:cut].rstrip()
            rest = rest[cut:].lstrip()
        if rest:
            yield rest


def _cut_position(text: str, limit: int) -> int:
    """The last sentence end in the second half of the window, else the last white space, else the limit."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text, limit // 2, limit)]
    if ends:
        return ends[-1]
    spaces = [i for i in range(limit // 2, limit) if text[i].isspace()]
    return spaces[-1] if spaces else limit
