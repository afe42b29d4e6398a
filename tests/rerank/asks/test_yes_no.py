"""yes_no: log-odds, their sigmoid, and no score where the model gave none."""

from __future__ import annotations

import math

import pytest
from scripted import Scripted, chooser, prompt

from mmrank.errors import RecipeError
from mmrank.mllm.base import Failure
from mmrank.rerank.asks.yes_no import YesNo, probability


def test_score_is_the_log_odds_of_the_two_tokens_of_the_recipe() -> None:
    mllm = chooser(lambda _p, c: [-0.25 if token == "True" else -1.5 for token in c])
    [answer] = YesNo(positive="True", negative="False").ask(mllm, [prompt("a", pair=True)], [0])
    assert answer.scores == (1.25,)
    assert (answer.order, answer.named, answer.status) == ((0,), 1, "ok")
    assert mllm.calls[0].detail == [("True", "False")]


def test_all_candidates_go_in_one_batch_in_order() -> None:
    mllm = chooser(lambda p, _c: [float(p.text[-1]), 0.0])
    answers = YesNo().ask(mllm, [prompt(str(i)) for i in range(5)], [0] * 5)
    assert [a.scores for a in answers] == [(float(i),) for i in range(5)]
    assert len(mllm.calls) == 1


@pytest.mark.parametrize("logprobs", [(None, -1.0), (-1.0, None), (None, None), (math.nan, -1.0), (-math.inf, -1.0)])
def test_a_missing_log_probability_is_unknown_and_never_zero(logprobs: tuple[float | None, ...]) -> None:
    mllm = chooser(lambda _p, _c: logprobs)
    [answer] = YesNo().ask(mllm, [prompt()], [0])
    assert answer.scores == (None,)
    assert (answer.status, answer.named, answer.retries) == ("failed", 0, 0)
    assert "log-probability" in (answer.error or "")


def test_a_server_of_pairs_is_asked_for_pairs_only_when_it_gives_no_log_probabilities() -> None:
    pairs = Scripted(says=lambda *_: -3.5, capabilities=frozenset({"pairs"}))
    assert YesNo().ask(pairs, [prompt(pair=True)], [0])[0].scores == (-3.5,)
    both = Scripted(says=lambda *_: [0.0, -1.0], capabilities=frozenset({"pairs", "choices"}))
    assert YesNo().ask(both, [prompt(pair=True)], [0])[0].scores == (1.0,)
    assert [call.kind for call in both.calls] == ["choices"]
    with pytest.raises(RecipeError, match="layout 'pair'"):
        YesNo().ask(pairs, [prompt()], [0])


def test_a_pair_score_that_is_no_number_is_unknown() -> None:
    mllm = Scripted(says=lambda *_: math.nan, capabilities=frozenset({"pairs"}))
    [answer] = YesNo().ask(mllm, [prompt(pair=True)], [0])
    assert (answer.status, answer.scores) == ("failed", (None,))


def test_one_failed_pair_does_not_touch_the_others() -> None:
    mllm = chooser(lambda p, _c: Failure(error="picture gone") if p.text.endswith("1") else [0.0, -2.0])
    answers = YesNo().ask(mllm, [prompt(str(i)) for i in range(3)], [0] * 3)
    assert [a.scores for a in answers] == [(2.0,), (None,), (2.0,)]
    assert answers[1].error == "picture gone"


def test_probability_is_the_softmax_of_the_two() -> None:
    yes, no = -0.3, -1.7
    softmax = math.exp(yes) / (math.exp(yes) + math.exp(no))
    assert probability(yes - no) == pytest.approx(softmax, abs=1e-12)
    assert probability(-40.0) == pytest.approx(math.exp(-40.0))


def test_the_two_tokens_must_differ() -> None:
    with pytest.raises(RecipeError, match="two different tokens"):
        YesNo(positive="yes", negative="yes")
