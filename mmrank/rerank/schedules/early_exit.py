"""A pointwise scorer that stops when going on no longer changes the best k."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrank.errors import UsageError
from mmrank.rerank.parts import Plan
from mmrank.rerank.schedules.base import at_least, check_slots, make_block, usable
from mmrank.rerank.schedules.play import expected_calls

PATIENCE = 3
"""Between the 2 and 4 of "Efficient multivector reranking"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyExit:
    """Score the first `k` slots, then on down the list, `batch` a round, until `patience` slots in a row have not
    entered the best k (early exit of "Efficient multivector reranking", arXiv 2601.05200, where patience is beta).

    Slots not scored stay behind in previous order. The rule is applied slot by slot, so a larger batch scores at most
    `batch - 1` slots more than a batch of 1. A slot whose score is unknown counts neither way.

    `alpha`: candidate pruning before that: slots whose first-stage score is below s_k - alpha * abs(s_k) are left out,
    s_k being the k-th best; needs `scores`, which must be finite and higher = better. At least k slots always stay.

    `margin`: for a cascade, in which a cheap judge gave the `scores` on the scale of the judge that is asked now (both
    log-odds). A slot is passed over when even its score plus `margin` would not enter the best k; when no slot is left
    that could, the best k can no longer change, as long as this judge nowhere exceeds the cheap one by more than
    `margin`. Then `patience` holds only where it is given. A score of minus infinity (a slot the cheap judge did not
    score) is passed over once the best k are full.

    `patience`: 3 when neither it nor `margin` is given.

    >>> EarlyExit(k=10, patience=3).worst(50)
    50
    """

    k: int = 10
    patience: int | None = None
    batch: int = 1
    alpha: float | None = None
    margin: float | None = None
    kind: ClassVar[str] = "early_exit"
    needs_scores: ClassVar[bool] = True
    needs_aggregator: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(self.kind, 1, k=self.k, batch=self.batch)
        if self.patience is not None:
            at_least(self.kind, 1, patience=self.patience)
        for name, value in (("alpha", self.alpha), ("margin", self.margin)):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and math.isfinite(value) and value >= 0):
                raise UsageError(
                    f"Schedule 'early_exit': {name} is {value!r}; give a number of 0 or more, or leave it out."
                )

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        check_slots(slots)
        todo = deque(self._candidates(slots, scores))
        most = self._most(slots, scores)
        patience = self.patience or (math.inf if self.margin is not None else PATIENCE)
        best: list[float] = []
        misses, size = 0, self.k
        while todo and misses < patience:
            worth: list[int] = []
            while todo and len(worth) < size:
                slot = todo.popleft()
                if len(best) < self.k or most[slot] > best[0]:
                    worth.append(slot)
            if not worth:
                break
            answers = yield [make_block([slot], 0, seed) for slot in worth]
            size = self.batch
            for answer in answers:
                score = answer.scores[0] if answer.scores and usable(answer) else None
                if score is None or misses >= patience:
                    continue
                if len(best) < self.k:
                    heapq.heappush(best, score)
                elif score > best[0]:
                    heapq.heapreplace(best, score)
                    misses = 0
                else:
                    misses += 1
        return None

    def _most(self, slots: int, scores: Sequence[float] | None) -> Sequence[float]:
        """The best score that each slot can be given."""
        if self.margin is None:
            return [math.inf] * slots
        if scores is None or len(scores) != slots or any(math.isnan(s) or s == math.inf for s in scores):
            raise self._unfit("margin compares with", slots, scores)
        return [score + self.margin for score in scores]

    def _candidates(self, slots: int, scores: Sequence[float] | None) -> list[int]:
        """The slots worth scoring, in previous order."""
        if self.alpha is None or slots <= self.k:
            return list(range(slots))
        if scores is None or len(scores) != slots or not all(map(math.isfinite, scores)):
            raise self._unfit("alpha prunes by", slots, scores)
        kth = sorted(scores, reverse=True)[self.k - 1]
        floor = kth - self.alpha * abs(kth)
        return [slot for slot in range(slots) if scores[slot] >= floor]

    def _unfit(self, what: str, slots: int, scores: Sequence[float] | None) -> UsageError:
        came = "none" if scores is None else f"{len(scores)} ({', '.join(map(str, scores[:5]))}...)"
        name = what.partition(" ")[0]
        return UsageError(
            f"Schedule 'early_exit' with {what} the first stage's scores: it needs {slots} finite ones, and was given "
            f"{came}. Leave {name} out, or rerank a list whose hits carry scores."
        )

    def calls(self, slots: int) -> int:
        if self.margin is not None and self.patience is None:
            return slots  # what it saves depends on the scores alone, which are not known here
        return expected_calls(self, slots)

    def worst(self, slots: int) -> int:
        return slots

    def largest(self, slots: int) -> int:
        return min(1, slots)
