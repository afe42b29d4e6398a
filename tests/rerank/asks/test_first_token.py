"""first_token: the labels' log-probabilities are the order."""

from __future__ import annotations

from scripted import chooser, prompt

from mmrank.rerank.asks.first_token import FirstToken

LETTERS = ("A", "B", "C", "D")


def test_labels_are_the_choices_and_their_log_probabilities_the_order() -> None:
    mllm = chooser(lambda _p, _c: [-3.0, -0.5, -2.0, -1.0])
    [answer] = FirstToken().ask(mllm, [prompt("a", LETTERS, prefix="[")], [0])
    assert answer.order == (1, 3, 2, 0)
    assert answer.scores == (-3.0, -0.5, -2.0, -1.0)
    assert (answer.named, answer.appended, answer.status, answer.error) == (4, 0, "ok", None)
    assert mllm.calls[0].detail == [LETTERS]
    assert mllm.calls[0].prompts[0].answer_prefix == "["


def test_ties_keep_prompt_order() -> None:
    mllm = chooser(lambda _p, _c: [-1.0, -0.5, -1.0, -0.5])
    assert FirstToken().ask(mllm, [prompt("a", LETTERS)], [0])[0].order == (1, 3, 0, 2)


def test_labels_without_a_log_probability_are_appended_and_not_named() -> None:
    mllm = chooser(lambda _p, _c: [None, -2.0, None, -1.0])
    [answer] = FirstToken().ask(mllm, [prompt("a", LETTERS)], [0])
    assert answer.order == (3, 1, 0, 2)
    assert (answer.named, answer.appended, answer.status) == (2, 2, "repaired")
    assert answer.scores == (None, -2.0, None, -1.0)


def test_none_at_all_failed() -> None:
    mllm = chooser(lambda _p, _c: [None] * 4)
    [answer] = FirstToken().ask(mllm, [prompt("a", LETTERS)], [0])
    assert (answer.status, answer.order, answer.named) == ("failed", (0, 1, 2, 3), 0)


def test_prompts_with_different_numbers_of_labels_share_a_batch() -> None:
    mllm = chooser(lambda _p, c: [float(i) for i in range(len(c))])
    answers = FirstToken().ask(mllm, [prompt("a", LETTERS), prompt("b", LETTERS[:2])], [0, 0])
    assert [a.order for a in answers] == [(3, 2, 1, 0), (1, 0)]
    assert len(mllm.calls) == 1
