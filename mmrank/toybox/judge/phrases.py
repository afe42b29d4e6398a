"""Finding known texts inside a longer one, by their words alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mmrank.toybox.judge.known import Words, word_spans

SHORTENED = 10
"""Words from its beginning by which a text that was cut short is still known, if no other begins with them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A known text between two characters of a longer one."""

    start: int
    end: int
    words: Words


@dataclass(slots=True)
class _Node:
    following: dict[str, _Node] = field(default_factory=dict)
    ends: Words | None = None
    only: Words | None = None
    """The one text that goes through here; None when there are several."""
    texts: int = 0


class Phrases:
    """A set of texts. `cut`: those that may also be met shortened.

    Example:
        >>> phrases = Phrases([("a", "dog"), ("a", "dog", "on", "red", "ground")])
        >>> [found.words for found in phrases.find("Query: 'A dog, on red ground'. A dog!")]
        [('a', 'dog', 'on', 'red', 'ground'), ('a', 'dog')]
    """

    def __init__(self, texts: Iterable[Words], cut: Iterable[Words] = ()) -> None:
        self._root, self._cut = _Node(), frozenset(cut)
        for words in set(texts) | self._cut:
            self._add(words)

    def _add(self, words: Words) -> None:
        node = self._root
        for word in words:
            node = node.following.setdefault(word, _Node())
            node.texts += 1
            node.only = words if node.texts == 1 else None
        node.ends = words

    def find(self, text: str) -> list[Found]:
        """Known texts in the order they stand; of two that overlap the longer one."""
        spans = word_spans(text)
        walks = [(start, *self._longest(spans, start)) for start in range(len(spans))]
        walks.sort(key=lambda walk: (-walk[1], walk[0]))
        taken = [False] * len(spans)
        found: list[Found] = []
        for start, length, words in walks:
            if words is None or any(taken[start : start + length]):
                continue
            taken[start : start + length] = [True] * length
            found.append(Found(spans[start][1], spans[start + length - 1][2], words))
        return sorted(found, key=lambda each: each.start)

    def _longest(self, spans: list[tuple[str, int, int]], start: int) -> tuple[int, Words | None]:
        """The longest known text that begins at a word: how many words of it are there, and which it is."""
        node, length = self._root, 0
        found: tuple[int, Words | None] = (0, None)
        for word, _, _ in spans[start:]:
            following = node.following.get(word)
            if following is None:
                break
            node, length = following, length + 1
            if node.ends is not None:
                found = (length, node.ends)
            elif length >= SHORTENED and node.only in self._cut:
                found = (length, node.only)
        return found
