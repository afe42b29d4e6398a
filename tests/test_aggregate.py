"""Aggregators against literal loops, and the laws they must keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmrank.aggregate import (
    Table,
    aggregate,
    borda,
    comb_mnz,
    comb_sum,
    min_max,
    order_of,
    product,
    reciprocal_rank_fusion,
)
from mmrank.errors import UsageError

NAN = math.nan
SCORES = np.array([[3.0, 1.0, 2.0, NAN], [0.5, NAN, 0.9, 0.1]])
RANKS = np.array([[1.0, 3.0, 2.0, NAN], [2.0, NAN, 1.0, 3.0]])

tables = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 6)),
    elements=st.one_of(st.integers(-50, 50).map(float), st.just(NAN)),
)


def test_min_max_scales_each_list_and_keeps_absent_absent() -> None:
    expected = [[1.0, 0.0, 0.5, NAN], [0.5, NAN, 1.0, 0.0]]
    np.testing.assert_allclose(min_max(SCORES), expected)


def test_min_max_of_equal_scores_is_one_and_of_an_empty_list_absent() -> None:
    np.testing.assert_array_equal(min_max(np.array([[2.0, 2.0, NAN], [NAN] * 3])), [[1, 1, NAN], [NAN] * 3])


def test_against_literal_loops() -> None:
    scaled = [[1.0, 0.0, 0.5, 0.0], [0.5, 0.0, 1.0, 0.0]]
    present = [[True, True, True, False], [True, False, True, True]]
    for i in range(4):
        lists = [(scaled[row][i], RANKS[row][i], present[row][i]) for row in range(2)]
        total = sum(s for s, _, _ in lists)
        assert comb_sum(SCORES)[i] == pytest.approx(total)
        assert comb_mnz(SCORES)[i] == pytest.approx(total * sum(s > 1e-6 for s, _, _ in lists))
        assert reciprocal_rank_fusion(RANKS)[i] == pytest.approx(sum(1 / (60 + r) for _, r, here in lists if here))
        assert borda(RANKS)[i] == pytest.approx(sum(4 - r + 1 for _, r, here in lists if here))
        assert product(SCORES)[i] == pytest.approx(sum(math.log(s + 0.1) for s, _, _ in lists))


def test_weights_weigh_and_are_checked() -> None:
    np.testing.assert_allclose(comb_sum(SCORES, [2, 0])[:3], [2.0, 0.0, 1.0])
    with pytest.raises(UsageError, match="one finite number each"):
        comb_sum(SCORES, [1.0])


def test_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="borda, combmnz, combsum, product, rrf"):
        aggregate("mean", SCORES, RANKS)  # type: ignore[arg-type]


def test_ties_go_to_the_better_best_rank_then_the_id() -> None:
    ranks = np.array([[2.0, 1.0, 2.0]])
    assert order_of(np.zeros(3), ranks, ["b", "c", "a"]) == [1, 2, 0]


@given(tables, st.integers(1, 9), st.integers(-9, 9))
def test_rescaling_a_list_changes_no_min_max_fusion(scores: Table, factor: int, shift: int) -> None:
    for method in (comb_sum, comb_mnz, product):
        np.testing.assert_allclose(method(scores * factor + shift), method(scores), atol=1e-9)


@given(tables, st.randoms())
def test_the_order_of_lists_never_decides(scores: Table, random: object) -> None:
    for method in (comb_sum, comb_mnz, product):
        np.testing.assert_allclose(method(scores[::-1]), method(scores), atol=1e-9)
