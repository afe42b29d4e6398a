"""What a task's queries can be looked at through: the lists of each system, and the first-stage lists behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mmrank.evaluation.dataset import Task
from mmrank.evaluation.judged import judge_run
from mmrank.evaluation.metrics import Over
from mmrank.evaluation.report.lines import FIRST
from mmrank.evaluation.results import SystemTask
from mmrank.run import Run
from mmrank.types import STATUSES, Query, Record

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One set of lists on one task.

    `ranks`: float64 (queries of the task,), the rank of the best relevant item from 1; inf where it is not in the list,
    nan where nothing is known to be relevant. `gallery`: the ids of the task's items. `system`: whose lists they are,
    None for a first stage.
    """

    name: str
    run: Run
    gallery: frozenset[str] = field(repr=False)
    ranks: FloatArray = field(repr=False)
    system: SystemTask | None = field(default=None, repr=False)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {query_id: place for place, query_id in enumerate(self.run.query_ids)}

    def ids(self, query: Query) -> list[str]:
        """The items of the query's list that count, best first: of the gallery, without `exclude`, and of `among`."""
        place = self._places.get(query.id)
        if place is None:
            return []
        codes = self.run.codes[self.run.offsets[place] : self.run.offsets[place + 1]]
        allowed = self.gallery if query.among is None else self.gallery.intersection(query.among)
        listed = (self.run.items[code] for code in codes)
        return [name for name in listed if name in allowed and name not in query.exclude]

    def records(self, query: Query) -> tuple[Record, ...]:
        """What every stage did to the query; empty where that is not known."""
        return () if self.system is None else self.system.records.get(query.id, ())

    def outcome(self, query: Query) -> str:
        """The worst status of the query's records; "" where there are none."""
        return max((record.status for record in self.records(query)), key=STATUSES.index, default="")

    @property
    def longest(self) -> int:
        """Items of the longest list."""
        return int(np.diff(self.run.offsets).max(initial=0))


def sides(task: Task, systems: Sequence[SystemTask]) -> list[Side]:
    """First stages before the systems that work on them; equal first stages once."""
    found: list[Side] = []
    gallery = frozenset(item.id for item in task.gallery)
    firsts: list[Run] = []
    several = _distinct([each.first for each in systems if each.first is not None])
    for each in systems:
        if each.first is not None and not any(same_lists(each.first, other) for other in firsts):
            firsts.append(each.first)
            name = f"{FIRST} of {each.system}" if several > 1 else FIRST
            found.append(Side(name=name, run=each.first, gallery=gallery, ranks=first_ranks(task, each.first)))
        ranks = _with_measured(task, first_ranks(task, each.run), each)
        found.append(Side(name=each.system, run=each.run, gallery=gallery, ranks=ranks, system=each))
    return found


def pairs(found: Sequence[Side]) -> list[tuple[int, int]]:
    """Which two sides are compared at first: a first stage with its system, else the first system with each other."""
    compared = [
        (before, after)
        for after, side in enumerate(found)
        if side.system is not None and side.system.first is not None
        for before, other in enumerate(found)
        if other.system is None and same_lists(other.run, side.system.first)
    ]
    return compared or [(0, after) for after in range(1, len(found))]


def first_ranks(task: Task, run: Run) -> FloatArray:
    """The rank of each query's best relevant item, nan for queries that do not count.

    Where the task's metrics rank groups (the captions of one video as one), so does this.
    """
    judged = judge_run(task, run, lenient=True)  # it was checked and noted when it was measured
    over: Over = "groups" if counts_groups(task) else "items"
    return np.where(judged.counted, judged.ranks_over(over).first, np.nan)


def counts_groups(task: Task) -> bool:
    """Whether a rank of this task counts groups of items, not items."""
    return any(getattr(metric, "over", "items") == "groups" for metric in task.metrics)


def _with_measured(task: Task, ranks: FloatArray, each: SystemTask) -> FloatArray:
    """Of a matrix only the best hundred are listed: a rank metric has measured the ranks behind them."""
    for metric in task.metrics:
        values = each.values.get(metric.name)
        if metric.unit == "rank" and values is not None:
            return np.where(np.isinf(ranks) & np.isfinite(values), values, ranks)
    return ranks


def same_lists(one: Run, other: Run) -> bool:
    """Whether two Runs hold the same items in the same order for the same queries."""
    if one is other:
        return True
    if one.query_ids != other.query_ids or not np.array_equal(one.offsets, other.offsets):
        return False
    if one.items == other.items:
        return np.array_equal(one.codes, other.codes)
    code = {name: number for number, name in enumerate(other.items)}
    mapped = np.array([code.get(name, -1) for name in one.items], dtype=np.int64)
    return np.array_equal(mapped[one.codes] if len(one.codes) else one.codes, other.codes)


def _distinct(runs: Sequence[Run]) -> int:
    different: list[Run] = []
    for run in runs:
        if not any(same_lists(run, other) for other in different):
            different.append(run)
    return len(different)
