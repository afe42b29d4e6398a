"""What a Task says about queries and items, as columns: relevant, excluded, among, members, groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import Floats, Ints
from mmrank.evaluation.dataset import DatasetError, Task
from mmrank.types import Query

Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Related:
    """Items that stand in one relation to each query.

    `offsets`: int64 (queries + 1,). `codes`: int64 (pairs,), positions of items in the gallery.
    """

    offsets: Ints
    codes: Ints

    @property
    def counts(self) -> Ints:
        """How many items each query has; shape (queries,)."""
        return np.diff(self.offsets)

    def part(self, first: int, last: int) -> Related:
        """Queries `first` up to `last`."""
        start, end = int(self.offsets[first]), int(self.offsets[last])
        return Related(offsets=self.offsets[first : last + 1] - start, codes=self.codes[start:end])

    @property
    def queries(self) -> Ints:
        """The query of each pair, counted from 0; shape (pairs,)."""
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int64), self.counts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scope:
    """Which items of a query's list count.

    `excluded`: items that do not. `among`: items that alone do, for the queries in `limited` (bool (queries,)); None:
    no query is limited.
    """

    excluded: Related
    among: Related | None
    limited: Bools

    def counts(self, items: int) -> Ints:
        """How many of `items` in the gallery count for each query; shape (queries,)."""
        if self.among is None:
            return items - self.excluded.counts
        pairs = self.excluded.queries
        inside = np.isin(pairs * items + self.excluded.codes, self.among.queries * items + self.among.codes)
        inside |= ~self.limited[pairs]
        whole = np.where(self.limited, self.among.counts, items)
        return (whole - np.bincount(pairs[inside], minlength=len(self.limited))).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relations:
    """A Task in columns. Items that are not in the gallery are in no relation.

    Attributes:
        item: item id to its position in the gallery.
        query: query id to its position among the queries.
        relevant: what is relevant; `gains` beside it.
        counted: bool (queries,), whether anything is said about a query; only those count in figures.
        scope: what counts in the lists.
        members: what counts in subset metrics; None where the task has none.
        groups: int64 (items,), the group of each item; None where the task has none.
        relevant_groups: the groups of the relevant items, once each; `group_gains` (the highest) beside them.
    """

    item: Mapping[str, int]
    query: Mapping[str, int]
    relevant: Related
    gains: Floats
    counted: Bools
    scope: Scope
    members: Scope | None
    groups: Ints | None
    relevant_groups: Related | None
    group_gains: Floats


@lru_cache(maxsize=2)
def relations(task: Task) -> Relations:
    """The columns of a task; made once for the systems that are measured on it."""
    item = {each.id: position for position, each in enumerate(task.gallery)}
    query = {each.id: position for position, each in enumerate(task.queries)}
    gains = [task.relevant.get(each.id, {}) for each in task.queries]
    relevant = _related(gains, item)
    gain = np.fromiter((g for known in gains for g in known.values()), dtype=np.float64, count=len(relevant.codes))
    groups = _groups(task)
    relevant_groups, group_gains = (None, gain[:0]) if groups is None else _grouped(relevant, gain, groups)
    limits = [each.among for each in task.queries]
    limited = np.array([limit is not None for limit in limits], dtype=bool)
    excluded, members = _related([each.exclude for each in task.queries], item), None
    if task.members is not None:
        among = _related([_members(task, each) for each in task.queries], item)
        members = Scope(excluded=excluded, among=among, limited=np.ones(len(query), dtype=bool))
    return Relations(
        item=item,
        query=query,
        relevant=relevant,
        gains=gain,
        counted=np.array([each.id in task.relevant for each in task.queries], dtype=bool),
        scope=Scope(
            excluded=excluded,
            among=_related([limit or () for limit in limits], item) if limited.any() else None,
            limited=limited,
        ),
        members=members,
        groups=groups,
        relevant_groups=relevant_groups,
        group_gains=group_gains,
    )


def _members(task: Task, query: Query) -> tuple[str, ...]:
    members = (task.members or {}).get(query.id, ())
    return members if query.among is None else tuple(name for name in members if name in query.among)


def _related(lists: Sequence[Iterable[str]], code: Mapping[str, int]) -> Related:
    """Queries often share one list (a small gallery): it is looked up once."""
    known: dict[int, list[int]] = {}
    for names in lists:
        if id(names) not in known:
            known[id(names)] = [code[name] for name in dict.fromkeys(names) if name in code]
    found = [known[id(names)] for names in lists]
    counts = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    codes = np.fromiter((c for codes in found for c in codes), dtype=np.int64, count=int(counts.sum()))
    return Related(offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), codes=codes)


def _groups(task: Task) -> Ints | None:
    if task.groups is None:
        return None
    lost = [item.id for item in task.gallery if item.id not in task.groups]
    if lost:
        raise DatasetError(
            f"{len(lost):,} of {len(task.gallery):,} items of the gallery are in no group, such as {lost[0]!r}; with "
            "groups every item needs one."
        )
    number: dict[str, int] = {}
    return np.array([number.setdefault(task.groups[item.id], len(number)) for item in task.gallery], dtype=np.int64)


def _grouped(relevant: Related, gains: Floats, groups: Ints) -> tuple[Related, Floats]:
    span = int(groups.max(initial=0)) + 1
    keys, inverse = np.unique(relevant.queries * span + groups[relevant.codes], return_inverse=True)
    best = np.zeros(len(keys))
    np.maximum.at(best, inverse, gains)
    queries = len(relevant.offsets) - 1
    offsets = np.searchsorted(keys, np.arange(queries + 1, dtype=np.int64) * span).astype(np.int64)
    return Related(offsets=offsets, codes=keys % span), best
