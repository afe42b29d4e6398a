"""Each slot alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrank.rerank.parts import Plan
from mmrank.rerank.schedules.base import at_least, check_slots, make_block


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointwise:
    """Each slot in a block of its own, `samples` times, all in one round. Variants count the samples.

    More than one sample means something only when the MLLM draws its answers (temperature above 0), as in Retro*.

    >>> Pointwise(samples=4).calls(30)
    120
    """

    samples: int = 1
    kind: ClassVar[str] = "pointwise"
    needs_scores: ClassVar[bool] = True
    needs_aggregator: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(self.kind, 1, samples=self.samples)

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        check_slots(slots)
        if slots:
            yield [make_block([slot], sample, seed) for slot in range(slots) for sample in range(self.samples)]
        return None

    def calls(self, slots: int) -> int:
        return slots * self.samples

    def worst(self, slots: int) -> int:
        return self.calls(slots)

    def largest(self, slots: int) -> int:
        return min(1, slots)
