"""The one rule by which every listwise answer is mended: what the model named, then the rest in previous order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

Given: TypeAlias = str | int
"""A label as a model wrote it: a number, or its text."""

MAX_DIGITS = 9
"""Numbers with more digits name no label. Python refuses to read very long ones at all."""


class Labels:
    """The labels a prompt gave its slots, and which position a label written by a model means.

    `labels`: the texts in order of position, or a number of slots labelled 1, 2, 3, ... Numbers are told by value
    (``03`` is 3), letters without regard to case; when two labels differ in case alone, by their exact text.

    >>> Labels(3).position("03"), Labels(("A", "B")).position("b"), Labels(3).position(4)
    (2, 1, None)
    """

    def __init__(self, labels: int | Sequence[str]) -> None:
        self.names: tuple[str, ...] = (
            tuple(str(i) for i in range(1, labels + 1)) if isinstance(labels, int) else tuple(labels)
        )
        self.numeric: bool = all(name.isascii() and name.isdigit() and len(name) <= MAX_DIGITS for name in self.names)
        folded = {name.casefold() for name in self.names}
        self._fold = len(folded) == len(set(self.names))
        self._positions: dict[str, int] = {}
        for position, name in enumerate(self.names):
            self._positions.setdefault(self._key(name), position)

    def __len__(self) -> int:
        return len(self.names)

    def position(self, given: object) -> int | None:
        """The position (from 0) a label means, or None when it names none of them. Never raises.

        True and 2.0 name nothing: only whole numbers and texts do.
        """
        if isinstance(given, bool) or not isinstance(given, str | int):
            return None
        if isinstance(given, int):
            return self._positions.get(str(given)) if 0 <= given < 10**MAX_DIGITS else None
        return self._positions.get(self._key(given))

    def distinct(self, given: Iterable[object]) -> int:
        """How many different slots these labels name."""
        return len({position for label in given if (position := self.position(label)) is not None})

    def _key(self, name: str) -> str:
        name = name.strip()
        if self.numeric:
            if not name.isdecimal():
                return name
            # "٣" and "３" are digits to a model that writes another script; `int` reads them.
            significant = name.lstrip("0") or "0"
            return str(int(significant)) if len(significant) <= MAX_DIGITS else name
        return name.casefold() if self._fold else name


class Repaired(NamedTuple):
    """An answer made whole.

    `order`: every position once, best first. `named`: how many leading ones the model gave. `dropped`: labels that
    named no slot or one already named. `appended`: positions the model did not name, behind in previous order.
    """

    order: tuple[int, ...]
    named: int
    dropped: int
    appended: int


def repair(given: Iterable[object], labels: int | Sequence[str] | Labels) -> Repaired:
    """Make a full order of the labels a model gave, best first.

    A label outside the range, no label at all (a float, True, a word) or one already named is dropped and counted;
    slots nobody named are appended in previous order and counted. The result is always a permutation.

    >>> repair([2, 7, 2, 1], 3)
    Repaired(order=(1, 0, 2), named=2, dropped=2, appended=1)
    >>> repair(["C", "A"], ("A", "B", "C")).order
    (2, 0, 1)
    """
    known = labels if isinstance(labels, Labels) else Labels(labels)
    named: dict[int, None] = {}
    dropped = 0
    for label in given:
        position = known.position(label)
        if position is None or position in named:
            dropped += 1
        else:
            named[position] = None
    rest = [position for position in range(len(known)) if position not in named]
    return Repaired(order=(*named, *rest), named=len(named), dropped=dropped, appended=len(rest))
