"""The small types that pass between the five parts of a judge: blocks of candidates, and answers about them.

A *slot* is a place in the list a judge is given (0 = best so far). Mostly slot i is candidate i; a recipe that shows a
candidate once for every list it came from (ViC) has more slots than candidates.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from mmrank.types import Cost, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One question of a schedule: which slots are shown, in which order.

    `variant`: 0 as asked first; other numbers tell repeated questions of the same slots apart (the second order of
    a duel, the sample number of a rubric). `seed`: for sampling, derived from (run seed, query id, block, sample).
    """

    slots: tuple[int, ...]
    variant: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back for one block, mended by the one repair rule.

    `order`: positions within the block (not slots), best first, each exactly once.
    `named`: how many leading entries of `order` the model itself asserted; the rest were appended in previous order
    and must not count as a judgement. `scores`: by position within the block, higher = better, None where unknown;
    empty when the ask gives an order only. `status`: ok, repaired, fell_back (nothing could be used), failed.
    `dropped`, `appended`: labels removed as invalid or repeated, and added as missing. `error`: why, when not ok.
    `shortened`: tokens of data text that were left out of the prompt to keep the model's limit. `call`: the key of the
    call it was read from in the transcript that is being written.
    """

    order: tuple[int, ...]
    named: int
    scores: tuple[float | None, ...] = ()
    status: Status = "ok"
    dropped: int = 0
    appended: int = 0
    retries: int = 0
    shortened: int = 0
    error: str | None = None
    cost: Cost = Cost()
    call: str = field(default="", compare=False, repr=False)

    @property
    def asserted(self) -> tuple[int, ...]:
        """The positions the model itself put in order.

        >>> Answer(order=(2, 0, 1), named=1).asserted
        (2,)
        """
        return self.order[: self.named]


Round: TypeAlias = Sequence[Block]
"""Blocks that may be asked at the same time."""

Plan: TypeAlias = Generator[Round, Sequence[Answer], Sequence[int] | None]
"""A schedule at work on one query: yields rounds, is sent one Answer per block of the round it yielded, in order, and
returns the final order of all slots, or None when an aggregator is to make it from all blocks and answers."""
