"""One system's lists or scores, held against one Task: where the relevant items stand, and the figures from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import Floats, Ints
from mmrank.errors import UsageError
from mmrank.evaluation.checks import check_run
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.matrix_ranks import Scores, count
from mmrank.evaluation.metrics import Metric, Over, ranks_needed
from mmrank.evaluation.ranks import TIES, Ranks, Ties
from mmrank.evaluation.relations import Relations, relations
from mmrank.evaluation.run_ranks import Placed, group_ranks_in_run, ranks_in_run
from mmrank.run import Run

MATRIX_DEPTH = 100
"""Hits a query that are kept of a matrix as a Run; figures use all of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Where the relevant items of each query stand.

    Attributes:
        task: what was asked.
        ranks: of the relevant items, over all that count: without excluded items, and with `among` those alone.
        lengths: int64 (queries,), how many candidates that were.
        run: the lists, best first; of a matrix the best hundred of each query.
        member_ranks: of the relevant items among the query's members alone; None where the task has no members.
        group_ranks: of the relevant items' groups among all groups; None where the task has no groups.
        tied: bool (queries,), whether the best relevant item shares its score with an item that is not relevant.
        ties: the rule that placed it.
        notes: what a reader of the figures should know, with counts.
    """

    task: Task
    ranks: Ranks
    lengths: Ints
    run: Run
    member_ranks: Ranks | None = None
    group_ranks: Ranks | None = None
    tied: npt.NDArray[np.bool_] | None = None
    ties: Ties = "averaging"
    notes: tuple[str, ...] = ()

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """bool (queries,): whether the task says what is relevant to a query; only those count in figures."""
        return relations(self.task).counted

    def ranks_over(self, over: Over) -> Ranks:
        """The ranks over items, members or groups. Raises `UsageError` when the task has none."""
        ranks = {"items": self.ranks, "members": self.member_ranks, "groups": self.group_ranks}[over]
        if ranks is None:
            raise UsageError(
                f"A metric is over {over}, and task {self.task.name!r} says nothing about {over}; give Task.{over}=, "
                "or a metric over items."
            )
        return ranks

    def figures(self) -> dict[str, float]:
        """Metric name to figure in the metric's unit; nan where it cannot be known. Empty without public labels."""
        return {metric.name: metric.summary(metric.values(self)) for metric in self._metrics}

    def values(self) -> dict[str, Floats]:
        """Metric name to one value per query, shape (queries,); nan where a query does not count."""
        return {metric.name: metric.values(self) for metric in self._metrics}

    @property
    def _metrics(self) -> tuple[Metric, ...]:
        return self.task.metrics if self.task.relevant else ()

    def slices(self, metric: Metric) -> dict[str, tuple[float, int]]:
        """The figure over the queries of each label, and how many those are.

        CIRCO's semantic mAP@10, MMDocIR's domains. In the order in which labels first occur.
        """
        values = metric.values(self)
        rows: dict[str, list[int]] = {}
        for row, query in enumerate(self.task.queries):
            for label in self.task.labels.get(query.id, ()):
                rows.setdefault(label, []).append(row)
        return {label: (metric.summary(values[at]), int((~np.isnan(values[at])).sum())) for label, at in rows.items()}

    def macro(self, metric: Metric) -> float:
        """The plain mean of the labels' figures (MMDocIR's macro average over domains); nan without labels."""
        parts = [figure for figure, counted in self.slices(metric).values() if counted]
        return float(np.mean(parts)) if parts else float("nan")


def judge_run(task: Task, run: Run, *, members: Run | None = None, lenient: bool = False) -> Judged:
    """Hold lists against a task. Their order is trusted: a hit's place in its list is its rank.

    Args:
        task: what is asked. Excluded items are taken out of the lists, and of a query with `among` only those count,
            whatever the lists hold.
        run: lists by query id. A query that it lacks is a miss in every metric, and noted.
        members: lists of subset metrics where members were ranked on their own; None: `run` without all others.
        lenient: see `mmrank.evaluation.checks.check_run`.

    Raises `UsageError` when a Run does not fit the task.

    >>> from mmrank.evaluation.protocols import PAIRED
    >>> from mmrank.types import Item, Query
    >>> items = tuple(Item(id=name, kind="text") for name in "abc")
    >>> task = Task(queries=(Query(id="q", text="?"),), gallery=items, relevant={"q": {"b": 1.0}}, metrics=PAIRED)
    >>> judge_run(task, Run.from_lists([("q", ["c", "b"], [2.0, 1.0])])).figures()["MdR"]
    2.0
    """
    notes = list(check_run(task, run, lenient=lenient))
    known = relations(task)
    placed = Placed.of(run, known.query, known.item)
    ranks, lengths = ranks_in_run(placed, known.relevant, known.gains, known.scope)
    member_ranks = None
    if known.members is not None:
        if members is not None:
            notes += (f"subset: {note}" for note in check_run(task, members, lenient=lenient))
        own = placed if members is None else Placed.of(members, known.query, known.item)
        member_ranks, found = ranks_in_run(own, known.relevant, known.gains, known.members)
        notes += _incomplete(found < known.members.counts(len(known.item)))
    group_ranks = None
    if known.groups is not None and known.relevant_groups is not None:
        group_ranks = group_ranks_in_run(placed, known.groups, known.relevant_groups, known.group_gains, known.scope)
    judged = Judged(
        task=task, ranks=ranks, lengths=lengths, run=run, member_ranks=member_ranks, group_ranks=group_ranks
    )
    return _with_notes(judged, (*notes, *_few(task, known, lengths)))


def judge_matrix(task: Task, scores: Scores, ties: Ties = "averaging", *, depth: int = MATRIX_DEPTH) -> Judged:
    """Hold a score matrix against a task; higher is better.

    Args:
        task: what is asked; excluded items and those outside `among` do not count.
        scores: shape (queries, items) in the task's order, float16, float32 or float64; may be a memory map.
        ties: where an item of a shared score stands, see `mmrank.evaluation.ranks.Ties`.
        depth: how many hits of each query `Judged.run` keeps, equal scores by item id.

    Metrics of `ir-measures` need whole ranks: an averaged half counts as the place behind it.

    Raises `UsageError` for another shape, NaN, numbers that are not floating, or an unknown tie rule.

    >>> from mmrank.evaluation.protocols import PAIRED
    >>> from mmrank.types import Item, Query
    >>> items = tuple(Item(id=name, kind="text") for name in "abc")
    >>> task = Task(queries=(Query(id="q", text="?"),), gallery=items, relevant={"q": {"b": 1.0}}, metrics=PAIRED)
    >>> tied = np.array([[0.5, 0.5, 0.1]])
    >>> [judge_matrix(task, tied, rule).figures()["MnR"] for rule in ("averaging", "pessimistic")]
    [1.5, 2.0]
    """
    if ties not in TIES:
        raise UsageError(f"ties is {ties!r}; it must be one of {', '.join(map(repr, get_args(Ties)))}.")
    expected = (len(task.queries), len(task.gallery))
    if scores.shape != expected or not np.issubdtype(scores.dtype, np.floating):
        raise UsageError(
            f"The matrix has shape {scores.shape} and type {scores.dtype}; the task has {expected[0]:,} queries and "
            f"{expected[1]:,} items: give floating-point numbers of shape {expected}, queries in rows."
        )
    known = relations(task)
    found = count(scores, known, ties, depth)
    tied = found.tied & known.counted
    notes = [
        f"{int(tied.sum()):,} queries have a relevant item that shares its score with others; ties: {ties}."
    ] * bool(tied.any())
    judged = Judged(
        task=task,
        ranks=found.ranks,
        lengths=found.lengths,
        run=found.best,
        member_ranks=found.members,
        group_ranks=found.groups,
        tied=tied,
        ties=ties,
    )
    return _with_notes(judged, (*notes, *_few(task, known, found.lengths)))


def _few(task: Task, known: Relations, lengths: Ints) -> list[str]:
    """Lists that are shorter than a metric looks, although there were candidates."""
    needed = ranks_needed(task.metrics)
    short = lengths < np.minimum(needed, known.scope.counts(len(known.item)))
    if not short.any():
        return []
    return [
        f"{int(short.sum()):,} of {len(lengths):,} lists are shorter than the {needed} candidates that the metrics "
        f"look at (the shortest has {int(lengths[short].min())}); what is not in a list counts as not found."
    ]


def _incomplete(subsets: npt.NDArray[np.bool_]) -> list[str]:
    """Subset metrics over lists that end before all members have come."""
    return [
        f"{int(subsets.sum()):,} of {len(subsets):,} lists do not hold every member of their subset; those that "
        "are not there count as not found. Give longer lists, or rank the subsets on their own."
    ] * bool(subsets.any())


def _with_notes(judged: Judged, notes: tuple[str, ...]) -> Judged:
    """With a note on ranks that nobody knows, because a list ends before the relevant item."""
    unknown = []
    for metric in judged.task.metrics if judged.task.relevant else ():
        if metric.unit == "rank":
            values = metric.values(judged)
            lost = int(np.isinf(values).sum())
            if lost and np.isnan(metric.summary(values)):
                unknown.append(f"{metric.name} ({lost:,} queries)")
    if unknown:
        notes = (
            *notes,
            f"Not known, because no relevant item is in the list: {', '.join(unknown)}. Give whole lists to know it.",
        )
    return replace(judged, notes=notes)
