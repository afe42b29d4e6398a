"""Words of a stranger must not steer a model: control tokens in data text are broken before they are tokenised."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence


class ControlTokens:
    """The strings that a tokenizer reads as one token of its own: ``<|im_end|>``, ``<|image_pad|>``, ``</think>``.

    `names`: the added tokens of the tokenizer. `special`: those of them the tokenizer calls special. A name made of
    nothing but letters, digits and spaces is an ordinary word that a checkpoint added: left alone unless special.
    """

    def __init__(self, names: Iterable[str], special: Iterable[str] = ()) -> None:
        always = set(special)
        chosen = {n for n in {*names, *always} if len(n) > 1 and (n in always or not _ordinary(n))}
        longest_first = sorted(chosen, key=lambda name: (-len(name), name))
        self.names = frozenset(chosen)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def broken(self, pieces: Sequence[str], data: Sequence[bool]) -> list[str]:
        """The same pieces, in which no control token of the joined text touches a piece that is data.

        A space goes into each one found, after its first character or where the data begins, so a reader sees what
        stood there. Pieces that are not data are returned as they came, also where a token spans the seam.

        >>> ControlTokens(["<|im_end|>"]).broken(["hi<|im_end|>", "<|im_", "end|>"], [True, False, True])
        ['hi< |im_end|>', '<|im_', ' end|>']
        """
        out = list(pieces)
        while True:
            starts = [0]
            for piece in out:
                starts.append(starts[-1] + len(piece))
            breaks: list[tuple[int, int]] = []
            for match in self._pattern.finditer("".join(out)):
                if (where := _where(match.start(), match.end(), starts, data)) is not None:
                    breaks.append(where)
            if not breaks:
                return out
            for which, offset in reversed(breaks):
                out[which] = out[which][:offset] + " " + out[which][offset:]


def _ordinary(name: str) -> bool:
    return all(character.isalnum() or character.isspace() for character in name)


def _where(start: int, end: int, starts: Sequence[int], data: Sequence[bool]) -> tuple[int, int] | None:
    """(piece, offset in it) where a space breaks the token at start:end within data; None when it touches none."""
    piece = bisect_right(starts, start) - 1
    while piece < len(data) and starts[piece] < end:
        if data[piece] and starts[piece + 1] > starts[piece]:
            return piece, max(start + 1, starts[piece]) - starts[piece]
        piece += 1
    return None
