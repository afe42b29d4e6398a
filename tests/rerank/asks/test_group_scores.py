"""group_scores: numbers side by side; a group that failed is skipped and never zeros."""

from __future__ import annotations

from scripted import prompt, writer

from mmrank.rerank.asks.group_scores import GroupScores


def test_scores_are_tenths_and_order_follows() -> None:
    mllm = writer('<reason>...</reason><answer>{"[1]": 2, "[2]": 9.5, "[3]": 0}</answer>')
    [answer] = GroupScores().ask(mllm, [prompt("q", 3)], [7])
    assert answer.scores == (0.2, 0.95, 0.0)
    assert (answer.order, answer.named, answer.status) == ((1, 0, 2), 3, "ok")
    drawn = mllm.calls[0].detail
    assert (drawn.temperature, drawn.top_p, drawn.max_tokens, drawn.seeds) == (0.3, 0.8, 8000, (7,))


def test_what_is_missing_is_unknown_and_out_of_range_is_dropped() -> None:
    [answer] = GroupScores().ask(writer('{"[2]": 11, "[3]": 4, "[8]": 1}'), [prompt("q", 3)], [0])
    assert answer.scores == (None, None, 0.4)
    assert (answer.order, answer.named, answer.dropped, answer.appended) == ((2, 0, 1), 1, 2, 2)
    assert answer.status == "repaired"
    assert answer.error == "2 of 3 labels got no score, 2 entries dropped"


def test_a_group_without_numbers_is_skipped() -> None:
    mllm = writer("I would rather not.")
    [answer] = GroupScores().ask(mllm, [prompt("q", 3)], [0])
    assert (answer.status, answer.scores, answer.named, answer.retries) == ("fell_back", (None, None, None), 0, 2)
