"""The law every reranker is held to, and rerankers made of a function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import mmrank as mm
from mmrank.errors import MmrankError, UsageError
from mmrank.rerank.base import Judgement, Reranker
from mmrank.types import Hit, Item, Query, Ranking, Record


def ranking(n: int) -> Ranking:
    hits = [Hit(item=Item(id=f"i{i}", kind="text", text=str(i)), score=-float(i), stage="first") for i in range(n)]
    return Ranking(query=Query(text="q"), hits=hits)


@dataclass(frozen=True)
class Says(Reranker):
    """A judge that answers with the order it is told to."""

    order: tuple[int, ...]
    depth: int | None = None

    def judge(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Judgement]:
        return [
            Judgement(order=self.order, scores=[None] * len(hits), record=Record(stage="says")) for _, hits in batch
        ]


@given(
    st.lists(st.one_of(st.floats(), st.integers(-3, 3).map(float)), max_size=12), st.integers(1, 12), st.integers(0, 3)
)
def test_the_same_items_come_out_whatever_a_function_says(scores: list[float], depth: int, off: int) -> None:
    before = ranking(len(scores))
    judge = mm.reranker(lambda query, items: scores[: len(items) - off or None], depth=depth)
    (after,) = judge.process([before])
    assert sorted(after.ids) == sorted(before.ids)
    assert after.ids[depth:] == before.ids[depth:]


def test_an_order_that_is_no_permutation_raises() -> None:
    with pytest.raises(MmrankError, match=r"each of 0\.\.2 once"):
        Says(order=(0, 1, 1)).process([ranking(3)])


def test_the_tail_keeps_its_order_and_its_scores() -> None:
    (after,) = Says(order=(2, 0, 1), depth=3).process([ranking(5)])
    assert after.ids == ("i2", "i0", "i1", "i3", "i4")
    assert after.hits[4].stage == "first"


def test_new_scores_come_with_a_trace_and_ties_keep_the_old_order() -> None:
    judge = mm.reranker(lambda query, items: [1.0, 2.0, 1.0], name="mine")
    (after,) = judge.process([ranking(3)])
    assert after.ids == ("i1", "i0", "i2")
    hit = after.hits[0]
    assert (hit.score, hit.stage, hit.trace[0].score, hit.trace[0].rank) == (2.0, "mine", -1.0, 2)
    assert after.records[0].status == "ok"


@pytest.mark.parametrize(
    ("score", "cause"),
    [
        (lambda query, items: 1 / 0, "ZeroDivisionError"),
        (lambda query, items: [1.0], "1 scores for 3 items"),
        (lambda query, items: [math.nan] * 3, "NaN"),
        (lambda query, items: ["much"] * 3, "ValueError"),
    ],
)
def test_a_failing_function_falls_back_and_says_so(score: object, cause: str) -> None:
    (after,) = mm.reranker(score).process([ranking(3)])  # type: ignore[arg-type]
    assert after.ids == ("i0", "i1", "i2")
    assert after.outcome == "fell_back"
    assert cause in str(after.records[0].error)


def test_one_failing_query_leaves_the_others_alone() -> None:
    def picky(query: Query, items: list[Item]) -> list[float]:
        return [1 / 0 if query.text == "bad" else float(i) for i in range(len(items))]

    bad = Ranking(query=Query(text="bad"), hits=ranking(2).hits)
    outcomes = [(r.outcome, r.ids) for r in mm.reranker(picky).process([bad, ranking(2)])]
    assert outcomes == [("fell_back", ("i0", "i1")), ("ok", ("i1", "i0"))]


@pytest.mark.parametrize("depth", [0, -1, 2.5, True])
def test_a_depth_that_is_none_is_refused(depth: object) -> None:
    with pytest.raises(UsageError, match="whole number from 1"):
        mm.reranker(lambda query, items: [0.0] * len(items), depth=depth)  # type: ignore[arg-type]


def test_an_empty_ranking_is_not_judged() -> None:
    assert Says(order=(0,)).process([ranking(0)])[0].records == ()


def test_files_can_be_ranked_without_an_index(tmp_path: Path) -> None:
    for name, colour in (("red.png", "red"), ("blue.png", "blue")):
        Image.new("RGB", (8, 8), colour).save(tmp_path / name)
    judge = mm.reranker(lambda query, items: ["blue" in str(i.uri) for i in items])
    ranked = judge.rank("the blue one", [tmp_path / "red.png", str(tmp_path / "blue.png")])
    assert [Path(str(h.item.uri)).name for h in ranked] == ["blue.png", "red.png"]
