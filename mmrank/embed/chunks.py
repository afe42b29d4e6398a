"""Cutting a long text into pieces that a text tower can read whole.

A CLIP text tower sees 77 tokens; what lies behind is lost without a word. Here a text that does not
fit is cut at sentence borders, a sentence that does not fit at word borders, a word at characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mmrank.errors import UsageError

Fits = Callable[[str], bool]

_SENTENCE = re.compile(r"(?<=[.!?…;]\s)(?=\S)|(?<=[。！？；\n])(?=.)", re.DOTALL)
_WORD = re.compile(r"(?<=\s)(?=\S)")
_SPLITTERS: tuple[Callable[[str], Sequence[str]], ...] = (_SENTENCE.split, _WORD.split, tuple)
"""From the best place to cut to the last resort, single characters. Pieces keep the white space behind them,
so that joined pieces are a stretch of the original text."""


def split_text(text: str, fits: Fits) -> list[str]:
    """Cut `text` into as few and as long pieces as `fits` allows; a text that fits comes back whole.

    No character but white space at the borders is lost or repeated. `fits` must be monotone: a prefix of
    what fits, fits. It is asked O(log n) times per piece. Empty text gives an empty list. Raises `UsageError`
    when not even a single character fits.

    >>> split_text("A red boat. It lies in the harbour.", fits=lambda piece: len(piece) <= 24)
    ['A red boat.', 'It lies in the harbour.']
    """
    return _split(text.strip(), fits, level=0) if text.strip() else []


def _split(text: str, fits: Fits, level: int) -> list[str]:
    if fits(text):
        return [text]
    if level == len(_SPLITTERS):
        raise UsageError(
            f"The character {text!r} alone is longer than the text tower can read; its context is too short."
        )
    pieces = [piece for piece in _SPLITTERS[level](text) if piece]
    chunks: list[str] = []
    start = 0
    while start < len(pieces):
        end = _longest_run(pieces, start, fits)
        run = "".join(pieces[start : max(end, start + 1)]).strip()
        if run:
            chunks.extend([run] if end > start else _split(run, fits, level + 1))
        start = max(end, start + 1)
    return chunks


def _longest_run(pieces: Sequence[str], start: int, fits: Fits) -> int:
    """The largest `end` for which ``pieces[start:end]`` fit together: steps double, then halve."""
    good, bad, step = start, len(pieces) + 1, 1
    while bad - good > 1:
        probe = min(good + step, bad - 1)
        if fits("".join(pieces[start:probe]).strip()):
            good, step = probe, step * 2
        else:
            bad, step = probe, max(1, (probe - good) // 2)
    return good
