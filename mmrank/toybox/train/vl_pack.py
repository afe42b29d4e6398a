"""Many prompts in one row: each sees only what it would see alone, so one picture or query can serve many questions.

A *segment* is a run of tokens. It follows its parent, as a continuation of it, and does not see its siblings.
The stock model computes on such rows exactly what it computes on each path from root to leaf alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Target:
    """A token that the model should give after position `at` of its segment, in one of the tasks."""

    at: int
    token: int
    task: int
    weight: float


@dataclass(slots=True)
class Segment:
    """Tokens that follow the parent's last one.

    Attributes:
        parent: index of the segment before it in its tree; None for the first.
        tokens: token ids, a picture as a run of placeholder tokens.
        pictures: (first placeholder, picture number, grid height, grid width in visual tokens) of each picture.
        targets: what is to be learned in it.
        matches: (position, numbers): where a candidate has been read, what about it fits the query, and its label.
        cells: (first position, marks (positions, n)): what is to be known at words and cells (`vl_marks.Mark`).
        copies: (position, other position): where an answer's label is given, and where what it names was judged.
    """

    parent: int | None
    tokens: list[int] = field(default_factory=list)
    pictures: list[tuple[int, int, int, int]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    matches: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    cells: list[tuple[int, npt.NDArray[np.int64]]] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)

    def positions(self, start: int) -> tuple[npt.NDArray[np.int64], int]:
        """M-RoPE positions (3, tokens) from `start` on, and the position that follows them.

        Text counts up alike on all three axes; a picture stands still in time and spreads over height and width,
        and what follows it goes on after its longer side (Qwen3-VL).
        """
        runs: list[npt.NDArray[np.int64]] = []
        done, now = 0, start
        for first, _, height, width in self.pictures:
            runs.append(np.broadcast_to(np.arange(now, now + first - done), (3, first - done)))
            now += first - done
            down, across = np.divmod(np.arange(height * width), width)
            runs.append(np.stack([np.full(height * width, now), now + down, now + across]))
            now += max(height, width)
            done = first + height * width
        rest = len(self.tokens) - done
        runs.append(np.broadcast_to(np.arange(now, now + rest), (3, rest)))
        return np.concatenate(runs, axis=1), now + rest


Tree = list[Segment]
"""Segments, parents before children; the first has no parent."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows for the model.

    Attributes:
        ids: (rows, length) token ids.
        positions: (3, rows, length).
        mask: (rows, length, length) whether a token sees another.
        pictures: picture numbers in the order in which their placeholders stand, row by row.
        targets: (n, 4) row, column, token, task; `weights` (n,) beside them.
        matches: (m, 2 + facts) row, column and the numbers.
        cells: (k, 2 + marks) row, column and the marks of words and cells.
        copies: (c, 3) row, column and the column to copy from.
    """

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    mask: npt.NDArray[np.bool_]
    pictures: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    matches: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    copies: npt.NDArray[np.int64]


def tree_length(tree: Tree) -> int:
    """How many tokens a tree takes."""
    return sum(len(segment.tokens) for segment in tree)


def fill_rows(trees: Sequence[Tree], length: int) -> list[list[Tree]]:
    """Share trees out over rows of about `length` tokens, the longest first, each into the first row with room."""
    rows: list[list[Tree]] = []
    room: list[int] = []
    for tree in sorted(trees, key=tree_length, reverse=True):
        needed = tree_length(tree)
        fitting = next((row for row, left in enumerate(room) if left >= needed), None)
        if fitting is None:
            rows.append([tree])
            room.append(length - needed)
        else:
            rows[fitting].append(tree)
            room[fitting] -= needed
    return rows


def pack(trees: Sequence[Tree], length: int, pad: int, facts: int, cell_facts: int) -> Packed:
    """Put trees into rows of at least `length` tokens (longer where one tree is), padded on the right."""
    rows = fill_rows(trees, max(length, *(tree_length(tree) for tree in trees)))
    longest = max(sum(tree_length(tree) for tree in row) for row in rows)
    ids = np.full((len(rows), longest), pad, np.int64)
    positions = np.zeros((3, len(rows), longest), np.int64)
    mask = np.zeros((len(rows), longest, longest), bool)
    pictures: list[int] = []
    targets: list[tuple[int, int, int, int]] = []
    weights: list[float] = []
    matches: list[tuple[int, ...]] = []
    copies: list[tuple[int, int, int]] = []
    cells = [np.zeros((0, 2 + cell_facts), np.int64)]
    for number, row in enumerate(rows):
        owner = np.full(longest, -1)
        lines: list[list[int]] = []
        column = 0
        for tree in row:
            base = len(lines)
            ends: list[int] = []
            for segment in tree:
                index = len(lines)
                ancestors = [index] if segment.parent is None else [*lines[base + segment.parent], index]
                lines.append(ancestors)
                spots, end = segment.positions(0 if segment.parent is None else ends[segment.parent])
                ends.append(end)
                here = slice(column, column + len(segment.tokens))
                ids[number, here], positions[:, number, here], owner[here] = segment.tokens, spots, index
                pictures += [picture for _, picture, _, _ in segment.pictures]
                targets += [(number, column + goal.at, goal.token, goal.task) for goal in segment.targets]
                weights += [goal.weight for goal in segment.targets]
                matches += [(number, column + at, *fits) for at, fits in segment.matches]
                copies += [(number, column + at, column + source) for at, source in segment.copies]
                for first, known in segment.cells:
                    spot = np.arange(column + first, column + first + len(known))
                    cells.append(np.column_stack((np.full(len(known), number), spot, known)))
                column += len(segment.tokens)
        sees = np.zeros((len(lines) + 1, len(lines) + 1), bool)
        for index, ancestors in enumerate(lines):
            sees[index, ancestors] = True
        mask[number] = np.tril(sees[owner][:, owner])
        np.fill_diagonal(mask[number], True)  # padding sees itself: a row of nothing would be no number
    return Packed(
        ids,
        positions,
        mask,
        np.array(pictures, np.int64),
        np.array(targets, np.int64).reshape(-1, 4),
        np.array(weights, np.float32),
        np.array(matches, np.int64).reshape(-1, 2 + facts),
        np.concatenate(cells),
        np.array(copies, np.int64).reshape(-1, 3),
    )
