"""Near-duplicates: grouped by the first of each group, moved behind, never lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.rerank.vectors.duplicates import duplicate_groups, near_duplicates
from mmrank.rerank.vectors.source import GivenVectors, Matrix
from mmrank.types import Ranking

MakeRanking = Callable[..., Ranking]


def at(*degrees: float) -> Matrix:
    turned = np.radians(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def by_loops(rows: Matrix, threshold: float) -> list[int]:
    firsts: list[int] = []
    owner = []
    for i, row in enumerate(rows):
        near = [(round(float(rows[j].astype(np.float64) @ row.astype(np.float64)), 6), -j) for j in firsts]
        best = max(near, default=(-2.0, 0))
        if best[0] >= threshold:
            owner.append(-best[1])
        else:
            owner.append(i)
            firsts.append(i)
    return owner


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [-1.0, 0.3, 0.8, 1.0])
def test_groups_are_those_of_the_loop(rows: Callable[..., Matrix], seed: int, threshold: float) -> None:
    x = rows(40, 3, seed=seed)
    assert duplicate_groups(x, threshold).tolist() == by_loops(x, threshold)


def test_groups_do_not_chain() -> None:
    # 10 degrees apart each: the third is near the second, which belongs to the first.
    assert duplicate_groups(at(0, 10, 20), float(np.cos(np.radians(12)))).tolist() == [0, 0, 2]


def test_equal_vectors_are_duplicates_at_threshold_1(rows: Callable[..., Matrix]) -> None:
    one = rows(1, 512)[0]
    assert duplicate_groups(np.stack([one, one]), 1.0).tolist() == [0, 0]


def test_duplicates_go_behind_in_previous_order(ranking: MakeRanking) -> None:
    degrees = {"a": 0, "b": 90, "c": 1, "d": 91, "e": 45}
    source = GivenVectors(items={name: at(angle)[0] for name, angle in degrees.items()})
    stage = near_duplicates(source, threshold=0.99)
    before = ranking([*"abcde"])
    (after,) = stage.process([before])
    assert after.ids == ("a", "b", "e", "c", "d")
    assert [h.score for h in after] == [5, 4, 3, 2, 1]
    assert after.hits[0].trace[0].score == before.hits[0].score
    assert after.records[0].note == "2 of 5 hits are near-duplicates of one above: 'c' of 'a', 'd' of 'b'."
    assert stage.groups(before) == [("a", "c"), ("b", "d")]
    assert (stage % 3).process([before])[0].ids == ("a", "b", "e")


def test_an_item_without_a_vector_is_no_duplicate_and_is_named(ranking: MakeRanking) -> None:
    source = GivenVectors(items={"a": at(0)[0], "b": at(0)[0]})
    (after,) = near_duplicates(source).process([ranking(["x", "a", "b"])])
    assert after.ids == ("a", "b", "x")
    assert "'x'" in str(after.records[0].error)
    assert near_duplicates(source).groups(ranking([])) == []


def test_a_threshold_that_is_no_cosine_is_refused() -> None:
    with pytest.raises(UsageError, match="from -1 to 1"):
        near_duplicates(GivenVectors(), threshold=95)
