"""Bradley-Terry against a direct optimiser and the MM algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.aggregators.bradley_terry import bradley_terry, fit
from mmrank.rerank.parts import Answer, Block


def some_wins(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wins = rng.integers(0, 4, (n, n)) * (rng.random((n, n)) < 0.5) / 2.0
    np.fill_diagonal(wins, 0)
    return wins


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_a_direct_optimiser_finds(seed: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    wins, prior = some_wins(9, seed), 0.3

    def loss(theta: np.ndarray) -> float:
        total = 0.0
        for i in range(9):
            total += prior * (np.log1p(np.exp(-theta[i])) + np.log1p(np.exp(theta[i])))
            total += sum(wins[i, j] * np.log1p(np.exp(theta[j] - theta[i])) for j in range(9))
        return total

    want = optimize.minimize(loss, np.zeros(9), method="BFGS", options={"gtol": 1e-8}).x
    assert fit(wins, prior) == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_the_mm_algorithm_converges_to(seed: int) -> None:
    wins, prior = some_wins(12, seed), 0.1
    strength = np.ones(12)
    for _ in range(20_000):
        share = (wins + wins.T) / (strength[:, None] + strength[None, :])
        strength = (wins.sum(axis=1) + prior) / (share.sum(axis=1) + 2 * prior / (strength + 1))
    assert fit(wins, prior) == pytest.approx(np.log(strength), abs=1e-6)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000), st.sampled_from([1e-6, 0.01, 0.1, 5.0]))
def test_the_slope_is_nothing_at_the_optimum(n: int, seed: int, prior: float) -> None:
    wins = some_wins(n, seed)
    theta = fit(wins, prior)
    beats = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
    slope = (wins - (wins + wins.T) * beats).sum(axis=1) + prior * (1 - 2 / (1 + np.exp(-theta)))
    assert np.isfinite(theta).all()
    assert np.abs(slope).max() < 1e-6


def test_undefeated_slots_stay_finite_and_links_do_not_matter() -> None:
    """Two blocks that share no slot, in each one that never lost."""
    blocks = [Block(slots=(0, 1, 2)), Block(slots=(3, 4))]
    answers = [Answer(order=(2, 1, 0), named=3), Answer(order=(1, 0), named=2)]
    got = bradley_terry(blocks, answers, 6)
    assert got.scores[5] is None
    assert all(s is not None and abs(s) < 10 for s in got.scores[:5])
    assert got.order[-1] == 5
    assert got.order.index(2) < got.order.index(1) < got.order.index(0)
    assert got.order.index(4) < got.order.index(3)


def test_the_prior_is_checked() -> None:
    with pytest.raises(UsageError, match="prior is 0; give"):
        bradley_terry([], [], 0, prior=0)
