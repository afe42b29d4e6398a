"""Aggregators by the names recipes call them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from mmrank.errors import RecipeError
from mmrank.rerank.aggregators.base import Aggregated
from mmrank.rerank.aggregators.bradley_terry import bradley_terry
from mmrank.rerank.aggregators.elo import elo
from mmrank.rerank.aggregators.kemeny import kemeny
from mmrank.rerank.aggregators.means import borda, mean, rrf
from mmrank.rerank.aggregators.pagerank import pagerank
from mmrank.rerank.aggregators.wins import win_rate
from mmrank.rerank.parts import Answer, Block

Method: TypeAlias = Callable[..., Aggregated]

AGGREGATORS: Mapping[str, Method] = MappingProxyType(
    {
        "win_rate": win_rate,
        "pagerank": pagerank,
        "bradley_terry": bradley_terry,
        "elo": elo,
        "borda": borda,
        "kemeny": kemeny,
        "mean": mean,
        "rrf": rrf,
    }
)
"""Method -> function of (blocks, answers, slots, **settings)."""

NEEDS_SCORES = frozenset({"mean"})
"""Methods that read the answers' scores; the others read their orders."""


@dataclass(frozen=True, slots=True)
class Aggregator:
    """A method with its settings, checked when it is made. Raises `RecipeError` for an unknown method or setting,
    `UsageError` for a value that is not allowed.

    >>> Aggregator("pagerank", {"damping": 0.9}).needs_scores
    False
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in AGGREGATORS:
            raise RecipeError(f"Aggregator is {self.method!r}; there are {', '.join(AGGREGATORS)}.")
        known = list(inspect.signature(AGGREGATORS[self.method]).parameters)[3:]
        unknown = sorted(set(self.settings) - set(known))
        if unknown:
            raise RecipeError(
                f"Aggregator {self.method!r} has no setting {', '.join(map(repr, unknown))}; "
                f"it takes {', '.join(known)}."
            )
        self([], [], 0)  # each method checks the values itself, so that it is safe to call alone too

    @property
    def needs_scores(self) -> bool:
        return self.method in NEEDS_SCORES

    def __call__(self, blocks: Sequence[Block], answers: Sequence[Answer], slots: int) -> Aggregated:
        """One order of all slots from all blocks of a query and their answers."""
        return AGGREGATORS[self.method](blocks, answers, slots, **self.settings)


def aggregate_blocks(
    method: str, blocks: Sequence[Block], answers: Sequence[Answer], slots: int, **settings: Any
) -> Aggregated:
    """One order of all slots from the answers of all blocks, by the named method.

    Counts only what the answers assert. Ties keep the previous order; slots never compared (or scored) stay behind in
    previous order with the score None.

    >>> blocks = [Block(slots=(0, 1, 2)), Block(slots=(2, 3))]
    >>> answers = [Answer(order=(2, 0, 1), named=3), Answer(order=(0, 1), named=0, status="fell_back")]
    >>> aggregate_blocks("win_rate", blocks, answers, slots=4)
    Aggregated(order=(2, 0, 1, 3), scores=(0.5, 0.0, 1.0, None), note='')
    """
    return Aggregator(method, settings)(blocks, answers, slots)
