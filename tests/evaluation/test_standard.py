"""ir-measures behind Standard: what is asked of it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.evaluation import standard
from mmrank.evaluation.ranks import Ranks
from mmrank.evaluation.standard import cutoff, measured


def one(ranks: list[float], gains: list[float] | None = None) -> Ranks:
    return Ranks.of(np.array([len(ranks)]), np.array(ranks), np.array(gains or [1.0] * len(ranks)))


def test_cutoffs_are_read_from_the_name() -> None:
    assert [cutoff(name) for name in ("nDCG@10", "AP", "RR@3")] == [10, None, 3]


def test_an_unknown_measure_is_named() -> None:
    with pytest.raises(UsageError, match="no measure 'nDGC@10'"):
        cutoff("nDGC@10")


def test_fractional_gains_are_refused() -> None:
    with pytest.raises(UsageError, match=r"A gain is 0\.5.*SoftHit"):
        measured("nDCG@10", one([1.0], [0.5]), np.array([True]))


def test_a_gain_that_was_not_found_lowers_the_ideal() -> None:
    found = measured("nDCG@10", one([2.0, np.inf], [1.0, 3.0]), np.array([True]))
    assert found[0] == pytest.approx((1 / np.log2(3)) / (3 + 1 / np.log2(3)))


def test_averaged_places_stay_different() -> None:
    # Two relevant among three tied: 4/3 and 8/3 count as places 2 and 3.
    assert measured("AP", one([4 / 3, 8 / 3]), np.array([True]))[0] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_equal_patterns_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = standard._asked

    def counting(measure: str, patterns: list[standard.Pattern]):  # type: ignore[no-untyped-def]
        asked.append(len(patterns))
        return real(measure, patterns)

    monkeypatch.setattr(standard, "_asked", counting)
    rng = np.random.default_rng(0)
    ranks = Ranks.of(np.ones(5000, dtype=int), rng.integers(1, 1000, 5000).astype(float), np.ones(5000))
    found = measured("RR@10", ranks, np.ones(5000, dtype=bool))
    assert asked == [11]
    assert found == pytest.approx(np.where(ranks.values <= 10, 1 / ranks.values, 0))


def test_many_long_lists_go_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard, "BLOCK_HITS", 50)
    ranks = Ranks.of(np.ones(60, dtype=int), np.arange(1.0, 61), np.ones(60))
    assert measured("AP", ranks, np.ones(60, dtype=bool)) == pytest.approx(1 / np.arange(1, 61))


def test_queries_that_do_not_count_or_have_nothing_relevant_are_zero() -> None:
    ranks = Ranks.of(np.array([1, 0, 1]), np.array([1.0, 1.0]), np.ones(2))
    assert measured("AP", ranks, np.array([True, True, False])).tolist() == [1, 0, 0]
