"""rubric_score: a whole number, or unknown; every sample its own draw."""

from __future__ import annotations

from scripted import Scripted, prompt, writer

from mmrank.rerank.asks.rubric_score import RubricScore


def test_the_number_in_the_tag() -> None:
    mllm = writer("1. ... 2. ... <score>73</score>")
    [answer] = RubricScore().ask(mllm, [prompt("q")], [0])
    assert (answer.scores, answer.order, answer.named, answer.status) == ((73.0,), (0,), 1, "ok")
    assert (mllm.calls[0].detail.temperature, mllm.calls[0].detail.top_k) == (0.6, 40)


def test_missing_is_unknown() -> None:
    [answer] = RubricScore(n_retries=1).ask(writer("fine"), [prompt("q")], [0])
    assert (answer.scores, answer.named, answer.status, answer.retries) == ((None,), 0, "fell_back", 1)


def test_samples_of_one_prompt_are_drawn_with_their_own_seeds() -> None:
    mllm = Scripted(says=lambda _p, sampling, _t: f"<score>{sampling.seed}</score>")
    answers = RubricScore().ask(mllm, [prompt("q")] * 3, [10, 20, 30])
    assert [a.scores for a in answers] == [(10.0,), (20.0,), (30.0,)]
    assert len(mllm.calls) == 1


def test_another_tag() -> None:
    [answer] = RubricScore(tag="mark").ask(writer("<score>1</score><mark>2</mark>"), [prompt("q")], [0])
    assert answer.scores == (2.0,)
