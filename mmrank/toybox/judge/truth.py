"""How well an item answers a query: the right answer 1, every other the less the more it differs from it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from mmrank.toybox.judge.known import Facts, Knowledge, KnownItem

NEAREST = 0.7
"""The most that a wrong item can be worth: far enough below the answer's 1 for every scale the judge answers on."""

TIE_BREAK = 0.015
"""Items that differ equally are told apart by their keys, so that every list has one right order."""

KIN = 0.5
STRANGER = 0.1
"""Worth of pictures about which only this is known: near-duplicates of the answer (CIRR's image sets), or not."""

OTHER_KIND = 0.1
"""Taken off when the item is of another kind than the answer."""


def relevance(known: Knowledge, answers: Collection[str], key: str) -> float:
    """Worth of an item (0 to 1) where `answers` are the right ones. Equal calls give equal numbers.

    Example:
        >>> from mmrank.toybox.judge.known import read_knowledge
        >>> relevance(read_knowledge(), ["photos/photo-0001.jpg"], "photos/photo-0001.jpg")
        1.0
    """
    if key in answers:
        return 1.0
    worth = max((_near(known.items[answer], known.items[key]) for answer in answers), default=0.0)
    return worth + TIE_BREAK * _share(key)


def likeness(one: Facts, other: Facts) -> float:
    """1 for equal facts; the ground counts a quarter, the objects half, relation and order the rest.

    Example:
        >>> likeness(Facts("red", ("dog", "cat"), "above"), Facts("blue", ("dog", "cat"), "above"))
        0.75
    """
    first, second = set(one.objects), set(other.objects)
    total = 0.25 * (one.ground == other.ground) + 0.5 * len(first & second) / len(first | second)
    total += 0.1 * (one.relation == other.relation)
    return total + 0.15 * (first == second and one.objects == other.objects)


def _near(answer: KnownItem, item: KnownItem) -> float:
    if answer.facts and item.facts:
        worth = NEAREST * likeness(answer.facts, item.facts)
    else:
        worth = KIN if answer.kin is not None and answer.kin == item.kin else STRANGER
    return max(0.0, worth - OTHER_KIND * (answer.kind != item.kind))


def _share(key: str) -> float:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "big") / 2**32
