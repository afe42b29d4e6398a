"""Each metric against a loop of its own, and against ir-measures where that has it."""

from __future__ import annotations

from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.evaluation.dataset import Task
from mmrank.evaluation.judged import judge_matrix, judge_run
from mmrank.evaluation.metrics import (
    AreaRecall,
    CutAveragePrecision,
    HitRate,
    Mean,
    MeanRank,
    MedianRank,
    Recall,
    SoftHit,
    Standard,
    Sum,
    TargetRecall,
    ranks_needed,
)
from mmrank.run import Run
from mmrank.types import Item, Query

quick = settings(deadline=None, max_examples=40)

Lists = dict[str, list[str]]
Gains = dict[str, dict[str, float]]


@st.composite
def judgements(draw: st.DrawFn, gains: tuple[float, ...] = (1.0, 2.0, 3.0)) -> tuple[Task, Lists, Gains]:
    """A task whose every query has something relevant, and a list for each."""
    names = [f"d{n}" for n in range(draw(st.integers(1, 12)))]
    some = st.lists(st.sampled_from(names), unique=True)
    lists = {f"q{n}": draw(some) for n in range(draw(st.integers(1, 4)))}
    relevant = {
        q: {i: draw(st.sampled_from(gains)) for i in draw(st.lists(st.sampled_from(names), unique=True, min_size=1))}
        for q in lists
    }
    task = Task(
        queries=tuple(Query(id=q, text="x") for q in lists),
        gallery=tuple(Item(id=name, kind="text") for name in names),
        relevant=relevant,
        metrics=(),
    )
    return task, lists, relevant


def run_of(lists: Lists) -> Run:
    return Run.from_lists([(q, ids, list(range(len(ids), 0, -1))) for q, ids in lists.items()])


def by_library(measure: str, lists: Lists, relevant: Gains) -> list[float]:
    """ir-measures on whole lists with falling scores."""
    qrels = {q: {i: int(g) for i, g in gains.items()} for q, gains in relevant.items()}
    runs = {q: {i: float(len(ids) - n) for n, i in enumerate(ids)} for q, ids in lists.items()}
    found = {m.query_id: m.value for m in ir_measures.iter_calc([ir_measures.parse_measure(measure)], qrels, runs)}
    return [found.get(q, 0.0) for q in lists]


@quick
@given(case=judgements(), k=st.integers(1, 6))
def test_hit_rate_is_success_and_recall_is_recall_of_ir_measures(case: tuple[Task, Lists, Gains], k: int) -> None:
    task, lists, relevant = case
    judged = judge_run(task, run_of(lists))
    assert HitRate(k).values(judged) / 100 == pytest.approx(by_library(f"Success@{k}", lists, relevant))
    assert Recall(k).values(judged) / 100 == pytest.approx(by_library(f"R@{k}", lists, relevant))


@pytest.mark.parametrize(
    "measure", ["nDCG@3", "nDCG@10", "nDCG", "AP", "AP@4", "RR", "RR@2", "P@5", "R@3", "Success@2"]
)
@quick
@given(case=judgements())
def test_standard_is_ir_measures_on_the_whole_lists(measure: str, case: tuple[Task, Lists, Gains]) -> None:
    task, lists, relevant = case
    judged = judge_run(task, run_of(lists))
    assert Standard(measure).values(judged) / 100 == pytest.approx(by_library(measure, lists, relevant))


@quick
@given(case=judgements(), k=st.integers(1, 6))
def test_circo_average_precision_is_its_definition(case: tuple[Task, Lists, Gains], k: int) -> None:
    task, lists, relevant = case
    expected = []
    for query, ids in lists.items():
        hits, added = 0, 0.0
        for place, item in enumerate(ids[:k], 1):
            if item in relevant[query]:
                hits += 1
                added += hits / place
        expected.append(100 * added / min(len(relevant[query]), k))
    assert CutAveragePrecision(k).values(judge_run(task, run_of(lists))) == pytest.approx(expected)


@quick
@given(case=judgements(gains=(1.0, 0.5, 0.25)), k=st.integers(1, 6))
def test_soft_hit_and_area_recall_are_the_highest_and_the_added_gains(case: tuple[Task, Lists, Gains], k: int) -> None:
    task, lists, relevant = case
    judged = judge_run(task, run_of(lists))
    found = [[relevant[q][i] for i in ids[:k] if i in relevant[q]] for q, ids in lists.items()]
    assert SoftHit(k).values(judged) == pytest.approx([100 * max(gains, default=0) for gains in found])
    assert AreaRecall(k).values(judged) == pytest.approx([100 * sum(gains) for gains in found])


@quick
@given(case=judgements(gains=(1.0,)), k=st.integers(1, 6), data=st.data())
def test_target_recall_knows_the_target_by_its_gain(
    case: tuple[Task, Lists, Gains], k: int, data: st.DataObject
) -> None:
    task, lists, relevant = case
    targets = {q: data.draw(st.sampled_from(sorted(gains))) for q, gains in relevant.items()}
    for query, target in targets.items():
        relevant[query][target] = 2.0
    expected = [100.0 * (targets[q] in ids[:k]) for q, ids in lists.items()]
    assert TargetRecall(k).values(judge_run(task, run_of(lists))).tolist() == expected


def ranked(ranks: list[int], size: int = 9) -> Any:
    """A judged matrix whose query n has its one relevant item at ``ranks[n]``."""
    names = [f"d{n}" for n in range(size)]
    scores = np.array([[100.0 - (rank - 0.5 if item == 0 else item) for item in range(size)] for rank in ranks])
    task = Task(
        queries=tuple(Query(id=f"q{n}", text="x") for n in range(len(ranks))),
        gallery=tuple(Item(id=name, kind="text") for name in names),
        relevant={f"q{n}": {"d0": 1.0} for n in range(len(ranks))},
        metrics=(),
    )
    return judge_matrix(task, scores)


def figure(metric: Any, judged: Any) -> float:
    return float(metric.summary(metric.values(judged)))


def test_median_and_mean_rank() -> None:
    judged = ranked([1, 2, 4, 9])
    assert figure(MedianRank(), judged) == 3
    assert figure(MedianRank(lower=True), judged) == 2
    assert figure(MeanRank(), judged) == 4
    assert figure(MedianRank(lower=True), ranked([1, 4, 9])) == 4


def test_the_lower_median_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    for ranks in ([1, 2, 4, 9], [3, 3], [5], [1, 8, 2]):
        assert figure(MedianRank(lower=True), ranked(ranks)) == float(torch.median(torch.tensor(ranks)))


def test_sum_and_mean_are_per_query() -> None:
    judged = ranked([1, 2, 6])
    parts = (HitRate(1), HitRate(5), HitRate(10))
    assert Sum(parts).values(judged).tolist() == [300, 200, 100]
    assert Mean(parts[:2]).values(judged).tolist() == [100, 50, 0]
    assert figure(Sum(parts), judged) == pytest.approx(sum(figure(part, judged) for part in parts))


def test_a_half_rank_of_a_tie_is_no_hit_before_the_whole_one() -> None:
    task = Task(
        queries=(Query(id="q", text="x"),),
        gallery=tuple(Item(id=name, kind="text") for name in "abc"),
        relevant={"q": {"a": 1.0}},
        metrics=(),
    )
    judged = judge_matrix(task, np.array([[1.0, 1.0, 0.0]]))
    assert judged.ranks.first.tolist() == [1.5]
    assert [HitRate(k).values(judged)[0] for k in (1, 2)] == [0, 100]
    assert Standard("RR").values(judged)[0] == 50
    assert CutAveragePrecision(2).values(judged)[0] == pytest.approx(100 / 1.5)


def test_names_units_directions_and_depths() -> None:
    metrics = (HitRate(5), HitRate(3, "members"), MedianRank(), MeanRank(), Standard("nDCG@10"), Standard("AP"))
    assert [metric.name for metric in metrics] == ["R@5", "Rs@3", "MdR", "MnR", "nDCG@10", "AP"]
    assert [metric.unit for metric in metrics] == ["percent", "percent", "rank", "rank", "percent", "percent"]
    assert [metric.better for metric in metrics] == ["higher", "higher", "lower", "lower", "higher", "higher"]
    assert [metric.k for metric in metrics] == [5, None, None, None, 10, None]
    assert ranks_needed(metrics) == 10
    assert HitRate(5) == HitRate(5)


def test_nothing_counted_is_not_zero() -> None:
    nothing = np.array([np.nan, np.nan])
    assert all(np.isnan(metric.summary(nothing)) for metric in (HitRate(1), MedianRank(), MeanRank()))
