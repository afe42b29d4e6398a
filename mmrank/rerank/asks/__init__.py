"""Asks: how a block is put to an MLLM and how its answer is read. One file per kind; recipes name them by kind."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from mmrank.errors import RecipeError
from mmrank.rerank.asks.attention import Attention
from mmrank.rerank.asks.base import Ask
from mmrank.rerank.asks.choose_one import ChooseOne
from mmrank.rerank.asks.duel import Duel
from mmrank.rerank.asks.first_token import FirstToken
from mmrank.rerank.asks.group_scores import GroupScores
from mmrank.rerank.asks.permutation import Permutation, ReasonedPermutation
from mmrank.rerank.asks.rubric_score import RubricScore
from mmrank.rerank.asks.yes_no import YesNo, probability

KINDS: Final[tuple[type[Ask], ...]] = (
    YesNo,
    FirstToken,
    Permutation,
    ReasonedPermutation,
    ChooseOne,
    GroupScores,
    RubricScore,
    Duel,
    Attention,
)
ASKS: Final[Mapping[str, type[Ask]]] = {kind.name: kind for kind in KINDS}
"""Every ask by the name recipes use."""

__all__ = [
    "ASKS",
    "Ask",
    "Attention",
    "ChooseOne",
    "Duel",
    "FirstToken",
    "GroupScores",
    "Permutation",
    "ReasonedPermutation",
    "RubricScore",
    "YesNo",
    "ask_class",
    "probability",
]


def ask_class(kind: str) -> type[Ask]:
    """The ask a recipe calls `kind`. Raises `RecipeError` for a name that is none.

    >>> ask_class("yes_no")(n_retries=0)
    YesNo(n_retries=0, positive='yes', negative='no', by=None)
    """
    if kind in ASKS:
        return ASKS[kind]
    near = difflib.get_close_matches(kind, ASKS, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(ASKS)}."
    raise RecipeError(f"No ask is called {kind!r}; {hint}")
