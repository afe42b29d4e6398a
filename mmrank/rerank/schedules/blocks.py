"""Overlapping blocks in one round, and the same list several times in different orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal, TypeAlias

from mmrank.errors import UsageError
from mmrank.rerank.parts import Answer, Block, Plan
from mmrank.rerank.schedules.base import at_least, check_slots, make_block, reordered, usable
from mmrank.rerank.schedules.designs import DEAL, DESIGNS, Dealt, Design, copies, most_blocks
from mmrank.rerank.schedules.seeds import derive_seed

Shown: TypeAlias = Literal["shuffled", "previous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The list dealt into blocks of `size`, each slot `repeats` times, all blocks in one round (JointRank).

    `design`: see `mmrank.rerank.schedules.designs`. A list that fits one block is asked `repeats` times, shuffled.
    `shown`: the order inside a block; ``shuffled`` lets an MLLM's liking for a place even out, ``previous`` shows
    the better candidates of the first stage first.
    `final`: one more call, after the round: the `size` best by win rate in one block, whose order stands at the top
    (ours). Two candidates that never met and beat all others tie after one round, however good the judge; of 50 in
    blocks of 10 dealt twice the best of all came first in 40 % without it, 100 % with it (a judge without faults).

    >>> Blocks(size=20, repeats=4).calls(100), Blocks(size=20, repeats=4, final=True).calls(100)
    (20, 21)
    """

    size: int = 10
    repeats: int = 3
    design: Design = "equi"
    shown: Shown = "shuffled"
    final: bool = False
    kind: ClassVar[str] = "blocks"
    needs_scores: ClassVar[bool] = False
    needs_aggregator: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(self.kind, 2, size=self.size)
        at_least(self.kind, 1, repeats=self.repeats)
        if self.design not in DESIGNS:
            raise UsageError(f"Schedule 'blocks': design is {self.design!r}; there are {', '.join(DESIGNS)}.")
        if self.design == "triangular" and self.repeats % 2:
            raise UsageError(
                f"Schedule 'blocks': design 'triangular' shows each slot twice a deal; repeats is {self.repeats}, "
                "give 2, 4, ..."
            )
        if self.shown not in ("shuffled", "previous"):
            raise UsageError(f"Schedule 'blocks': shown is {self.shown!r}; give 'shuffled' or 'previous'.")
        if not isinstance(self.final, bool):
            raise UsageError(f"Schedule 'blocks': final is {self.final!r}; give true or false.")

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        check_slots(slots)
        dealt = self._deal(slots, seed)
        if self.shown == "previous":
            dealt = [tuple(sorted(block)) for block in dealt]
        seen: dict[tuple[int, ...], int] = {}
        blocks = []
        for block in dealt:
            # The variant counts how often these very slots were asked before, in whatever order.
            members = tuple(sorted(block))
            blocks.append(make_block(block, seen.get(members, 0), seed))
            seen[members] = seen.get(members, 0) + 1
        answers = (yield blocks) if blocks else ()
        if not self._has_final(slots):
            return None
        order = by_wins(blocks, answers, slots)
        best, rest = order[: self.size], order[self.size :]
        last = make_block(best, 0, seed)
        try:
            (answer,) = yield [last]
        except TimeoutError:
            return order
        return [*reordered(last, answer), *rest]

    def _has_final(self, slots: int) -> bool:
        """A list that fits one block was asked whole already."""
        return self.final and slots > self.size

    def _deal(self, slots: int, seed: int) -> Dealt:
        random = Random(derive_seed(seed, "", self.kind))
        if slots < 2:
            return []
        if slots <= self.size:
            return copies(slots, self.repeats, random)
        return DEAL[self.design](slots, self.size, self.repeats, random)

    def calls(self, slots: int) -> int:
        # A partly filled square or triangle leaves out blocks of one slot, so the number is that of one deal.
        return len(self._deal(slots, 0)) + self._has_final(slots)

    def worst(self, slots: int) -> int:
        if slots <= self.size:
            return self.calls(slots)
        return most_blocks(self.design, slots, self.size, self.repeats) + self._has_final(slots)

    def largest(self, slots: int) -> int:
        return min(self.size, slots)


def by_wins(blocks: Sequence[Block], answers: Sequence[Answer], slots: int) -> list[int]:
    """All slots by the share of comparisons they won, ties in previous order, those never compared last.

    A slot wins against all that its answers put behind it, the unnamed ones included.

    >>> by_wins([Block(slots=(0, 1, 2))], [Answer(order=(2, 0, 1), named=3)], 4)
    [2, 0, 1, 3]
    """
    won, met = [0] * slots, [0] * slots
    for block, answer in zip(blocks, answers, strict=True):
        if not usable(answer):
            continue
        size = len(block.slots)
        for place, position in enumerate(answer.order):
            named = place < answer.named
            won[block.slots[position]] += size - 1 - place if named else 0
            met[block.slots[position]] += size - 1 if named else answer.named
    return sorted(range(slots), key=lambda slot: (-won[slot] / met[slot]) if met[slot] else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffles:
    """The whole list `times` times, each time in a new random order, all in one round (permutation
    self-consistency).

    Every copy is shuffled, the first too: a copy in previous order would bring the first stage's order into the vote
    by way of the MLLM's liking for early places, which the shuffling is there to cancel.

    >>> Shuffles(times=5).calls(20), Shuffles(times=5).largest(20)
    (5, 20)
    """

    times: int = 3
    kind: ClassVar[str] = "shuffles"
    needs_scores: ClassVar[bool] = False
    needs_aggregator: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(self.kind, 1, times=self.times)

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        check_slots(slots)
        if slots > 1:
            random = Random(derive_seed(seed, "", self.kind))
            dealt = copies(slots, self.times, random)
            yield [make_block(block, variant, seed) for variant, block in enumerate(dealt)]
        return None

    def calls(self, slots: int) -> int:
        return self.times if slots > 1 else 0

    def worst(self, slots: int) -> int:
        return self.calls(slots)

    def largest(self, slots: int) -> int:
        return slots
