"""The whole list at once, or a window that slides over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrank.errors import UsageError
from mmrank.rerank.parts import Plan
from mmrank.rerank.schedules.base import at_least, check_slots, make_block, reordered


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """The whole list in one block, in its previous order. One slot or none needs no call.

    An answer that fell back leaves the list as it is.

    >>> Single().calls(20), Single().largest(20)
    (1, 20)
    """

    kind: ClassVar[str] = "single"
    needs_scores: ClassVar[bool] = False
    needs_aggregator: ClassVar[bool] = False

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        check_slots(slots)
        if slots < 2:
            return tuple(range(slots))
        block = make_block(range(slots), 0, seed)
        (answer,) = yield [block]
        return reordered(block, answer)

    def calls(self, slots: int) -> int:
        return int(slots > 1)

    def worst(self, slots: int) -> int:
        return self.calls(slots)

    def largest(self, slots: int) -> int:
        return slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Sliding:
    """A window of `window` slots from the end of the list to its start, `stride` at a time (RankGPT, RankZephyr).

    The best `window - stride` of each window are carried into the next. It stops after the window that begins at 0;
    that last window is shorter when the windows do not fit the list evenly (as in the authors' code). `passes`: how
    often the whole walk is made. Every window waits for the one before it: one block a round. A `TimeoutError` thrown
    into the plan ends it with the order so far.

    >>> Sliding(window=20, stride=10).calls(100)
    9
    """

    window: int = 20
    stride: int = 10
    passes: int = 1
    kind: ClassVar[str] = "sliding"
    needs_scores: ClassVar[bool] = False
    needs_aggregator: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(self.kind, 2, window=self.window)
        at_least(self.kind, 1, stride=self.stride, passes=self.passes)
        if self.stride >= self.window:
            raise UsageError(
                f"Schedule 'sliding': stride is {self.stride} and window is {self.window}; windows must overlap, or "
                f"nothing can move up past its window: give a stride of 1 to {self.window - 1}."
            )

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        check_slots(slots)
        order = list(range(slots))
        for done in range(self.passes):
            for start, end in self._windows(slots):
                block = make_block(order[start:end], done, seed)
                try:
                    (answer,) = yield [block]
                except TimeoutError:
                    return order
                order[start:end] = reordered(block, answer)
        return order

    def _windows(self, slots: int) -> list[tuple[int, int]]:
        """(start, end) of each window, last of the list first; none when there is nothing to order."""
        if slots < 2:
            return []
        windows, end = [], slots
        while True:
            windows.append((max(end - self.window, 0), end))
            if end <= self.window:
                return windows
            end -= self.stride

    def calls(self, slots: int) -> int:
        return self.passes * len(self._windows(slots))

    def worst(self, slots: int) -> int:
        return self.calls(slots)

    def largest(self, slots: int) -> int:
        return min(self.window, slots)
