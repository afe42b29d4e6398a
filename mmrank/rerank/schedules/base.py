"""What a schedule is: which slots are shown together, in which calls, in how many rounds.

A schedule knows numbers of slots only, no items, no queries and no model, so it is tested alone and costs nothing to
estimate. All its settings are plain data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from mmrank.errors import UsageError
from mmrank.rerank.parts import Answer, Block, Plan
from mmrank.rerank.schedules.seeds import derive_seed


@runtime_checkable
class Schedule(Protocol):
    """One kind of schedule with its settings: a frozen dataclass."""

    @property
    def kind(self) -> str:
        """Its name in recipes: ``sliding``, ``blocks``, ..."""
        ...

    @property
    def needs_scores(self) -> bool:
        """True when an order within a block is of no use: the ask must give a score to each slot it is shown."""
        ...

    @property
    def needs_aggregator(self) -> bool:
        """True when `plan` returns None, so that an aggregator must make the order."""
        ...

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        """The rounds for one query with `slots` slots (0 = best so far).

        `seed`: of this query, `derive_seed(run_seed, query_id)`. `scores`: the first stage's score of each slot,
        higher = better; only `EarlyExit` with `alpha` reads them.
        """
        ...

    def calls(self, slots: int) -> int:
        """How many blocks will be asked: exact where it does not depend on the answers, else what is expected."""
        ...

    def worst(self, slots: int) -> int:
        """The most blocks that can be asked, retries apart."""
        ...

    def largest(self, slots: int) -> int:
        """The number of slots in its largest block: what has to fit one prompt."""
        ...


def make_block(slots: Sequence[int], variant: int, seed: int) -> Block:
    """A Block whose own seed follows from the query's seed, its slots and its variant."""
    shown = tuple(slots)
    return Block(slots=shown, variant=variant, seed=derive_seed(seed, "", "block", shown, variant))


def check_slots(slots: int) -> None:
    if slots < 0:
        raise UsageError(f"A schedule was given {slots} slots; it takes 0 or more.")


def at_least(kind: str, least: int, **settings: int) -> None:
    """Raise `UsageError` for a setting that is no whole number or below `least`."""
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"Schedule {kind!r}: {name} is {value!r}; give a whole number of {least} or more.")


def usable(answer: Answer) -> bool:
    """Whether the answer says anything about its block; one that fell back or failed leaves the block as it was."""
    return answer.status not in ("fell_back", "failed") and answer.named > 0


def reordered(block: Block, answer: Answer) -> tuple[int, ...]:
    """The block's slots in the answer's order; in their previous order when the answer is not usable.

    >>> reordered(Block(slots=(7, 5, 6)), Answer(order=(1, 0, 2), named=3))
    (5, 7, 6)
    """
    if not usable(answer):
        return block.slots
    return tuple(block.slots[position] for position in answer.order)
