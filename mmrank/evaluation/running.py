"""A pipeline over all queries of a task, in batches, with finished ones kept on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from mmrank.errors import UsageError
from mmrank.evaluation.candidates import first_and_rest
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.identity import identity
from mmrank.evaluation.journal import Finished, Journal
from mmrank.pipeline import Pipeline, Stage
from mmrank.run import Run
from mmrank.types import STATUSES, Cost, Query, Ranking, Status

BATCH = 64
"""Queries that go through the pipeline side by side, and so the most that a kill can lose."""

Watch = Callable[[int, int], None]
"""Called with (queries finished, queries in all)."""


def run_task(
    stage: Stage, task: Task, *, folder: Path | None = None, batch: int = BATCH, watch: Watch | None = None
) -> list[Finished]:
    """Every query of the task through the pipeline, in the task's order.

    Args:
        folder: where finished queries are kept; what is there of the same identity is not done again. None: nowhere.
        batch: queries at a time; the calls of one batch run side by side.
        watch: told after every batch.

    Raises `UsageError` when the folder holds an evaluation of another identity.
    """
    if batch < 1:
        raise UsageError(f"batch is {batch}; it must be a whole number from 1.")
    journal = None if folder is None else Journal(folder, identity(stage, task))
    done = {} if journal is None else journal.read()
    waiting = [query for query in task.queries if query.id not in done]
    if watch is not None:
        watch(len(done), len(task.queries))
    for begin in range(0, len(waiting), batch):
        finished = _one_batch(stage, waiting[begin : begin + batch])
        if journal is not None:
            journal.write(finished)
        done |= {each.query: each for each in finished}
        if watch is not None:
            watch(len(done), len(task.queries))
    return [done[query.id] for query in task.queries]


def _one_batch(stage: Stage, queries: Sequence[Query]) -> list[Finished]:
    first, rest = first_and_rest(stage)
    found = first.run(queries)
    ranked: Sequence[Ranking] = Pipeline(stages=rest).process(found) if rest else found
    return [Finished.of(a, b) for a, b in zip(found, ranked, strict=True)]


def run_of(finished: Sequence[Finished], name: str, *, first: bool = False) -> Run:
    """The lists of finished queries as a Run; with `first` those of the first stage."""
    lists = [
        (each.query, each.first_ids, each.first_scores) if first else (each.query, each.ids, each.scores)
        for each in finished
    ]
    return Run.from_lists(lists, name)


def outcomes(finished: Sequence[Finished]) -> dict[Status, int]:
    """How many queries ended how, from best to worst; only what occurred."""
    counted = Counter(Ranking(query=Query(id=each.query), records=each.records).outcome for each in finished)
    return {status: counted[status] for status in STATUSES if counted[status]}


def cost(finished: Sequence[Finished]) -> Cost:
    """The cost of all queries together."""
    return sum((record.cost for each in finished for record in each.records), Cost())
