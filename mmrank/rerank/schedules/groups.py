"""Groups that are scored, not ordered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import ClassVar

from mmrank.rerank.parts import Plan
from mmrank.rerank.schedules.base import at_least, check_slots, make_block
from mmrank.rerank.schedules.seeds import derive_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """`epochs` times: the list shuffled and cut into groups of at most `size`, all in one round (GroupRank).

    The groups of one epoch are as even as they can be: 41 slots in groups of 20 are 14, 14 and 13, not 20, 20 and 1,
    for a slot scored alone has nothing to be measured against.

    >>> Groups(size=20, epochs=2).calls(100)
    10
    """

    size: int = 20
    epochs: int = 2
    kind: ClassVar[str] = "groups"
    needs_scores: ClassVar[bool] = False  # orders of groups aggregate too (borda, win rate)
    needs_aggregator: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(self.kind, 1, size=self.size, epochs=self.epochs)

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        check_slots(slots)
        if not slots:
            return None
        random = Random(derive_seed(seed, "", self.kind))
        groups = math.ceil(slots / self.size)
        cuts = [slots * g // groups for g in range(groups + 1)]
        blocks = []
        for epoch in range(self.epochs):
            pool = random.sample(range(slots), slots)
            blocks += [make_block(pool[a:b], epoch, seed) for a, b in pairwise(cuts)]
        yield blocks
        return None

    def calls(self, slots: int) -> int:
        return self.epochs * math.ceil(slots / self.size)

    def worst(self, slots: int) -> int:
        return self.calls(slots)

    def largest(self, slots: int) -> int:
        return math.ceil(slots / max(1, math.ceil(slots / self.size)))
