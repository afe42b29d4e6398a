"""Which queries are shown."""

from __future__ import annotations

import numpy as np
import pytest

from mmrank.evaluation.dataset import Dataset, Task
from mmrank.evaluation.protocols import PAIRED
from mmrank.evaluation.report.pick import change, pick
from mmrank.evaluation.report.sides import Side, sides
from mmrank.evaluation.results import Evaluation
from mmrank.run import Run
from mmrank.types import Item, Query


def test_a_change_is_counted_in_halvings() -> None:
    before, after = np.array([8.0, 80, 1, 3, np.inf, np.nan]), np.array([1.0, 10, 2, 3, 1, 1])
    np.testing.assert_allclose(change(before, after), [3, 3, -1, 0, np.log2(81), np.nan])


def test_all_queries_when_there_are_few(reranking: Evaluation) -> None:
    (task,) = reranking.dataset.tasks
    picked = pick(task, sides(task, reranking.systems), 20)
    assert picked.positions == tuple(range(20))
    assert picked.said == "All 20 queries are shown."


def test_the_biggest_gains_and_losses_of_every_system_and_what_went_wrong(reranking: Evaluation) -> None:
    (task,) = reranking.dataset.tasks
    found = sides(task, reranking.systems)
    picked = pick(task, found, 12)
    assert len(picked.positions) == len(set(picked.positions)) == 12
    assert picked.said.startswith("Of 20 queries 12 are shown: 3 with the biggest gains, 3 with the biggest losses, ")
    first, yes_no, square = found
    for system in (yes_no, square):
        changes = change(first.ranks, system.ranks)
        shown = changes[list(picked.positions)]
        assert shown.max() == changes.max()
        assert shown.min() == changes.min()
    assert any(yes_no.outcome(task.queries[position]) != "ok" for position in picked.positions)


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 99])
def test_a_budget_is_never_passed_nor_left_unused(budget: int) -> None:
    queries = tuple(Query(id=f"q{n}", text="?") for n in range(100))
    item = Item(id="a", kind="text", text="a")
    task = Task(queries=queries, gallery=(item,), relevant={q.id: {"a": 1.0} for q in queries}, metrics=PAIRED)
    run = Run.from_matrix(np.zeros((100, 1)), [q.id for q in queries], ["a"])
    side = Side(name="s", run=run, gallery=frozenset("a"), ranks=np.ones(100))
    assert len(pick(task, [side, side], budget).positions) == budget


def test_a_pick_is_the_same_every_time(kinds: Evaluation) -> None:
    (task,) = kinds.dataset.tasks
    found = sides(task, kinds.systems)
    assert pick(task, found, 9) == pick(task, found, 9)


def test_unlabelled_queries_are_sampled(cirr: Dataset, reranking: Evaluation) -> None:
    (task,) = cirr.tasks
    hidden = Task(queries=task.queries, gallery=task.gallery, relevant={}, metrics=())
    picked = pick(hidden, sides(hidden, reranking.systems[:1]), 8)
    assert len(picked.positions) == 8
    assert "gains" not in picked.said
