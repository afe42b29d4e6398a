"""duel: two candidates, from log-probabilities or text."""

from __future__ import annotations

import pytest
from scripted import chooser, prompt, writer

from mmrank.errors import RecipeError
from mmrank.rerank.asks import probability
from mmrank.rerank.asks.duel import Duel
from mmrank.rerank.schedules.duels import calibrated

AB = ("A", "B")


def test_log_odds_both_ways() -> None:
    mllm = chooser(lambda _p, _c: [-2.0, -0.5])
    [answer] = Duel().ask(mllm, [prompt("q", AB)], [0])
    assert answer.scores == (-1.5, 1.5)
    assert (answer.order, answer.named, answer.status) == ((1, 0), 2, "ok")
    assert mllm.calls[0].detail == [AB]


def test_one_missing_log_probability_decides_nothing() -> None:
    [answer] = Duel().ask(chooser(lambda _p, _c: [-2.0, None]), [prompt("q", AB)], [0])
    assert (answer.status, answer.scores, answer.named) == ("failed", (None, None), 0)


@pytest.mark.parametrize(("text", "order"), [("A", (0, 1)), ("Answer: B", (1, 0))])
def test_text_where_there_are_no_log_probabilities(text: str, order: tuple[int, int]) -> None:
    [answer] = Duel().ask(writer(text), [prompt("q", AB)], [0])
    assert (answer.order, answer.named, answer.scores, answer.status) == (order, 2, (), "ok")


@pytest.mark.parametrize("tie", [chooser(lambda _p, _c: [-1.0, -1.0]), writer("Neither of them.")])
def test_a_tie_has_equal_scores(tie: object) -> None:
    [answer] = Duel().ask(tie, [prompt("q", AB)], [0])  # type: ignore[arg-type]
    assert (answer.scores, answer.order, answer.named, answer.status) == ((0.0, 0.0), (0, 1), 2, "ok")


def test_unreadable_text_falls_back() -> None:
    [answer] = Duel().ask(writer("A dog or a cat?"), [prompt("q", AB)], [0])
    assert (answer.status, answer.scores, answer.named) == ("fell_back", (None, None), 0)


def test_two_orders_are_calibrated_as_the_paper_does() -> None:
    """A model that likes the first place by the same amount both times is put right."""
    likes_first = {"ij": [2.0, 0.0], "ji": [1.0, 0.0]}
    mllm = chooser(lambda p, _c: likes_first[p.text[-2:]])
    forward, backward = Duel().ask(mllm, [prompt("ij", AB), prompt("ji", AB)], [0, 0])
    assert forward.order == backward.order == (0, 1)
    assert probability(forward.scores[0] or 0) > probability(backward.scores[0] or 0)
    assert calibrated(forward, backward) == 1.0
    assert calibrated(backward, forward) == 0.0


def test_three_candidates_are_no_duel() -> None:
    with pytest.raises(RecipeError, match="schedule 'pairs'"):
        Duel().ask(writer("A"), [prompt("q", ("A", "B", "C"))], [0])
