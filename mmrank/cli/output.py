"""What commands write: results on stdout, everything else on stderr, and nothing a terminal could trip over."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 120
"""Columns of a table that goes to a file or another program: no terminal says how wide it may be."""


@cache
def _console(stderr: bool) -> Console:
    from rich.console import Console

    # highlight=False: numbers in file names are not to be coloured. soft wrapping is left to the terminal.
    return Console(stderr=stderr, highlight=False)


def out() -> Console:
    """The console on stdout, for results that people read."""
    console = _console(False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def err() -> Console:
    """The console on stderr, for everything that is not the result."""
    return _console(True)


def say(message: str) -> None:
    """One line for the person at the terminal, on stderr."""
    err().print(printable(message, keep_newlines=True), markup=False, soft_wrap=True)


def complain(message: str, *, label: str = "Error: ") -> None:
    """What went wrong, on stderr."""
    from rich.text import Text

    err().print(Text.assemble((label, "bold red"), printable(message, keep_newlines=True)), soft_wrap=True)


def warn(message: str) -> None:
    """What deserves a look but stops nothing, on stderr."""
    from rich.text import Text

    err().print(Text.assemble(("Note: ", "bold yellow"), printable(message, keep_newlines=True)), soft_wrap=True)


@contextlib.contextmanager
def stdout_for_json(wanted: bool) -> Iterator[None]:
    """While `wanted`, whatever a library prints goes to stderr, so that stdout holds one JSON object and no more."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


def print_json(value: Any) -> None:
    """`value` as one JSON object on stdout: indented for eyes, one line for programs, ASCII for any pipe."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(_plain(value), indent=indent, allow_nan=False) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: an unknown number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | int):
        return value
    return str(value)


def printable(text: str, *, keep_newlines: bool = False) -> str:
    """`text` with everything replaced that a terminal would obey or an encoder refuse.

    File names and captions come from strangers: an escape sequence in one must not repaint the terminal, and a name
    that is not UTF-8 (kept by Python as lone surrogates) must not end the command.

    >>> printable("a\\x1b[31mb\\tc")
    'a\\ufffd[31mb c'
    """
    return "".join(_visible(character, keep_newlines) for character in text)


def _visible(character: str, keep_newlines: bool) -> str:
    if character in "\n\r\t":
        return character if keep_newlines and character == "\n" else " "
    # Cc: control; Cs: lone surrogate; the bidirectional overrides among Cf reorder what follows them.
    bad = unicodedata.category(character) in ("Cc", "Cs") or character in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
    return "\ufffd" if bad else character


def one_line(text: str) -> str:
    """`text` with every run of white space as one space, safe to print."""
    return printable(" ".join(text.split()))


def shorten_middle(text: str, width: int) -> str:
    """`text` in at most `width` terminal columns: the middle gives way, because names differ at their ends.

    >>> shorten_middle("holiday-2024-03-17.jpg", 13)
    'holida…17.jpg'
    """
    from rich.cells import cell_len

    if cell_len(text) <= width:
        return text
    tail = max(0, (width - 1) // 2)
    return f"{_columns(text, width - 1 - tail)}…{_columns(text[::-1], tail)[::-1]}"


def shorten_end(text: str, width: int) -> str:
    """`text` in at most `width` terminal columns: the end gives way.

    >>> shorten_end("a dog to the left", 8)
    'a dog t…'
    """
    from rich.cells import cell_len

    return text if cell_len(text) <= width else f"{_columns(text, width - 1).rstrip()}…"


def _columns(text: str, width: int) -> str:
    """The beginning of `text` that fits `width` columns; Chinese characters and emoji take two."""
    from rich.cells import cell_len

    used = 0
    for position, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return text[:position]
    return text


def count(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun.

    >>> count(1, "image"), count(2500, "image"), count(2, "query", "queries")
    ('1 image', '2,500 images', '2 queries')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(0.0312), duration(8.25), duration(75), duration(4020)
    ('31 ms', '8.2 s', '1 min 15 s', '1 h 07 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
