"""FusionRule: how lists are fused, checked once and passed on; the same rule for one query and for a Run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import (
    MNZ_THRESHOLD,
    PRODUCT_EPSILON,
    RRF_K,
    Floats,
    Groups,
    Ints,
    Method,
    Normalise,
    Table,
    mean_in_groups,
    ranks_of,
    scale_min_max,
    scale_rank,
    scale_z,
    total,
    weights_of,
)
from mmrank.errors import UsageError

Absent: TypeAlias = Literal["floor", "left_out"]

METHODS: tuple[Method, ...] = get_args(Method)


class Valued(NamedTuple):
    """What one flat list says of its hits under a rule, and of an item it does not have (the floor, per query)."""

    values: Floats
    floors: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionRule:
    """A fusion method and its settings.

    `method`, with the value v that a list gives an item and what is made of the values:

    ============  ==========================================  ===============================================
    product       v = min-max score, 0..1                     sum of log(v + epsilon): it must please every list
    combsum       v = min-max score                           sum of v
    combmnz       v = min-max score                           sum of v, times the number of lists where v > 0
    weighted_sum  v = score by `normalise`: "min_max"         sum of v
                  (default), "z_score" or "rank" (0..1)
    rrf           v = 1 / (60 + rank)                         sum of v
    borda         v = n - rank + 1, n = items of all lists    sum of v
    ============  ==========================================  ===============================================

    `weights`: one finite number per list, 1 by default. `groups`: list positions from 0, each list in one group; the
    lists of a group are first joined by the mean of their v (see `mmrank.kin_groups`).
    `absent`: an item a list does not have counts as that list's "floor" (v of its last hit; 0 for rrf and borda), or
    the list is "left_out" for it: the sum becomes the mean over the lists that have the item.
    `epsilon`: of product, above 0; 0.1 by default.

    Raises `UsageError` for settings that mean nothing: an unknown method, `normalise` with a method that has its own,
    groups or "left_out" with negative weights, "left_out" with combmnz (which counts the lists that have an item).

    >>> FusionRule(method="rrf", weights=(1.0, 2.0))
    FusionRule(method='rrf', weights=(1.0, 2.0))
    """

    method: Method = "product"
    weights: Sequence[float] | None = None
    groups: Sequence[Sequence[int]] | None = None
    normalise: Normalise | None = None
    absent: Absent = "floor"
    epsilon: float | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "weights", _as_tuple("weights", self.weights))
        if self.groups is not None:
            object.__setattr__(self, "groups", _as_groups(self.groups))
        _one_of("Fusion method", self.method, METHODS)
        _one_of("absent", self.absent, get_args(Absent))
        if self.normalise is not None:
            _one_of("normalise", self.normalise, get_args(Normalise))
            if self.method != "weighted_sum":
                raise UsageError(
                    f"normalise={self.normalise!r} is for method 'weighted_sum'; {self.method!r} has its own scale. "
                    "Leave normalise out or change the method."
                )
        if self.epsilon is not None:
            if self.method != "product":
                raise UsageError(f"epsilon={self.epsilon!r} is for method 'product'; {self.method!r} has none.")
            if not (math.isfinite(self.epsilon) and self.epsilon > 0):
                raise UsageError(f"epsilon is {self.epsilon!r}; it must be a number above 0, such as 0.1.")
        if self.absent == "left_out" and self.method == "combmnz":
            raise UsageError(
                "absent='left_out' means nothing for 'combmnz', which counts the lists that have an item. "
                "Use absent='floor', or method 'combsum'."
            )

    def check(self, lists: int) -> None:
        """Raise `UsageError` when the weights or the groups do not fit this many lists."""
        weighed = weights_of(self.weights, lists)
        if (weighed < 0).any() and (self.groups is not None or self.absent == "left_out"):
            raise UsageError(
                f"The weights are {self.weights!r}; with groups or absent='left_out' means are taken, and a mean "
                "needs weights of 0 or more."
            )
        if self.groups is not None and sorted(at for group in self.groups for at in group) != list(range(lists)):
            every = f"0 to {lists - 1}" if lists > 1 else "0"
            raise UsageError(
                f"The groups are {self.groups!r} and there are {lists} lists; name each list's position ({every}) "
                "in exactly one group."
            )

    def valued(self, scores: Floats, lengths: Ints, sizes: Ints) -> Valued:
        """A flat list's own values.

        `scores`: shape (hits,), best first within each query; `lengths`: shape (queries,), hits of each query;
        `sizes`: shape (queries,), how many items all lists together have.
        """
        zeros = np.zeros(len(lengths))
        if self.method == "rrf":
            return Valued(1.0 / (RRF_K + ranks_of(lengths)), zeros)
        if self.method == "borda":
            return Valued(np.repeat(sizes + 1.0, lengths) - ranks_of(lengths), zeros)
        if self.normalise == "z_score":
            return Valued(*scale_z(scores, lengths))
        if self.normalise == "rank":
            return Valued(scale_rank(lengths), zeros)
        return Valued(scale_min_max(scores, lengths), zeros)

    def joined(self, values: Table, present: npt.NDArray[np.bool_]) -> Floats:
        """Fused scores, shape (items,), from the lists' values, shape (lists, items), floors filled in."""
        weights = weights_of(self.weights, len(values))
        there = present if self.absent == "left_out" else None
        if self.groups is not None:
            values, there, weights = mean_in_groups(values, there, weights, self.groups)
        if self.method == "product":
            return total(np.log(values + (self.epsilon or PRODUCT_EPSILON)), there, weights)
        fused = total(values, there, weights)
        if self.method == "combmnz":
            fused *= (values > MNZ_THRESHOLD).sum(axis=0)
        return fused

    def settings(self) -> dict[str, Any]:
        """What differs from the defaults, the method always."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in given.items() if name == "method" or value != defaults[name]}

    def __repr__(self) -> str:
        return f"FusionRule({', '.join(f'{name}={value!r}' for name, value in self.settings().items())})"


def _one_of(what: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f"{what} is {value!r}; there are {', '.join(sorted(known))}.")


def _as_tuple(what: str, values: object) -> tuple[float, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise UsageError(f"The {what} are {values!r}; give one number per list, such as [1.0, 0.5].")
    return tuple(values)


def _as_groups(groups: object) -> Groups:
    """Groups as plain tuples. Raises `UsageError` when they are not sequences of list positions."""
    try:
        made = tuple(tuple(group) for group in groups)  # type: ignore[attr-defined]
    except TypeError:
        made = ()
    if not made or not all(
        group and all(isinstance(at, int) and not isinstance(at, bool) for at in group) for group in made
    ):
        raise UsageError(f"The groups are {groups!r}; give lists of list positions from 0, such as [[0, 1], [2]].")
    return made
