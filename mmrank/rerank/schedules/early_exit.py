"""A pointwise scorer that stops when going on no longer changes the best k."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrank.errors import UsageError
from mmrank.rerank.parts import Plan
from mmrank.rerank.schedules.base import at_least, check_slots, make_block, usable
from mmrank.rerank.schedules.play import expected_calls


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyExit:
    """Score the first `k` slots, then on down the list, `batch` a round, until `patience` slots in a row have not
    entered the best k (early exit of "Efficient multivector reranking", arXiv 2601.05200, where patience is beta).

    Slots not scored stay behind in previous order. The rule is applied slot by slot, so a larger batch scores at most
    `batch - 1` slots more than a batch of 1. A slot whose score is unknown counts neither way.

    `alpha`: candidate pruning before that: slots whose first-stage score is below s_k - alpha * abs(s_k) are left out,
    s_k being the k-th best; needs `scores`, which must be finite and higher = better. At least k slots always stay.

    >>> EarlyExit(k=10, patience=3).worst(50)
    50
    """

    k: int = 10
    patience: int = 3
    batch: int = 1
    alpha: float | None = None
    kind: ClassVar[str] = "early_exit"
    needs_scores: ClassVar[bool] = True
    needs_aggregator: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(self.kind, 1, k=self.k, patience=self.patience, batch=self.batch)
        alpha = self.alpha
        if alpha is not None and not (isinstance(alpha, int | float) and math.isfinite(alpha) and alpha >= 0):
            raise UsageError(f"Schedule 'early_exit': alpha is {alpha!r}; give a number of 0 or more, or leave it out.")

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        check_slots(slots)
        todo = self._candidates(slots, scores)
        best: list[float] = []
        misses, start = 0, 0
        while start < len(todo) and misses < self.patience:
            end = start + (self.k if start == 0 else self.batch)
            answers = yield [make_block([slot], 0, seed) for slot in todo[start:end]]
            for answer in answers:
                score = answer.scores[0] if answer.scores and usable(answer) else None
                if score is None or misses >= self.patience:
                    continue
                if len(best) < self.k:
                    heapq.heappush(best, score)
                elif score > best[0]:
                    heapq.heapreplace(best, score)
                    misses = 0
                else:
                    misses += 1
            start = end
        return None

    def _candidates(self, slots: int, scores: Sequence[float] | None) -> list[int]:
        """The slots worth scoring, in previous order."""
        if self.alpha is None or slots <= self.k:
            return list(range(slots))
        if scores is None or len(scores) != slots or not all(map(math.isfinite, scores)):
            came = "none" if scores is None else f"{len(scores)} ({', '.join(map(str, scores[:5]))}...)"
            raise UsageError(
                f"Schedule 'early_exit' with alpha prunes by the first stage's scores: it needs {slots} finite ones, "
                f"and was given {came}. Leave alpha out, or rerank a list whose hits carry scores."
            )
        kth = sorted(scores, reverse=True)[self.k - 1]
        floor = kth - self.alpha * abs(kth)
        return [slot for slot in range(slots) if scores[slot] >= floor]

    def calls(self, slots: int) -> int:
        return expected_calls(self, slots)

    def worst(self, slots: int) -> int:
        return slots

    def largest(self, slots: int) -> int:
        return min(1, slots)
