"""What an evaluation is about: queries, a gallery, what is relevant, and how it is measured.

A Dataset is one or more Tasks (text to video and video to text; dress, shirt and top; dialogue rounds) under one
protocol. Readers in `mmrank.evaluation.datasets` make them from the real downloads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from mmrank.errors import UsageError
from mmrank.types import Item, Query

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mmrank.evaluation.metrics import Metric
    from mmrank.run import Run

FloatArray: TypeAlias = "npt.NDArray[np.float64]"

Media: TypeAlias = Literal["required", "allow_missing", "none"]
"""What a reader does about media files: every one must be there; those absent are left out, counted and named; or
nothing is looked for, because given runs or matrices are scored."""

Figures: TypeAlias = Mapping[str, float]
"""Metric name to value, in the metric's own unit (percent, ranks)."""

Submit: TypeAlias = "Callable[[Mapping[str, Run], Path], list[Path]]"
"""Writes the official submission files from one Run per task into a folder, and returns what it wrote."""


class DatasetError(UsageError):
    """A data set cannot be read: what was looked for and where, what came, what to do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """Queries against one gallery.

    Attributes:
        name: "" when the data set has one task, else such as "t2v", "dress", "round 3".
        queries: with `exclude` and `among` as the protocol says: the reference, a query's own small gallery.
        gallery: every item that can be found, in the data set's own order.
        relevant: query id to item id to gain (above 0). Empty for a split whose labels are not public.
        metrics: what is measured, in the order of the table.
        members: for a subset metric (CIRR), query id to the ids it is measured over, the reference not among them.
        groups: item id to the id of its group, where the captions of one video count as one item.
        labels: query id to the names of the slices it belongs to (CIRCO's aspects, MMDocIR's domains).

    Raises:
        UsageError: two queries or two items share an id, or a relevant item is not in the gallery.
    """

    name: str = ""
    queries: tuple[Query, ...]
    gallery: tuple[Item, ...]
    relevant: Mapping[str, Mapping[str, float]]
    metrics: tuple[Metric, ...]
    members: Mapping[str, tuple[str, ...]] | None = None
    groups: Mapping[str, str] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _all_different("query", [query.id for query in self.queries])
        ids = [item.id for item in self.gallery]
        _all_different("item", ids)
        known = set(ids)
        absent = {name for gains in self.relevant.values() for name in gains} - known
        if absent:
            raise DatasetError(
                f"{len(absent)} relevant items are not in the gallery of {len(known)}, such as {min(absent)!r}; "
                "the annotation files do not belong together."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Tasks under one protocol.

    Attributes:
        name: as in `mmrank datasets`, such as "cirr".
        title: as papers write it, such as "CIRR".
        split: such as "val".
        variant: what tells this protocol from look-alikes, such as "hard targets".
        tasks: at least one.
        combine: figures over all tasks from the figures of each (FashionIQ's mean over categories); None: none.
        combine_values: the same from every task's metrics by query (Chat-IR's hits up to a round); None: none.
        missing: media files that were looked for and not found.
        dropped: ids of queries left out because their media are missing.
        notes: oddities of the files that a reader of the figures should know, with counts.
        submit: writes the official submission files, where there is a server.
        sample: how many queries were kept by `limit`; None: all.
    """

    name: str
    title: str
    split: str
    variant: str = ""
    tasks: tuple[Task, ...]
    combine: Callable[[Mapping[str, Figures]], Figures] | None = None
    combine_values: Callable[[Mapping[str, Mapping[str, FloatArray]]], Figures] | None = None
    missing: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    submit: Submit | None = None
    sample: int | None = None

    def __post_init__(self) -> None:
        if not self.tasks:
            raise DatasetError(f"{self.title} {self.split} has no task.")
        _all_different("task", [task.name for task in self.tasks])

    @property
    def protocol(self) -> str:
        """The name under which figures are printed, with everything that makes them differ from look-alikes."""
        sizes = sorted({len(task.gallery) for task in self.tasks})
        gallery = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        parts = [f"{self.title} {self.split}", self.variant, f"{gallery} gallery"]
        if self.missing or self.dropped:
            parts.append(
                f"NOT OFFICIAL: {len(self.missing):,} media files missing, {len(self.dropped):,} queries left out"
            )
        if self.sample is not None:
            parts.append(f"SAMPLE of {self.sample:,} queries a task")
        return ", ".join(part for part in parts if part)

    def task(self, name: str) -> Task:
        """The task of that name. Raises `UsageError` that lists the names."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise UsageError(f"{self.title} has no task {name!r}; it has {', '.join(repr(t.name) for t in self.tasks)}.")

    def only(self, names: Sequence[str]) -> Dataset:
        """The same with some of its tasks, in its own order; figures over all tasks and submissions fall away.

        Raises `UsageError` for a name that no task has.
        """
        wanted = {self.task(name).name for name in names}
        tasks = tuple(task for task in self.tasks if task.name in wanted)
        if len(tasks) == len(self.tasks):
            return self
        return replace(self, tasks=tasks, combine=None, combine_values=None, submit=None)


def _all_different(what: str, names: list[str]) -> None:
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DatasetError(f"The {what} {twice!r} is there twice; every {what} needs its own id.")
