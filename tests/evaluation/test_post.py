"""Post-processing by name, each against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.evaluation.post import POST, dual_softmax, post_processed, query_bank


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(0.2, 0.1, (6, 4))


def test_dual_softmax_weighs_a_score_by_its_share_of_its_column(scores: np.ndarray) -> None:
    expected = [
        [
            score * math.exp(50 * score) / sum(math.exp(50 * other) for other in scores[:, column])
            for column, score in enumerate(row)
        ]
        for row in scores
    ]
    assert dual_softmax(scores, scale=50) == pytest.approx(np.array(expected))


def test_query_bank_orders_by_the_inverted_softmax_over_the_bank(scores: np.ndarray) -> None:
    bank = np.random.default_rng(1).normal(0.2, 0.1, (9, 4))
    active = {int(row.argmax()) for row in bank}
    found = query_bank(scores, bank, scale=20)
    for row, mine in zip(scores, found, strict=True):
        if int(row.argmax()) in active:
            weighed = [math.exp(20 * s) / sum(math.exp(20 * b) for b in bank[:, c]) for c, s in enumerate(row)]
            assert np.exp(mine) == pytest.approx(weighed)
        else:
            assert mine == pytest.approx(row)


def test_a_query_whose_best_item_no_bank_query_likes_keeps_its_scores() -> None:
    bank = np.array([[0.9, 0.1, 0.1]])
    scores = np.array([[0.8, 0.1, 0.2], [0.1, 0.7, 0.2]])
    found = query_bank(scores, bank)
    assert found[1].tolist() == scores[1].tolist()
    assert found[0].tolist() != scores[0].tolist()


def test_a_hub_loses_what_it_took_from_all() -> None:
    hub = np.array([[0.5, 0.6], [0.1, 0.9], [0.2, 0.7]])
    assert hub.argmax(axis=1).tolist() == [1, 1, 1]
    for name in POST:
        assert post_processed(hub, [name]).argmax(axis=1)[0] == 0, name


def test_large_scores_neither_overflow_nor_tie_in_the_query_bank() -> None:
    scores = np.array([[5000.0, 1.0, 2.0], [4000.0, 3.0, 1.0]])
    found = query_bank(scores)
    assert np.isfinite(found).all()
    assert len(np.unique(found[0])) == 3


@pytest.mark.parametrize("name", list(POST))
def test_no_score_stays_no_score(name: str) -> None:
    scores = np.array([[0.3, -np.inf], [0.1, -np.inf]])
    found = post_processed(scores, [name])
    assert np.isneginf(found[:, 1]).all()
    assert np.isfinite(found[:, 0]).all()


def test_nothing_happens_unless_asked(scores: np.ndarray) -> None:
    assert post_processed(scores, ()) is scores


def test_both_in_turn(scores: np.ndarray) -> None:
    both = post_processed(scores, ["query bank", "dual softmax"])
    assert both == pytest.approx(dual_softmax(query_bank(scores)))


def test_unknown_names_list_the_known_ones(scores: np.ndarray) -> None:
    with pytest.raises(UsageError, match="'softmax'; there is 'dual softmax', 'query bank'"):
        post_processed(scores, ["softmax"])


@pytest.mark.parametrize("bad", [np.array([[np.nan]]), np.array([[np.inf]]), np.zeros((0, 3)), np.zeros(3)])
def test_scores_that_cannot_be_processed_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(UsageError, match="a score of every query"):
        dual_softmax(bad)


def test_a_bank_of_other_items_is_refused(scores: np.ndarray) -> None:
    with pytest.raises(UsageError, match="each of the same items"):
        query_bank(scores, np.zeros((3, 5)))
    with pytest.raises(UsageError, match="k is 5"):
        query_bank(scores, k=5)
