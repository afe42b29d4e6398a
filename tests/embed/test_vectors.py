from __future__ import annotations

import numpy as np
import pytest

from mmrank.embed.vectors import mean_unit, unit_rows
from mmrank.errors import EmbedderError


def test_rows_get_unit_length_in_float32() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32) * 1000
    units = unit_rows(rows)
    assert units.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf])
def test_a_bad_row_is_nan_and_its_neighbours_are_not(bad: float) -> None:
    rows = np.stack([np.ones(4), np.full(4, bad), np.ones(4)]).astype(np.float32)
    units = unit_rows(rows)
    assert np.isnan(units[1]).all()
    assert np.isfinite(units[[0, 2]]).all()
    with pytest.raises(EmbedderError, match="zero or not finite"):
        mean_unit(units)


def test_mean_is_renormalised_and_one_row_is_itself() -> None:
    units = unit_rows(np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32))
    mean = mean_unit(units)
    np.testing.assert_allclose(mean, units.sum(0) / np.linalg.norm(units.sum(0)), atol=1e-6)
    np.testing.assert_array_equal(mean_unit(units[:1]), units[0])


def test_opposite_vectors_have_no_mean() -> None:
    with pytest.raises(EmbedderError, match="cancel out"):
        mean_unit(np.array([[1, 0], [-1, 0]], np.float32))
