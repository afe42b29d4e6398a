"""Where the relevant items of each query stand, as columns: all that most metrics need to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import Floats, Ints, ranks_of, reduce_lists

Ties: TypeAlias = Literal["averaging", "pessimistic", "optimistic"]
"""Where an item stands that has the same score as others. "averaging": at the mean of the places it could have, over
all orders of the tied (collaborative-experts). "pessimistic": behind all others. "optimistic": before them."""

TIES: tuple[Ties, ...] = ("averaging", "pessimistic", "optimistic")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranks:
    """Ranks of each query's relevant items, one query behind the other.

    Attributes:
        offsets: int64 (queries + 1,); query q owns the entries ``offsets[q]:offsets[q + 1]``.
        values: float64 (relevant,), ranks from 1, ascending within a query, inf for an item that is not in its list.
            Averaged ties make fractions.
        gains: float64 (relevant,), the gain of the item at that rank, above 0.

    >>> two = Ranks.of(np.array([2, 1]), np.array([7.0, 3.0, np.inf]), np.array([1.0, 2.0, 1.0]))
    >>> two.first.tolist(), two.target.tolist(), two.counts.tolist()
    ([3.0, inf], [3.0, inf], [2, 1])
    """

    offsets: Ints
    values: Floats
    gains: Floats

    @classmethod
    def of(cls, counts: npt.NDArray[np.integer], values: Floats, gains: Floats) -> Ranks:
        """From ranks in any order within each query. `counts`: (queries,), how many each query owns."""
        query = np.repeat(np.arange(len(counts)), counts)
        order = np.lexsort((gains, values, query))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(offsets=offsets, values=values[order], gains=gains[order])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Ints:
        """How many items are relevant to each query; shape (queries,)."""
        return np.diff(self.offsets)

    @property
    def first(self) -> Floats:
        """The best rank of each query, inf when it has none; shape (queries,)."""
        best = np.full(len(self), np.inf)
        some = self.counts > 0
        best[some] = self.values[self.offsets[:-1][some]]
        return best

    @property
    def target(self) -> Floats:
        """The rank of each query's item of the highest gain (the best placed of several), inf when there is none."""
        highest = np.repeat(self.highest(self.gains), self.counts)
        ranks = np.where(self.gains == highest, self.values, np.inf)
        best = reduce_lists(np.minimum, ranks, self.counts)
        return np.where(self.counts > 0, best, np.inf)

    @property
    def position(self) -> Floats:
        """1, 2, 3, ... within each query: how many relevant items have come by then; shape (relevant,)."""
        return ranks_of(self.counts)

    def total(self, values: Floats) -> Floats:
        """The sum over each query's entries, shape (queries,); 0 for a query without any."""
        return reduce_lists(np.add, values, self.counts)

    def highest(self, values: Floats) -> Floats:
        """The maximum over each query's entries, shape (queries,); 0 for a query without any."""
        return reduce_lists(np.maximum, values, self.counts)


def settle(higher: Ints, tied: Ints, turn: Floats, rivals: Ints, ties: Ties) -> Floats:
    """Ranks of relevant items from counts of candidates.

    Args:
        higher: (items,), candidates with a higher score.
        tied: (items,), candidates with this score, the item among them.
        turn: (items,), 1 for the first relevant item of its tie, 2 for the second, ...
        rivals: (items,), relevant items in its tie, itself among them.
        ties: the rule.

    Relevant items never cost each other a place. Under "averaging" the j-th of m relevant items among n tied ones
    stands at j (n + 1) / (m + 1), the mean of its place over all orders; with one relevant item that is (n + 1) / 2.

    >>> one = np.array([1])
    >>> [settle(0 * one, 4 * one, 1.0 * one, one, rule).tolist() for rule in ("averaging", "pessimistic", "optimistic")]
    [[2.5], [4.0], [1.0]]
    """
    if ties == "optimistic":
        return higher + turn
    if ties == "pessimistic":
        return higher + (tied - rivals) + turn
    return higher + turn * (tied + 1) / (rivals + 1)
