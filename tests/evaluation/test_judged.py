"""Lists and matrices held against tasks, each against a plain loop that reads the protocol aloud."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.evaluation import matrix_ranks, run_ranks
from mmrank.evaluation.dataset import DatasetError, Task
from mmrank.evaluation.judged import Judged, judge_matrix, judge_run
from mmrank.evaluation.metrics import HitRate, MeanRank, MedianRank, Metric, Recall
from mmrank.evaluation.ranks import TIES, Ties
from mmrank.run import Run
from mmrank.types import Item, Query

METRICS: tuple[Metric, ...] = (HitRate(1), HitRate(3), MedianRank(), MeanRank())


@dataclass(frozen=True)
class Case:
    task: Task
    scores: np.ndarray[Any, np.dtype[np.float64]]


@st.composite
def cases(draw: st.DrawFn, *, ties: bool = True) -> Case:
    """A task with everything a task can say, and scores for it."""
    queries, items = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    names = [f"i{n}" for n in range(items)]
    some = st.lists(st.sampled_from(names), unique=True)
    asked, relevant, members = [], {}, {}
    for n in range(queries):
        among = draw(st.none() | some)
        asked.append(
            Query(id=f"q{n}", text="x", exclude=tuple(draw(some)[:2]), among=None if among is None else tuple(among))
        )
        members[f"q{n}"] = tuple(draw(some))
        if draw(st.integers(0, 3)):
            relevant[f"q{n}"] = {name: draw(st.sampled_from([1.0, 2.0, 0.5])) for name in draw(some)}
    task = Task(
        queries=tuple(asked),
        gallery=tuple(Item(id=name, kind="text") for name in names),
        relevant=relevant or {"q0": {"i0": 1.0}},
        metrics=METRICS,
        members=members,
        groups={name: f"g{draw(st.integers(0, 2))}" for name in names},
    )
    cells = st.integers(0, 3) if ties else st.nothing()
    if ties:
        flat = draw(st.lists(cells, min_size=queries * items, max_size=queries * items))
    else:
        flat = draw(st.permutations(range(queries * items)))
    return Case(task, np.array(flat, dtype=float).reshape(queries, items))


def allowed(task: Task, query: Query) -> set[str]:
    return {i.id for i in task.gallery if i.id not in query.exclude and (query.among is None or i.id in query.among)}


def place(name: str, tied_with_gain: dict[str, float], scores: dict[str, float], ties: Ties) -> float:
    """The rank of one relevant item: those above it, and its share of the places of its tie."""
    if name not in scores:
        return np.inf
    above = sum(score > scores[name] for score in scores.values())
    tied = [other for other, score in scores.items() if score == scores[name]]
    own = [other for other in tied_with_gain if other in tied]
    own.sort(key=lambda other: -tied_with_gain[other] if ties == "optimistic" else tied_with_gain[other])
    turn = own.index(name) + 1
    return {
        "optimistic": above + turn,
        "pessimistic": above + len(tied) - len(own) + turn,
        "averaging": above + turn * (len(tied) + 1) / (len(own) + 1),
    }[ties]


def expected_ranks(case: Case, ties: Ties, over: str) -> list[list[float]]:
    """Ranks of each query's relevant items or groups, ascending."""
    task, names = case.task, [item.id for item in case.task.gallery]
    found = []
    for query, row in zip(case.task.queries, case.scores, strict=True):
        gains = dict(task.relevant.get(query.id, {}))
        scores = {name: score for name, score in zip(names, row, strict=True) if name in allowed(task, query)}
        if over == "members":
            scores = {n: s for n, s in scores.items() if n in task.members[query.id]}  # type: ignore[index]
        if over == "groups":
            groups = task.groups or {}
            best: dict[str, float] = {}
            for name, score in scores.items():
                best[groups[name]] = max(best.get(groups[name], -np.inf), score)
            scores, own = best, {}
            for name, gain in gains.items():
                own[groups[name]] = max(own.get(groups[name], 0), gain)
            gains = own
        # Items of one tie and one gain are the same to every metric: their places, not their names, are compared.
        found.append(sorted(_distinct(gains, scores, ties)))
    return found


def _distinct(gains: dict[str, float], scores: dict[str, float], ties: Ties) -> list[float]:
    return [place(name, gains, scores, ties) for name in gains]


def lists(ranks: Any) -> list[list[float]]:
    return [ranks.values[a:b].tolist() for a, b in zip(ranks.offsets[:-1], ranks.offsets[1:], strict=True)]


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(("block", "sort"), [(1 << 21, 8), (4, 1)])
@settings(deadline=None, max_examples=50)
@given(case=cases())
def test_a_matrix_gives_the_ranks_that_a_loop_over_the_protocol_gives(
    ties: Ties, block: int, sort: int, case: Case
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix_ranks, "BLOCK_SCORES", block)
        patch.setattr(matrix_ranks, "SORT_FROM", sort)
        judged = judge_matrix(case.task, case.scores, ties)
    for over in ("items", "members", "groups"):
        assert lists(judged.ranks_over(over)) == expected_ranks(case, ties, over), over  # type: ignore[arg-type]
    assert judged.lengths.tolist() == [len(allowed(case.task, query)) for query in case.task.queries]


@pytest.mark.parametrize("block", [1 << 19, 3])
@settings(deadline=None, max_examples=50)
@given(case=cases(ties=False))
def test_a_run_and_the_matrix_it_comes_from_agree_when_nothing_ties(block: int, case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_ranks, "BLOCK_HITS", block)
        patch.setattr(run_ranks, "TABLE_CELLS", block)
        names = [item.id for item in case.task.gallery]
        run = Run.from_matrix(case.scores, [q.id for q in case.task.queries], names)
        judged, other = judge_run(case.task, run), judge_matrix(case.task, case.scores)
    for over in ("items", "members", "groups"):
        assert lists(judged.ranks_over(over)) == lists(other.ranks_over(over)), over  # type: ignore[arg-type]
    assert judged.lengths.tolist() == other.lengths.tolist()
    assert judged.figures() == pytest.approx(other.figures(), nan_ok=True)


@settings(deadline=None, max_examples=50)
@given(case=cases(ties=False), data=st.data())
def test_short_lists_in_any_order_of_queries_are_read_by_position(case: Case, data: st.DataObject) -> None:
    names = [item.id for item in case.task.gallery]
    asked = data.draw(st.lists(st.sampled_from(case.task.queries), unique_by=lambda q: q.id, min_size=1))
    answers = {query.id: data.draw(st.lists(st.sampled_from(names), unique=True)) for query in asked}
    run = Run.from_lists([(query, ids, [0.0] * len(ids)) for query, ids in answers.items()])
    found = lists(judge_run(case.task, run).ranks)
    for query, ranks in zip(case.task.queries, found, strict=True):
        kept = [name for name in answers.get(query.id, []) if name in allowed(case.task, query)]
        relevant = case.task.relevant.get(query.id, {})
        assert ranks == sorted(kept.index(name) + 1 if name in kept else np.inf for name in relevant)


@settings(deadline=None, max_examples=50)
@given(case=cases())
def test_the_best_of_a_matrix_as_a_run_is_that_of_run_from_matrix(case: Case) -> None:
    task, names = case.task, [item.id for item in case.task.gallery]
    kept = judge_matrix(task, case.scores, depth=3).run
    whole = Run.from_matrix(case.scores, [q.id for q in task.queries], names)
    for query in task.queries:
        assert kept.ids(query.id) == tuple(n for n in whole.ids(query.id) if n in allowed(task, query))[:3]


def small(**more: Any) -> Task:
    return Task(
        queries=tuple(Query(id=f"q{n}", text="x") for n in range(2)),
        gallery=tuple(Item(id=name, kind="text") for name in "abcd"),
        relevant={"q0": {"a": 1.0}, "q1": {"b": 1.0}},
        metrics=(HitRate(1), HitRate(3), MedianRank(), MeanRank()),
        **more,
    )


def test_a_query_that_a_run_lacks_is_a_miss_and_said() -> None:
    judged = judge_run(small(), Run.from_lists([("q1", ["b", "a", "c"], [3, 2, 1])]))
    assert judged.figures()["R@1"] == 50
    assert judged.values()["R@1"].tolist() == [0, 100]
    assert "1 of 2 queries are not in the run and count as misses: 'q0'." in judged.notes
    assert any("1 of 2 lists are shorter than the 3 candidates" in note for note in judged.notes)


def test_ranks_that_nobody_knows_are_nan_and_said() -> None:
    judged = judge_run(
        small(), Run.from_lists([("q0", ["b", "c", "d"], [3, 2, 1]), ("q1", ["b", "c", "d"], [3, 2, 1])])
    )
    figures = judged.figures()
    assert np.isnan(figures["MnR"])
    assert np.isnan(figures["MdR"])
    assert judged.values()["MnR"].tolist() == [np.inf, 1]
    assert any("MdR (1 queries), MnR (1 queries)" in note for note in judged.notes)


def test_queries_without_judgements_do_not_count() -> None:
    task = replace(small(), relevant={"q1": {"b": 1.0}})
    judged = judge_matrix(task, np.eye(2, 4))
    assert judged.counted.tolist() == [False, True]
    assert np.isnan(judged.values()["R@1"]).tolist() == [True, False]
    assert judged.figures()["R@1"] == 100


def test_a_query_whose_judgements_are_empty_counts_as_a_miss() -> None:
    judged = judge_matrix(replace(small(), relevant={"q0": {}, "q1": {"b": 1.0}}), np.eye(2, 4))
    assert judged.figures()["R@1"] == 50


def test_without_public_labels_there_are_no_figures() -> None:
    judged = judge_matrix(replace(small(), relevant={}), np.eye(2, 4))
    assert (judged.figures(), judged.values()) == ({}, {})
    assert len(judged.run) == 2


def test_a_relevant_item_that_is_excluded_is_never_found() -> None:
    task = replace(small(), queries=(Query(id="q0", text="x", exclude=("a",)), Query(id="q1", text="x")))
    judged = judge_matrix(task, np.eye(2, 4))
    assert judged.ranks.first.tolist() == [np.inf, 1]
    assert judged.run.ids("q0") == ("b", "c", "d")


def test_members_of_their_own_run_are_ranked_there() -> None:
    task = small(members={"q0": ("a", "b"), "q1": ("b", "c")})
    whole = Run.from_lists([("q0", list("dabc"), [4, 3, 2, 1]), ("q1", list("dcab"), [4, 3, 2, 1])])
    alone = Run.from_lists([("q0", ["b", "a"], [2, 1]), ("q1", ["b", "c"], [2, 1])])
    assert judge_run(task, whole).ranks_over("members").first.tolist() == [1, 2]
    assert judge_run(task, whole, members=alone).ranks_over("members").first.tolist() == [2, 1]


def test_a_list_that_ends_before_its_subset_does_is_said() -> None:
    judged = judge_run(
        small(members={"q0": ("a", "b"), "q1": ("b", "c")}),
        Run.from_lists([("q0", list("abc"), [3, 2, 1]), ("q1", list("abd"), [3, 2, 1])]),
    )
    assert any(note.startswith("1 of 2 lists do not hold every member of their subset") for note in judged.notes)


def test_figures_by_label_and_their_plain_mean() -> None:
    task = replace(small(), labels={"q0": ("long", "odd"), "q1": ("long",)})
    judged = judge_matrix(task, np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0]]))
    assert judged.slices(HitRate(1)) == {"long": (50.0, 2), "odd": (100.0, 1)}
    assert judged.macro(HitRate(1)) == 75
    assert np.isnan(judge_matrix(small(), np.eye(2, 4)).macro(HitRate(1)))


def test_ties_at_a_relevant_item_are_noted_and_ties_among_relevant_ones_are_none() -> None:
    task = replace(small(), relevant={"q0": {"a": 1.0, "b": 1.0}, "q1": {"b": 1.0}})
    tied = judge_matrix(task, np.array([[1.0, 1, 0, 0], [1.0, 1, 0, 0]]))
    assert tied.tied is not None
    assert tied.tied.tolist() == [False, True]
    assert tied.ranks.values.tolist() == [1, 2, 1.5]
    assert tied.notes == ("1 queries have a relevant item that shares its score with others; ties: averaging.",)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_floating_type_gives_the_same_ranks(dtype: type) -> None:
    scores = np.random.default_rng(0).permutation(40).reshape(2, 20)
    task = Task(
        queries=small().queries,
        gallery=tuple(Item(id=str(n), kind="text") for n in range(20)),
        relevant={"q0": {"3": 1.0}, "q1": {"7": 1.0}},
        metrics=METRICS,
    )
    expected = [1 + (row > row[at]).sum() for row, at in zip(scores, (3, 7), strict=True)]
    assert judge_matrix(task, scores.astype(dtype)).ranks.first.tolist() == expected


def test_minus_infinity_is_a_score() -> None:
    scores = np.array([[-np.inf, 1, -np.inf, 0], [0, 1, 0, 0]])
    assert judge_matrix(small(), scores).ranks.first.tolist() == [3.5, 1]


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.zeros((4, 2)), r"shape \(4, 2\).*2 queries and 4 items"),
        (np.zeros((2, 4), dtype=int), "int64"),
        (np.array([[0, 1, 2, 3], [0, np.nan, 2, 3]]), "NaN, first in row 1, column 1"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(scores: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        judge_matrix(small(), scores)


def test_an_unknown_tie_rule_is_refused() -> None:
    with pytest.raises(UsageError, match="'averaging', 'pessimistic', 'optimistic'"):
        judge_matrix(small(), np.eye(2, 4), "random")  # type: ignore[arg-type]


def test_a_metric_over_members_needs_members() -> None:
    task = replace(small(), metrics=(HitRate(1, "members"),))
    with pytest.raises(UsageError, match="says nothing about members"):
        judge_matrix(task, np.eye(2, 4)).figures()


def test_with_groups_every_item_needs_one() -> None:
    with pytest.raises(DatasetError, match="1 of 4 items of the gallery are in no group, such as 'd'"):
        judge_matrix(small(groups=dict.fromkeys("abc", "g")), np.eye(2, 4))


def test_share_of_relevant_items_is_not_the_hit_rate() -> None:
    task = replace(small(), relevant={"q0": {"a": 1.0, "d": 1.0}, "q1": {"b": 1.0}})
    judged: Judged = judge_matrix(task, np.array([[4.0, 3, 2, 1], [1, 2, 3, 4]]))
    assert Recall(2).values(judged).tolist() == [50, 0]
    assert HitRate(2).values(judged).tolist() == [100, 0]
