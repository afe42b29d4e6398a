"""Overlapping blocks in one round, and the same list several times in different orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal, TypeAlias

from mmrank.errors import UsageError
from mmrank.rerank.parts import Plan
from mmrank.rerank.schedules.base import at_least, check_slots, make_block
from mmrank.rerank.schedules.designs import DEAL, DESIGNS, Dealt, Design, copies, most_blocks
from mmrank.rerank.schedules.seeds import derive_seed

Shown: TypeAlias = Literal["shuffled", "previous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The list dealt into blocks of `size`, each slot `repeats` times, all blocks in one round (JointRank).

    `design`: see `mmrank.rerank.schedules.designs`. A list that fits one block is asked `repeats` times, shuffled.
    `shown`: the order inside a block; ``shuffled`` lets an MLLM's liking for a place even out, ``previous`` shows
    the better candidates of the first stage first.

    >>> Blocks(size=20, repeats=4).calls(100)
    20
    """

    size: int = 10
    repeats: int = 3
    design: Design = "equi"
    shown: Shown = "shuffled"
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
        if blocks:
            yield blocks
        return None

    def _deal(self, slots: int, seed: int) -> Dealt:
        random = Random(derive_seed(seed, "", self.kind))
        if slots < 2:
            return []
        if slots <= self.size:
            return copies(slots, self.repeats, random)
        return DEAL[self.design](slots, self.size, self.repeats, random)

    def calls(self, slots: int) -> int:
        # A partly filled square or triangle leaves out blocks of one slot, so the number is that of one deal.
        return len(self._deal(slots, 0))

    def worst(self, slots: int) -> int:
        if slots <= self.size:
            return self.calls(slots)
        return most_blocks(self.design, slots, self.size, self.repeats)

    def largest(self, slots: int) -> int:
        return min(self.size, slots)


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
