"""Scaling, summing and grouping of score lists against literal loops, and the laws they must keep."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmrank.aggregate import (
    Table,
    mean_in_groups,
    min_max,
    ranks_of,
    reciprocal_rank_fusion,
    reduce_lists,
    scale_min_max,
    scale_rank,
    scale_z,
    sum_over_lists,
    total,
    weights_of,
)
from mmrank.errors import UsageError

NAN = math.nan
SCORES = np.array([[3.0, 1.0, 2.0, NAN], [0.5, NAN, 0.9, 0.1]])
RANKS = np.array([[1.0, 3.0, 2.0, NAN], [2.0, NAN, 1.0, 3.0]])

flat_lists = st.lists(st.lists(st.integers(-50, 50).map(float), max_size=5), min_size=1, max_size=5)


def flat(lists: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for one in lists for score in one]), np.array([len(one) for one in lists], dtype=np.int64)


def test_min_max_scales_each_list_and_keeps_absent_absent() -> None:
    expected = [[1.0, 0.0, 0.5, NAN], [0.5, NAN, 1.0, 0.0]]
    np.testing.assert_allclose(min_max(SCORES), expected)


def test_min_max_of_equal_scores_is_one_and_of_an_empty_list_absent() -> None:
    np.testing.assert_array_equal(min_max(np.array([[2.0, 2.0, NAN], [NAN] * 3])), [[1, 1, NAN], [NAN] * 3])
    assert min_max(np.zeros((2, 0))).shape == (2, 0)


@given(flat_lists)
def test_flat_lists_are_scaled_as_a_loop_would(lists: list[list[float]]) -> None:
    scores, lengths = flat(lists)
    by_min_max, by_z, floors, by_rank = [], [], [], []
    for one in lists:
        low, high = min(one, default=0), max(one, default=0)
        by_min_max += [1.0 if high == low else (score - low) / (high - low) for score in one]
        deviation = statistics.pstdev(one) if one else 0
        z = [0.0 if deviation == 0 else (score - statistics.fmean(one)) / deviation for score in one]
        by_z += z
        floors.append(min(z) if deviation else -1.0)
        by_rank += [1.0 if len(one) == 1 else (len(one) - rank) / (len(one) - 1) for rank in range(1, len(one) + 1)]
    np.testing.assert_allclose(scale_min_max(scores, lengths), by_min_max)
    values, found = scale_z(scores, lengths)
    np.testing.assert_allclose(values, by_z, atol=1e-12)
    np.testing.assert_allclose(found, floors, atol=1e-12)
    np.testing.assert_allclose(scale_rank(lengths), by_rank, atol=1e-12)
    assert ranks_of(lengths).tolist() == [rank for one in lists for rank in range(1, len(one) + 1)]
    assert reduce_lists(np.add, scores, lengths).tolist() == [sum(one) for one in lists]


def test_rrf_against_a_literal_loop() -> None:
    for i in range(4):
        expected = sum(1 / (60 + row[i]) for row in RANKS if not math.isnan(row[i]))
        assert reciprocal_rank_fusion(RANKS)[i] == pytest.approx(expected)
    np.testing.assert_allclose(reciprocal_rank_fusion(RANKS, [2, 0])[:2], [2 / 61, 2 / 63])


def test_weights_are_one_finite_number_a_list() -> None:
    assert weights_of(None, 2).tolist() == [1, 1]
    for wrong in ([1.0], [1.0, NAN], [[1.0, 2.0]]):
        with pytest.raises(UsageError, match="one finite number each"):
            weights_of(wrong, 2)  # type: ignore[arg-type]


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.floats(-1e6, 1e6)))
def test_sums_do_not_depend_on_the_order_of_the_lists_to_the_last_bit(values: Table) -> None:
    first = sum_over_lists(values)
    np.testing.assert_allclose(first, values.sum(axis=0), atol=1e-6)
    for order in itertools.permutations(range(len(values))):
        assert (sum_over_lists(values[list(order)]) == first).all()


def test_groups_are_weighted_means_and_weigh_as_their_lists_do_on_average() -> None:
    values = np.array([[1.0, 0.0], [0.5, 0.2], [0.1, 0.8]])
    means, there, weights = mean_in_groups(values, None, np.array([1.0, 3.0, 5.0]), ((0, 1), (2,)))
    np.testing.assert_allclose(means, [[(1 + 3 * 0.5) / 4, 3 * 0.2 / 4], [0.1, 0.8]])
    assert there is None
    assert weights.tolist() == [2.0, 5.0]


def test_left_out_means_the_mean_over_the_lists_that_have_the_item() -> None:
    values = np.array([[1.0, 0.0, 0.4], [0.5, 0.2, 0.0]])
    present = np.array([[True, False, True], [True, True, False]])
    np.testing.assert_allclose(total(values, present, np.array([1.0, 3.0])), [(1 + 1.5) / 4, 0.2, 0.4])
    np.testing.assert_allclose(total(values, present, np.array([1.0, 0.0])), [1.0, 0.2, 0.4])
    means, there, _ = mean_in_groups(values, present, np.ones(2), ((0, 1),))
    np.testing.assert_allclose(means, [[0.75, 0.2, 0.4]])
    assert there is not None
    assert there.all()
