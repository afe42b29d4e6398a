"""What can be compared, and the ranks in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmrank.evaluation.dataset import Task
from mmrank.evaluation.judged import judge_matrix
from mmrank.evaluation.protocols import PAIRED
from mmrank.evaluation.report.sides import pairs, same_lists, sides
from mmrank.evaluation.results import Evaluation, SystemTask
from mmrank.run import Run
from mmrank.types import Item, Query


def test_one_first_stage_of_two_systems_is_one_side(reranking: Evaluation) -> None:
    (task,) = reranking.dataset.tasks
    one, other = reranking.systems
    assert one.first is not other.first
    found = sides(task, reranking.systems)
    assert [side.name for side in found] == ["first stage", "yes_no", "square"]
    assert pairs(found) == [(0, 1), (0, 2)]
    turned = replace(other, first=other.run)
    found = sides(task, (one, turned))
    assert [side.name for side in found] == ["first stage of yes_no", "yes_no", "first stage of square", "square"]
    assert pairs(found) == [(0, 1), (2, 3)]


def test_without_a_first_stage_systems_are_compared_with_the_first(directions: Evaluation) -> None:
    task = directions.dataset.tasks[0]
    found = sides(task, [each for each in directions.systems if each.task == task.name])
    assert pairs(found) == [(0, 1)]
    assert pairs(found[:1]) == []


def test_lists_are_the_same_whatever_the_items_codes() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    one = Run.from_matrix(scores, ["p", "q"], ["a", "b", "c"])
    other = Run.from_matrix(scores[:, ::-1], ["p", "q"], ["c", "b", "a"])
    assert one.items != other.items
    assert same_lists(one, other)
    assert not same_lists(one, Run.from_matrix(scores[::-1], ["p", "q"], ["a", "b", "c"]))
    assert not same_lists(one, Run.from_matrix(scores, ["q", "p"], ["a", "b", "c"]))
    assert not same_lists(one, Run.from_matrix(scores, ["p", "q"], ["a", "b", "d"]))


def small(queries: tuple[Query, ...], relevant: dict[str, dict[str, float]]) -> Task:
    gallery = tuple(Item(id=name, kind="text", text=name) for name in "abcd")
    return Task(queries=queries, gallery=gallery, relevant=relevant, metrics=PAIRED)


def test_what_does_not_count_is_not_in_the_lists() -> None:
    queries = (
        Query(id="plain", text="?"),
        Query(id="without", text="?", exclude=("a",)),
        Query(id="among", text="?", among=("d", "b")),
        Query(id="absent", text="?"),
        Query(id="unknown", text="?"),
    )
    task = small(queries, {"plain": {"b": 1.0}, "without": {"b": 1.0}, "among": {"d": 1.0}, "absent": {"a": 1.0}})
    lists = Run.from_matrix(
        np.array([[4.0, 3.0, 2.0, 1.0]] * 4), ["plain", "without", "among", "unknown"], list("abcd")
    )
    each = SystemTask(system="s", task="", run=lists, figures={}, values={})
    (side,) = sides(task, (each,))
    np.testing.assert_array_equal(side.ranks, [2, 1, 2, np.inf, np.nan])
    assert [side.ids(query) for query in queries] == [list("abcd"), list("bcd"), list("bd"), [], list("abcd")]
    assert side.outcome(queries[0]) == ""


def test_a_matrix_keeps_the_ranks_behind_its_best_hundred() -> None:
    rng = np.random.default_rng(0)
    names = [f"i{n}" for n in range(150)]
    queries = tuple(Query(id=f"q{n}", text="?") for n in range(40))
    task = Task(
        queries=queries,
        gallery=tuple(Item(id=name, kind="text", text=name) for name in names),
        relevant={query.id: {names[n]: 1.0} for n, query in enumerate(queries)},
        metrics=PAIRED,
    )
    scores = rng.random((40, 150))
    judged = judge_matrix(task, scores)
    each = SystemTask(system="m", task="", run=judged.run, figures=judged.figures(), values=judged.values())
    (side,) = sides(task, (each,))
    own = scores[np.arange(40), np.arange(40)]
    np.testing.assert_array_equal(side.ranks, 1 + (scores > own[:, None]).sum(axis=1))
    assert side.ranks.max() > 100
