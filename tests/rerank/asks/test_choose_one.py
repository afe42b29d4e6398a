"""choose_one: the chosen comes first, the rest keep their order."""

from __future__ import annotations

import pytest
from scripted import chooser, prompt, writer

from mmrank.errors import RecipeError
from mmrank.rerank.asks.choose_one import ChooseOne


def test_the_chosen_moves_to_the_top_and_alone_is_named() -> None:
    [answer] = ChooseOne().ask(writer("Answer: (4)"), [prompt("q", 5)], [0])
    assert (answer.order, answer.named, answer.appended, answer.status) == ((3, 0, 1, 2, 4), 1, 0, "ok")


def test_a_wrong_number_before_the_right_one_is_counted() -> None:
    [answer] = ChooseOne().ask(writer("(9)? (2)"), [prompt("q", 3)], [0])
    assert (answer.order, answer.dropped, answer.status) == ((1, 0, 2), 1, "repaired")


def test_no_number_is_asked_again_then_falls_back() -> None:
    mllm = writer("I cannot say.")
    [answer] = ChooseOne().ask(mllm, [prompt("q", 3)], [0])
    assert (answer.status, answer.order, answer.named, answer.retries) == ("fell_back", (0, 1, 2), 0, 2)


def test_full_order_takes_the_numbers_log_probabilities_behind_the_forced_prefix() -> None:
    mllm = chooser(lambda _p, _c: [-2.0, -3.0, -1.0])
    [answer] = ChooseOne(full_order=True, prefix="Answer: (").ask(mllm, [prompt("q", 3, prefix="x")], [0])
    assert (answer.order, answer.named, answer.scores) == ((2, 0, 1), 3, (-2.0, -3.0, -1.0))
    assert mllm.calls[0].prompts[0].answer_prefix == "Answer: ("
    assert mllm.calls[0].detail == [("1", "2", "3")]


def test_full_order_needs_log_probabilities() -> None:
    with pytest.raises(RecipeError, match="log-probabilities"):
        ChooseOne(full_order=True).check(writer(""))
    with pytest.raises(RecipeError, match="9 labels"):
        ChooseOne(full_order=True).check(chooser(lambda *_: [], limit=8), 9)
    ChooseOne().check(writer(""), 1000)
