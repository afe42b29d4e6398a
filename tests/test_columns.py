"""Lists side by side: order is the truth, ties are decided, and sparse galleries give the same as dense ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank import columns
from mmrank.columns import Columns, aligned, blocks, gather, in_order, run_of
from mmrank.errors import UsageError
from mmrank.fusion_rule import FusionRule
from mmrank.run import Run
from mmrank.types import Hit, Item, Query, Ranking

RRF = FusionRule(method="rrf")


def lists(*of_query: list[int]) -> Columns:
    codes = np.array([code for one in of_query for code in one], dtype=np.int64)
    lengths = np.array([len(one) for one in of_query], dtype=np.int64)
    return Columns(lengths=lengths, codes=codes, scores=-np.arange(len(codes), dtype=np.float64))


def test_scores_that_do_not_agree_with_their_order_give_way_to_ranks() -> None:
    scores = np.array([3.0, 3.0, 1.0, 0.2, 0.9, 5.0, np.inf, 1.0, np.nan])
    lengths = np.array([3, 2, 0, 1, 2, 1])
    assert in_order(scores, lengths).tolist() == [3.0, 3.0, 1.0, 2.0, 1.0, 5.0, 2.0, 1.0, 1.0]
    assert in_order(np.empty(0), np.zeros(2, dtype=np.int64)).tolist() == []


def test_rankings_scored_by_two_stages_go_in_by_their_ranks() -> None:
    scored = {"b": (7.0, "judge"), "a": (6.5, "judge"), "c": (0.7, "vector")}
    hits = [Hit(item=Item(id=i, kind="text"), score=s, stage=stage) for i, (s, stage) in scored.items()]
    mixed, plain = Ranking(query=Query(text="q"), hits=hits), Ranking(query=Query(text="p"), hits=hits[:2])
    assert run_of([mixed, plain]).scores.tolist() == [3.0, 2.0, 1.0, 7.0, 6.5]


def test_ties_go_to_the_better_best_rank_then_the_code() -> None:
    table = aligned([lists([2, 0, 1], [3]), lists([0, 2, 1], [3, 1])], 4, RRF)
    assert table.codes[table.best_first(np.zeros(5))].tolist() == [0, 2, 1, 3, 1]
    assert table.best.tolist() == [1, 3, 1, 2, 1]


@given(st.lists(st.lists(st.lists(st.integers(0, 9), unique=True), min_size=3, max_size=3), min_size=1, max_size=3))
def test_a_sparse_gallery_gives_the_same_as_a_dense_one(of_lists: list[list[list[int]]]) -> None:
    parts = [lists(*one) for one in of_lists]
    dense = aligned(parts, 10, RRF)
    sparse = aligned(parts, 10_000_000, RRF)
    for name in ("lengths", "codes", "values", "present", "best"):
        np.testing.assert_array_equal(getattr(dense, name), getattr(sparse, name))
    for query in range(3):
        start = int(dense.lengths[:query].sum())
        found = dense.codes[start : start + int(dense.lengths[query])].tolist()
        assert found == sorted({code for one in of_lists for code in one[query]})


def test_blocks_hold_every_query_once_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BLOCK_HITS", 4)
    parts = [lists([1, 2], [], [3], [1, 2, 3]), lists([1], [2], [1], [1, 2, 3])]
    made = list(blocks(parts))
    assert [[part.lengths.tolist() for part in block] for block in made] == [
        [[2, 0], [1, 1]],
        [[1], [1]],
        [[3], [3]],
    ]
    assert [code for block in made for code in block[0].codes] == parts[0].codes.tolist()


def test_runs_meet_by_query_and_item_id_whatever_their_order() -> None:
    one = Run.from_matrix(np.array([[2.0, 1.0], [1.0, 2.0]]), ["q1", "q2"], ["b", "a"])
    two = Run.from_matrix(np.array([[5.0, 4.0]]), ["q2"], ["c", "a"])
    gathered = gather([one, two])
    assert gathered.query_ids == ("q1", "q2")
    assert gathered.items == ("a", "b", "c")
    assert gathered.lists[0].codes.tolist() == [1, 0, 0, 1]
    assert gathered.lists[1].lengths.tolist() == [0, 2]
    assert gathered.lists[1].codes.tolist() == [2, 0]


def test_runs_that_cannot_meet_are_refused() -> None:
    one = Run.from_matrix(np.zeros((1, 1)), ["q1"], ["a"], name="one")
    two = Run.from_matrix(np.zeros((1, 1)), ["other"], ["a"])
    with pytest.raises(UsageError, match=r"Run 0 \('one'\) shares no query .* 'q1', theirs 'other'"):
        gather([one, two])
    with pytest.raises(UsageError, match="at least one"):
        gather([])
