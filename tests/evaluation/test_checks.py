"""Runs that do not fit a task: what is refused, what is counted."""

from __future__ import annotations

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.evaluation import checks
from mmrank.evaluation.checks import check_run
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.judged import judge_run
from mmrank.evaluation.metrics import HitRate
from mmrank.run import Run
from mmrank.types import Item, Query

TASK = Task(
    queries=tuple(Query(id=f"q{n}", text="x") for n in range(5)),
    gallery=tuple(Item(id=name, kind="text") for name in "abcd"),
    relevant={f"q{n}": {"a": 1.0} for n in range(5)},
    metrics=(HitRate(1),),
)


def run(*lists: tuple[str, str], name: str = "mine") -> Run:
    return Run.from_lists([(query, list(ids), list(range(len(ids), 0, -1))) for query, ids in lists], name)


def whole(*more: tuple[str, str]) -> Run:
    return run(*((f"q{n}", "abcd") for n in range(5)), *more)


def test_a_run_that_fits_has_nothing_to_note() -> None:
    assert check_run(TASK, whole()) == ()


def test_unknown_queries_are_counted_and_named() -> None:
    with pytest.raises(
        UsageError,
        match=r"2 of the 7 queries of run 'mine' are not in the data set, such as 'x', 'y'; its own are 'q0', 'q1'",
    ):
        check_run(TASK, whole(("x", "a"), ("y", "b")))


def test_unknown_items_are_counted_and_named() -> None:
    with pytest.raises(UsageError, match=r"1 of the 5 items of run 'mine' are not in the data set, such as 'z'"):
        check_run(TASK, run(*((f"q{n}", "abcd") for n in range(4)), ("q4", "za")))


def test_what_a_sample_does_not_have_can_be_left_out_and_is_counted() -> None:
    strange = run(("x", "abc"), ("q0", "zab"), *((f"q{n}", "abcd") for n in range(1, 5)))
    judged = judge_run(TASK, strange, lenient=True)
    assert judged.ranks.first.tolist() == [1, 1, 1, 1, 1]
    assert judged.lengths.tolist() == [2, 4, 4, 4, 4]
    assert any("1 of the 6 queries" in note and "left out" in note for note in judged.notes)
    assert any("1 of the 5 items" in note and "left out" in note for note in judged.notes)


def test_missing_queries_are_counted_and_named() -> None:
    notes = check_run(TASK, run(("q3", "ab")))
    assert notes == ("4 of 5 queries are not in the run and count as misses: 'q0', 'q1', 'q2', ....",)


def test_a_run_of_other_queries_altogether_is_refused_even_when_lenient() -> None:
    with pytest.raises(UsageError, match="none of the 5 queries"):
        check_run(TASK, run(("x", "ab")), lenient=True)


@pytest.mark.parametrize("block", [1 << 19, 2])
@pytest.mark.parametrize("keys", [1 << 26, 1])
def test_an_item_twice_in_a_list_is_refused(monkeypatch: pytest.MonkeyPatch, block: int, keys: int) -> None:
    monkeypatch.setattr(checks, "BLOCK_HITS", block)
    monkeypatch.setattr(checks, "BLOCK_KEYS", keys)
    with pytest.raises(UsageError, match="first 'b' in that of query 'q3'"):
        check_run(TASK, run(("q0", "abcd"), ("q3", "cbdb"), ("q1", "dcba")))
    assert check_run(TASK, whole()) == ()


def test_an_item_twice_is_found_where_the_gallery_is_large() -> None:
    many = Task(
        queries=(Query(id="q0", text="x"),),
        gallery=tuple(Item(id=f"i{n}", kind="text") for n in range(1000)),
        relevant={"q0": {"i1": 1.0}},
        metrics=(),
    )
    spread = Run(
        query_ids=("q0",),
        offsets=np.array([0, 3]),
        items=tuple(f"i{n}" for n in range(1000)),
        codes=np.array([5, 900, 5], dtype=np.int32),
        scores=np.array([3.0, 2, 1]),
    )
    with pytest.raises(UsageError, match="first 'i5'"):
        check_run(many, spread)


def test_scores_that_are_nan_are_counted_and_the_order_holds() -> None:
    lists = [(f"q{n}", ["a", "b"], [float("nan"), 1.0]) for n in range(5)]
    judged = judge_run(TASK, Run.from_lists(lists))
    assert judged.figures()["R@1"] == 100
    assert "5 of 10 scores of the run are NaN; its order counts, as always." in judged.notes
