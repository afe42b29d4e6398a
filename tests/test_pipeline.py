"""Stages, >>, %, Fuse: what they do, how they print and compare, and what is pushed down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from mmrank.errors import MmrankError, UsageError
from mmrank.fusion import Fuse
from mmrank.pipeline import Cutoff, Pipeline, Stage
from mmrank.types import Hit, Item, Query, Ranking, Record


@dataclass(frozen=True)
class Count(Stage):
    """A retriever of items i0, i1, ...; remembers nothing, so it can be compared."""

    k: int = 5
    prefix: str = "i"

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        hits = [
            Hit(item=Item(id=f"{self.prefix}{i}", kind="text"), score=1.0 / (i + 1), stage="count")
            for i in range(self.k)
        ]
        return [r.with_hits(hits, Record(stage=f"count{self.k}")) for r in rankings]

    def limited(self, k: int) -> Stage | None:
        return replace(self, k=min(k, self.k))


@dataclass(frozen=True)
class Reverse(Stage):
    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        return [r.with_hits(r.hits[::-1]) for r in rankings]


@dataclass(frozen=True)
class Loses(Stage):
    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        return list(rankings[:-1])


def test_stages_run_in_order_on_a_batch() -> None:
    a, b = (Count(k=3) >> Reverse()).run(["q1", Query(text="q2")])
    assert a.ids == b.ids == ("i2", "i1", "i0")
    assert (a.query.text, b.query.text) == ("q1", "q2")


def test_cut_discards() -> None:
    assert (Count(k=4) >> Reverse() % 2)("q").ids == ("i3", "i2")


def test_cut_after_a_retriever_is_pushed_into_it() -> None:
    pipeline = Count(k=100) % 7 >> Reverse()
    assert pipeline.pushed_down() == Pipeline(stages=(Count(k=7), Reverse()))
    assert pipeline("q").records[0].stage == "count7"


def test_cut_after_a_stage_that_cannot_be_limited_stays() -> None:
    pipeline = Count(k=4) >> Reverse() % 2
    assert pipeline.pushed_down() == pipeline


def test_two_cuts_become_the_smaller() -> None:
    pushed = (Count(k=9) >> Cutoff(k=3) >> Cutoff(k=5)).pushed_down()
    assert pushed == Pipeline(stages=(Count(k=3),))


def test_pipelines_print_as_expressions_and_compare() -> None:
    assert repr(Count(k=3) % 2 >> Reverse()) == "Count(k=3, prefix='i') % 2 >> Reverse()"
    assert Count() >> Reverse() == Count() >> Reverse()
    assert (Count() >> Reverse()) != (Count(k=2) >> Reverse())
    assert (Count() >> (Reverse() >> Reverse())) == ((Count() >> Reverse()) >> Reverse())


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_a_cut_takes_a_whole_number_from_one(k: int) -> None:
    with pytest.raises(UsageError, match="whole number"):
        Count() % k


def test_a_stage_that_loses_a_query_is_an_error_not_a_shorter_answer() -> None:
    with pytest.raises(MmrankError, match="was given 2 Rankings and gave back 1"):
        (Count() >> Loses()).run(["a", "b"])


def test_a_query_is_a_text_or_a_query() -> None:
    with pytest.raises(UsageError, match="The query is a int"):
        Count().run([5])  # type: ignore[list-item]


def test_joining_with_something_that_is_no_stage_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        Count() >> 3  # type: ignore[operator]


def test_fuse_runs_branches_on_the_same_queries() -> None:
    fused = Fuse(Count(k=2), Count(k=2, prefix="j"), Count(k=3), method="rrf")("q")
    assert fused.ids[:2] == ("i0", "i1")
    assert {s.name for s in fused.hits[0].sources} == {"1:count", "3:count"}
    assert [r.stage for r in fused.records] == ["count2", "count2", "count3", "fuse:rrf"]


def test_fuse_prints_and_compares() -> None:
    assert repr(Fuse(Count(), Reverse(), method="rrf")) == "Fuse(Count(k=5, prefix='i'), Reverse(), method='rrf')"
    assert Fuse(Count(), weights=[1]) == Fuse(Count(), weights=(1,))
    with pytest.raises(UsageError, match="no branch"):
        Fuse()
