"""Block designs: how a list is dealt into blocks so that items of different blocks can still be compared.

All take the number of slots, the block size, how often each slot should appear, and a random source, and give tuples
of slots. Source: JointRank (equi-replicate, Latin square, triangular, random); the designs for numbers of slots that
fill no square or triangle, and Latin squares beyond rows and columns, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Literal, TypeAlias, get_args

from mmrank.errors import UsageError

Design: TypeAlias = Literal["equi", "latin", "triangular", "random"]
DESIGNS: tuple[Design, ...] = get_args(Design)

Dealt: TypeAlias = list[tuple[int, ...]]


def copies(slots: int, repeats: int, random: Random) -> Dealt:
    """`repeats` shuffled copies of the whole list: what every design comes to when the list fits one block."""
    return [tuple(random.sample(range(slots), slots)) for _ in range(repeats)]


def equi_replicate(slots: int, size: int, repeats: int, random: Random) -> Dealt:
    """`repeats` times: shuffle the list and cut it into blocks of `size`.

    Every slot appears exactly `repeats` times when `size` divides `slots`. A short last block is filled with other
    slots drawn at random, so a few appear once more.

    >>> sorted(s for block in equi_replicate(6, 3, 2, Random(0)) for s in block)
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    """
    blocks: Dealt = []
    for _ in range(repeats):
        pool = random.sample(range(slots), slots)
        for start in range(0, slots, size):
            block = pool[start : start + size]
            block += random.sample(pool[:start], size - len(block))
            blocks.append(tuple(random.sample(block, size)))
    return blocks


def latin(slots: int, size: int, repeats: int, random: Random) -> Dealt:
    """Slots on a square; the blocks are its rows, its columns, then the letters of mutually orthogonal Latin squares.

    With `slots` = `size` squared every block has `size` slots and no two slots meet twice. With a prime `size` and
    `size + 1` repeats every two meet exactly once. For other numbers the square is the smallest that holds the slots,
    with empty cells. When a square gives no further orthogonal letters, a newly shuffled one goes on.
    """
    side = square_side(slots)
    if side > size:
        raise UsageError(
            f"Block design 'latin' with size {size} takes up to {size * size} slots, and there are {slots}: "
            f"raise size to {side}, lower the depth to {size * size}, or take design 'equi'."
        )
    classes = _square_classes(side)
    blocks: Dealt = []
    for repeat in range(repeats):
        if repeat % len(classes) == 0:
            cells = random.sample(range(side * side), slots)
        line = classes[repeat % len(classes)]
        blocks += _gather(((line(*divmod(cell, side)), slot) for slot, cell in enumerate(cells)), random)
    return blocks


def _square_classes(side: int) -> list[Callable[[int, int], int]]:
    """The parallel classes of a square: each maps (row, column) to the block of the class the cell is in."""
    factor = next((p for p in range(2, math.isqrt(side) + 1) if side % p == 0), side)
    # row + m * column is a Latin square where m is prime to the side, and two are orthogonal where the difference
    # of their m is: both hold for every m below the smallest prime factor of the side.
    letters = [lambda row, column, m=m: (row + m * column) % side for m in range(1, factor)]
    return [lambda row, column: row, lambda row, column: column, *letters]


def triangular(slots: int, size: int, repeats: int, random: Random) -> Dealt:
    """Slots on the edges of a complete graph; the blocks are its corners. Each slot is in two blocks.

    With 2 * slots = size * (size + 1) every block has `size` slots and any two blocks share exactly one. For other
    numbers the graph is the smallest that holds the slots. `repeats` must be even; each two are a new deal.
    """
    if repeats % 2:
        raise UsageError(
            f"Block design 'triangular' shows each slot twice a deal; repeats is {repeats}, give 2, 4, ..."
        )
    most = size * (size + 1) // 2
    if slots > most:
        raise UsageError(
            f"Block design 'triangular' with size {size} takes up to {most} slots, and there are {slots}: "
            "raise size, lower the depth, or take design 'equi'."
        )
    corners = graph_corners(slots)
    edges = [(a, b) for b in range(corners) for a in range(b)]
    blocks: Dealt = []
    for _ in range(repeats // 2):
        dealt = random.sample(edges, slots)
        blocks += _gather(((corner, slot) for slot, edge in enumerate(dealt) for corner in edge), random)
    return blocks


def at_random(slots: int, size: int, repeats: int, random: Random) -> Dealt:
    """Blocks of `size` slots drawn with no regard to each other, as many as `equi_replicate` has.

    A slot may be drawn often or never; one never drawn stays behind in previous order.
    """
    return [tuple(random.sample(range(slots), size)) for _ in range(repeats * math.ceil(slots / size))]


def square_side(slots: int) -> int:
    """The side of the smallest square with a cell for each slot."""
    return math.isqrt(slots - 1) + 1


def graph_corners(slots: int) -> int:
    """The corners of the smallest complete graph with an edge for each slot."""
    return next(c for c in range(2, slots + 2) if c * (c - 1) // 2 >= slots)


def most_blocks(design: Design, slots: int, size: int, repeats: int) -> int:
    """The most blocks that a deal of more slots than fit one block can have."""
    if design == "latin":
        return repeats * square_side(slots)
    if design == "triangular":
        return repeats // 2 * graph_corners(slots)
    return repeats * math.ceil(slots / size)


def _gather(members: Iterator[tuple[int, int]], random: Random) -> Dealt:
    """(block, slot) pairs as blocks in shuffled inner order. A block of one slot compares nothing and is left out."""
    blocks: dict[int, list[int]] = {}
    for key, slot in members:
        blocks.setdefault(key, []).append(slot)
    return [tuple(random.sample(b, len(b))) for _, b in sorted(blocks.items()) if len(b) > 1]


DEAL: dict[Design, Callable[[int, int, int, Random], Dealt]] = {
    "equi": equi_replicate,
    "latin": latin,
    "triangular": triangular,
    "random": at_random,
}
