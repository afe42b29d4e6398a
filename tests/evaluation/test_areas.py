"""Boxes: overlap against pixels counted one by one, relevance from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.evaluation.areas import coverage, intersections, matching, overlap
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.judged import judge_run
from mmrank.evaluation.metrics import AreaRecall, HitRate
from mmrank.run import Run
from mmrank.types import Item, Query

Box = tuple[int, int, int, int]


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, top = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    return left, top, left + draw(st.integers(1, 6)), top + draw(st.integers(1, 6))


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


@given(one=st.lists(boxes(), min_size=1, max_size=3), two=st.lists(boxes(), min_size=1, max_size=3))
def test_overlap_is_what_counting_pixels_gives(one: list[Box], two: list[Box]) -> None:
    shared = [[len(pixels(a) & pixels(b)) for b in two] for a in one]
    joined = [[len(pixels(a) | pixels(b)) for b in two] for a in one]
    assert intersections(one, two).tolist() == shared
    assert overlap(one, two) == pytest.approx(np.array(shared) / np.array(joined))


def item(name: str, parent: str, box: str) -> Item:
    return Item(id=name, kind="image", parent=parent, meta={"bbox": box})


FOUND = [
    item("a#0", "a", "0,0,10,10"),
    item("a#1", "a", "0,0,10,4"),
    item("a#2", "a", "20,20,30,30"),
    item("b#0", "b", "0,0,10,10"),
    Item(id="c", kind="image"),
]


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, {"a#0"}), (0.3, {"a#0", "a#1"}), (1.0, {"a#0"})])
def test_only_boxes_on_the_same_picture_that_overlap_enough_are_relevant(threshold: float, expected: set[str]) -> None:
    assert set(matching(FOUND, [("a", (0, 0, 10, 10))], threshold)) == expected


def test_recall_at_a_threshold_is_the_hit_rate_over_matching_boxes() -> None:
    task = Task(
        queries=(Query(id="q", text="the left one"),),
        gallery=tuple(FOUND),
        relevant={"q": matching(FOUND, [("a", (0, 0, 10, 9))])},
        metrics=(HitRate(1), HitRate(2)),
    )
    judged = judge_run(task, Run.from_lists([("q", ["b#0", "a#0", "a#1"], [3, 2, 1])]))
    assert judged.figures() == {"R@1": 0, "R@2": 100}


def test_coverage_adds_areas_and_counts_overlaps_twice() -> None:
    regions = [("a", (0.0, 0.0, 10.0, 10.0)), ("b", (0.0, 0.0, 10.0, 10.0))]
    assert coverage(FOUND, regions) == {"a#0": 0.5, "a#1": 0.2, "b#0": 0.5}
    task = Task(
        queries=(Query(id="q", text="x"),),
        gallery=tuple(FOUND),
        relevant={"q": coverage(FOUND, regions)},
        metrics=(AreaRecall(1), AreaRecall(3)),
    )
    judged = judge_run(task, Run.from_lists([("q", ["a#0", "a#1", "b#0"], [3, 2, 1])]))
    assert judged.figures() == {"Recall@1": 50, "Recall@3": pytest.approx(120)}


def test_no_regions_no_gains() -> None:
    assert coverage(FOUND, []) == {}
    assert matching(FOUND, []) == {}


def test_bad_boxes_and_thresholds_are_refused() -> None:
    with pytest.raises(UsageError, match="ends before it begins"):
        overlap([[5, 5, 1, 1]], [[0, 0, 1, 1]])
    with pytest.raises(UsageError, match=r"threshold is 0"):
        matching(FOUND, [], 0)
