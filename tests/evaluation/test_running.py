"""Pipelines over a task: in batches, resumed with nothing done twice, frozen candidates in place of a retriever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mmrank.errors import UsageError
from mmrank.evaluation.candidates import Candidates, first_and_rest, from_candidates
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.identity import describe, identity
from mmrank.evaluation.running import cost, outcomes, run_of, run_task
from mmrank.pipeline import Stage
from mmrank.rerank.base import reranker
from mmrank.run import Run
from mmrank.types import Cost, Hit, Item, Query, Ranking, Record

GALLERY = tuple(Item(id=f"i{n}", kind="text", text=f"item {n}") for n in range(6))
QUERIES = tuple(Query(id=f"q{n}", text=f"query {n}", exclude=(f"i{n}",)) for n in range(5))
TASK = Task(queries=QUERIES, gallery=GALLERY, relevant={f"q{n}": {f"i{n + 1}": 1.0} for n in range(5)}, metrics=())


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


class Notebook:
    """What a Finder saw, and the query at which it is to die; no setting of it."""

    def __init__(self, dies_at: str | None = None) -> None:
        self.seen: list[str] = []
        self.dies_at = dies_at

    def see(self, names: Sequence[str]) -> None:
        if self.dies_at in names:
            raise Killed
        self.seen.extend(names)


@dataclass(frozen=True, kw_only=True)
class Finder(Stage):
    """All items but the excluded, in the gallery's order."""

    notebook: Notebook = field(default_factory=Notebook)
    setting: int = 1

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        self.notebook.see([ranking.query.id for ranking in rankings])
        record = Record(stage=self.name, calls=1, cost=Cost(model_calls=1))
        return [
            r.with_hits([Hit(item=i, score=-n) for n, i in enumerate(GALLERY) if i.id not in r.query.exclude], record)
            for r in rankings
        ]


def backwards(query: Query, items: Sequence[Item]) -> list[float]:
    return [float(n) for n in range(len(items))]


def test_first_stage_and_whole_pipeline_are_both_kept() -> None:
    done = run_task(Finder() >> reranker(backwards, depth=3), TASK, batch=2)
    assert run_of(done, "x").ids("q0") == ("i3", "i2", "i1", "i4", "i5")
    assert run_of(done, "x", first=True).ids("q0") == ("i1", "i2", "i3", "i4", "i5")
    assert outcomes(done) == {"ok": 5}
    assert cost(done).model_calls == 10  # one of the finder, one of the function, a query


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    notebook = Notebook(dies_at="q4")
    with pytest.raises(Killed):
        run_task(Finder(notebook=notebook), TASK, folder=tmp_path, batch=2)
    assert notebook.seen == ["q0", "q1", "q2", "q3"]
    notebook.dies_at = None
    told: list[tuple[int, int]] = []
    again = run_task(Finder(notebook=notebook), TASK, folder=tmp_path, batch=2, watch=lambda *n: told.append(n))
    assert notebook.seen == ["q0", "q1", "q2", "q3", "q4"]
    assert told == [(4, 5), (5, 5)]
    assert [each.query for each in again] == [query.id for query in QUERIES]
    whole = run_task(Finder(), TASK)
    assert [(e.ids, e.scores) for e in again] == [(e.ids, e.scores) for e in whole]


def test_changed_settings_are_refused(tmp_path: Path) -> None:
    run_task(Finder(), TASK, folder=tmp_path)
    with pytest.raises(UsageError, match="another pipeline"):
        run_task(Finder(setting=2), TASK, folder=tmp_path)


def test_changed_queries_are_refused(tmp_path: Path) -> None:
    run_task(Finder(), TASK, folder=tmp_path)
    other = Task(queries=QUERIES[:4], gallery=GALLERY, relevant={}, metrics=())
    with pytest.raises(UsageError, match="begun with other queries .another --limit"):
        run_task(Finder(), other, folder=tmp_path)


def test_frozen_candidates_take_the_first_stages_place() -> None:
    run = Run.from_lists([(query.id, ["i5", "i0", "i1"], [3.0, 2.0, 1.0]) for query in QUERIES[:4]], "frozen")
    frozen = Candidates(lists=run, items={item.id: item for item in GALLERY})
    finder = Finder()
    stage = from_candidates(finder % 4 >> reranker(backwards), frozen)
    done = run_task(stage, TASK)
    assert finder.notebook.seen == []
    assert run_of(done, "x").ids("q0") == ("i1", "i5")  # q0 excludes i0; the reranker turned them round
    assert outcomes(done) == {"ok": 4, "failed": 1}
    assert done[4].ids == ()


def test_a_pipeline_splits_behind_its_first_stage_and_cut() -> None:
    judge = reranker(backwards)
    _, rest = first_and_rest(Finder() % 3 >> judge % 2)
    assert len(rest) >= 1
    assert judge in rest
    assert first_and_rest(judge) == (judge, ())


def test_identity_says_functions_settings_and_data() -> None:
    one = identity(Finder() >> reranker(backwards, depth=3), TASK)
    assert one == identity(Finder() >> reranker(backwards, depth=3), TASK)
    assert one != identity(Finder() >> reranker(backwards, depth=4), TASK)
    assert "backwards" in str(describe(reranker(backwards)))
