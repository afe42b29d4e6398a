"""`mmrank.evaluate`: what a system can be, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Dataset, Task
from mmrank.evaluation.evaluate import evaluate
from mmrank.evaluation.protocols import CIRR, PAIRED, mean_over_tasks
from mmrank.pipeline import Stage
from mmrank.rerank.base import reranker
from mmrank.run import Run
from mmrank.types import Hit, Item, Query, Ranking, Record

COUNT = 8
GALLERY = tuple(Item(id=f"i{n}", kind="text", text=f"item {n}") for n in range(COUNT))
QUERIES = tuple(Query(id=f"q{n}", text=f"query {n}") for n in range(COUNT))
RELEVANT = {f"q{n}": {f"i{n}": 1.0} for n in range(COUNT)}


def task(name: str = "", *, cirr: bool = False) -> Task:
    if not cirr:
        return Task(name=name, queries=QUERIES, gallery=GALLERY, relevant=RELEVANT, metrics=PAIRED)
    members = {f"q{n}": tuple(f"i{(n + k) % COUNT}" for k in range(3)) for n in range(COUNT)}
    return Task(queries=QUERIES, gallery=GALLERY, relevant=RELEVANT, metrics=CIRR, members=members)


def dataset(*tasks: Task, **more: object) -> Dataset:
    return Dataset(name="numbers", title="Numbers", split="test", tasks=tasks or (task(),), **more)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Finder(Stage):
    """Items in the gallery's order, turned so that the answer of query n stands at rank `rank`."""

    rank: int = 3

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        return [r.with_hits(self._hits(r.query), Record(stage=self.name)) for r in rankings]

    def _hits(self, query: Query) -> list[Hit]:
        n = int(query.id[1:])
        turned = [GALLERY[(n + k - self.rank + 1) % COUNT] for k in range(COUNT)]
        allowed = [item for item in turned if query.among is None or item.id in query.among]
        return [Hit(item=item, score=float(-k), stage=self.name) for k, item in enumerate(allowed)]


def truth(query: Query, items: Sequence[Item]) -> list[float]:
    return [float(item.id[1:] == query.id[1:]) for item in items]


def test_a_pipeline_with_its_first_stage_ceiling_gain_and_outcomes() -> None:
    found = evaluate(dataset(), {"judged": Finder(rank=3) >> reranker(truth, depth=3)})
    one = found.systems[0]
    assert one.figures["R@1"] == 100
    assert one.first_figures is not None
    assert one.first_figures["R@1"] == 0
    assert one.ceiling == (100.0, 3)
    assert one.outcomes == {"ok": COUNT}
    assert found.comparisons == ()
    too_shallow = evaluate(dataset(), {"judged": Finder(rank=3) >> reranker(truth, depth=2)}).systems[0]
    assert too_shallow.ceiling == (0.0, 2)
    assert too_shallow.figures["R@1"] == 0


def test_a_run_a_matrix_and_a_function_of_the_task() -> None:
    run = Run.from_lists([(q.id, [f"i{q.id[1:]}"], [1.0]) for q in QUERIES])
    found = evaluate(dataset(), {"run": run, "matrix": np.eye(COUNT), "made": lambda task: Finder(rank=1)})
    assert [each.figures["R@1"] for each in found.systems] == [100, 100, 100]
    assert {(c.first, c.second) for c in found.comparisons} >= {("run", "matrix")}
    assert all(c.difference == 0 and c.p == 1 for c in found.comparisons if c.metric == "R@1")


def test_ties_of_a_matrix_are_averaged_and_the_worst_case_shown() -> None:
    found = evaluate(dataset(), {"flat": np.ones((COUNT, COUNT)), "sharp": np.eye(COUNT)})
    flat, sharp = found.systems
    assert flat.figures["MnR"] == (COUNT + 1) / 2
    assert flat.pessimistic["MnR"] == COUNT
    assert sharp.pessimistic == {}  # other items tie with each other, never with the answer


def test_frozen_candidates_are_the_same_for_all() -> None:
    frozen = evaluate(dataset(), {"f": Finder(rank=2)}).systems[0].run
    found = evaluate(
        dataset(),
        {"as found": Finder(rank=5), "judged": Finder(rank=5) >> reranker(truth, depth=2)},
        candidates=frozen,
    )
    plain, judged = found.systems
    assert plain.run.ids("q0") == frozen.ids("q0")
    assert judged.first is not None
    assert judged.first.ids("q0") == frozen.ids("q0")
    assert judged.figures["R@1"] == 100


def test_subset_separate_asks_again_with_the_members_alone() -> None:
    asked: list[Query] = []

    class Counting(Finder):
        def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
            asked.extend(r.query for r in rankings)
            return super().process(rankings)

    stage = Counting(rank=COUNT)
    filtered = evaluate(dataset(task(cirr=True)), {"f": stage}).systems[0]
    assert all(query.among is None for query in asked)
    separate = evaluate(dataset(task(cirr=True)), {"f": stage}, subset="separate").systems[0]
    assert sum(query.among is not None for query in asked) == COUNT
    assert filtered.figures["R@1"] == separate.figures["R@1"]


def test_several_tasks_need_systems_of_their_own_and_are_combined() -> None:
    data = dataset(task("there"), task("back"), combine=mean_over_tasks)
    with pytest.raises(UsageError, match="mapping from task names"):
        evaluate(data, {"f": Finder()})
    whole = evaluate(data, {"f": {"there": Finder(rank=1), "back": Finder(rank=2)}, "g": {"there": Finder(rank=1)}})
    assert [(each.system, each.task) for each in whole.systems] == [("f", "there"), ("f", "back"), ("g", "there")]
    assert whole.combined["f"]["R@1"] == 50
    assert "g" not in whole.combined


def test_kept_queries_are_not_done_again_and_other_work_is_refused(tmp_path: Path) -> None:
    stage = Finder(rank=2) >> reranker(truth, depth=2)
    told: list[tuple[str, str, int, int]] = []
    first = evaluate(dataset(), {"f": stage}, to=tmp_path)
    again = evaluate(dataset(), {"f": stage}, to=tmp_path, watch=lambda *at: told.append(at))
    assert told == [("f", "", COUNT, COUNT)]
    assert again.systems[0].figures == first.systems[0].figures
    assert again.systems[0].records == first.systems[0].records
    with pytest.raises(UsageError, match="begun with another"):
        evaluate(dataset(), {"f": Finder(rank=1) >> reranker(truth, depth=2)}, to=tmp_path)


@pytest.mark.parametrize(
    ("systems", "said"),
    [
        ({}, "at least one system"),
        ({"m": np.ones((3, COUNT))}, r"\(3, 8\)"),
        ({"m": np.full((COUNT, COUNT), np.nan)}, "NaN"),
        ({"r": Run.from_lists([("q0", ["unknown"], [1.0])])}, "unknown"),
        ({"r": Run.from_lists([("q99", ["i0"], [1.0])])}, "q99"),
    ],
)
def test_what_does_not_fit_is_refused(systems: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        evaluate(dataset(), systems)  # type: ignore[arg-type]


def test_a_query_that_a_run_lacks_is_a_miss_and_said() -> None:
    run = Run.from_lists([(q.id, [f"i{q.id[1:]}"], [1.0]) for q in QUERIES[:-2]])
    one = evaluate(dataset(), {"run": run}).systems[0]
    assert one.figures["R@1"] == 75
    assert any("2" in note for note in one.notes)


def test_unknown_post_processing_is_refused() -> None:
    with pytest.raises(UsageError, match="dual softmax"):
        evaluate(dataset(), {"m": np.eye(COUNT)}, post=["magic"])
    found = evaluate(dataset(), {"m": np.eye(COUNT)}, post=["dual softmax"])
    assert found.post == ("dual softmax",)
