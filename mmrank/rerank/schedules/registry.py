"""Schedules by the names recipes call them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from mmrank.errors import RecipeError
from mmrank.rerank.schedules.base import Schedule
from mmrank.rerank.schedules.blocks import Blocks, Shuffles
from mmrank.rerank.schedules.both_orders import BothOrders
from mmrank.rerank.schedules.early_exit import EarlyExit
from mmrank.rerank.schedules.groups import Groups
from mmrank.rerank.schedules.pairs import Pairs
from mmrank.rerank.schedules.pointwise import Pointwise
from mmrank.rerank.schedules.window import Single, Sliding

SCHEDULES: Mapping[str, type[Any]] = MappingProxyType(
    {s.kind: s for s in (Single, Sliding, Blocks, Shuffles, Groups, Pairs, EarlyExit, Pointwise)}
)
"""Kind -> class."""


def make_schedule(kind: str, *, both_orders: bool = False, **settings: Any) -> Schedule:
    """The schedule a recipe names, with its settings. Raises `RecipeError` for a name that is none, `UsageError` for
    a value that is not allowed.

    >>> make_schedule("sliding", window=10, stride=5)
    Sliding(window=10, stride=5, passes=1)
    """
    if kind not in SCHEDULES:
        raise RecipeError(f"Schedule is {kind!r}; there are {', '.join(SCHEDULES)}.")
    known = [field.name for field in fields(SCHEDULES[kind])]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        takes = ", ".join(known) or "no settings"
        raise RecipeError(f"Schedule {kind!r} has no setting {', '.join(map(repr, unknown))}; it takes {takes}.")
    schedule: Schedule = SCHEDULES[kind](**settings)
    return BothOrders(schedule) if both_orders else schedule
