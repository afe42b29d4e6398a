"""How many questions a judge puts to a model at a time, when there is a deadline or someone who watches.

A round of a schedule may be hundreds of questions. Asked as one batch it is fastest, but nothing can be said and
nothing be stopped until its end. So it is asked in portions, whose size follows from how long the last one took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmrank.errors import MediaError, MllmError
from mmrank.mllm.base import MLLM
from mmrank.mllm.prompt import Prompt

SHARE = 4
"""A portion takes at most this part of the time that is left: large portions first, single questions towards the end,
so that the end is missed by one question at most."""

GROWTH = 4
"""A portion is at most this many times the last one: the first one asked of a model says little about many."""

CALM = 5.0
"""Seconds between two words to someone who watches. Portions grow while they take less than half of it."""

REQUESTS = 4
"""Requests in a row for each that a server takes at a time: how much one portion without a deadline holds at least,
since a portion waits for its slowest answer."""


@dataclass(slots=True, kw_only=True)
class Portions:
    """The portions of one batch of queries, from its beginning to its `deadline` (seconds; None: no end).

    `watched`: someone is told after every portion. With neither, every portion is all that waits.
    """

    mllm: MLLM
    deadline: float | None = None
    watched: bool = False
    clock: Callable[[], float] = time.monotonic
    started: float = 0.0
    batches: int = 1
    last: int = 0
    pace: float | None = None

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def left(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self.deadline is None else self.started + self.deadline - self.clock()

    @property
    def over(self) -> bool:
        """Whether nothing more is to be asked: the time is up, or too short for one question more."""
        left = self.left
        return left is not None and (left <= 0 or (self.pace is not None and self.pace > left))

    def size(self, prompts: Sequence[Prompt]) -> int:
        """How many of the waiting `prompts`, from the first on, are asked now; at least one."""
        if self.deadline is not None:
            return self._in_time(len(prompts))
        return self._watchable(prompts) if self.watched else len(prompts)

    def took(self, asked: int, seconds: float) -> None:
        """Learn from a portion: the seconds that a question takes, and whether the next one may be larger."""
        at_once = max(1, min(asked, self._concurrency()))
        self.pace = seconds * at_once / asked if asked else self.pace
        self.last = asked
        if seconds < CALM / 2:
            self.batches *= 2
        elif seconds > CALM:
            self.batches = max(1, self.batches // 2)

    def _in_time(self, waiting: int) -> int:
        """A share of the time left; as many as the backend asks at once are never fewer."""
        least = min(waiting, self._concurrency())
        if self.pace is None or self.left is None:
            return least
        fitting = int(self.left / SHARE / max(self.pace, 1e-9)) * self._concurrency()
        return min(waiting, max(least, min(fitting, GROWTH * self.last)))

    def _watchable(self, prompts: Sequence[Prompt]) -> int:
        """Some whole batches of the backend, which are then no smaller than they would be without a watcher.

        A backend that does not say how it makes its batches is asked everything at once.
        """
        tokens = getattr(self.mllm, "batch_tokens", None)
        if tokens is None:
            told = getattr(self.mllm, "concurrency", None)
            return len(prompts) if told is None else min(len(prompts), REQUESTS * told * self.batches)
        taken = 0
        for _ in range(self.batches):
            taken += self._one_batch(prompts[taken:], tokens)
        return taken

    def _one_batch(self, prompts: Sequence[Prompt], tokens: int) -> int:
        """How many prompts, from the first on, make a batch of so many tokens, padding included."""
        widest = 0
        for count, prompt in enumerate(prompts, start=1):
            widest = max(widest, self._tokens(prompt))
            if widest * count > tokens:
                return max(1, count - 1)
        return len(prompts)

    def _tokens(self, prompt: Prompt) -> int:
        try:
            return self.mllm.count_tokens(prompt)
        except (MllmError, MediaError):  # it cannot be asked and fills no batch; its answer will say why
            return 0

    def _concurrency(self) -> int:
        """Questions that are under way side by side, each on its own."""
        return int(getattr(self.mllm, "concurrency", None) or 1)
