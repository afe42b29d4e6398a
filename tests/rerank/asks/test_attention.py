"""attention: calibrated, outliers dropped, summed; against a plain loop over the paper's formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted

from mmrank.errors import RecipeError
from mmrank.mllm.base import Failure
from mmrank.mllm.prompt import ImagePart, Message, Picture, Prompt, TextPart
from mmrank.rerank.asks.attention import Attention, content_free, kept_tokens

ONLY = frozenset({"attention"})


def no_pixels() -> object:
    raise AssertionError("nobody opens this picture")


PICTURE = Picture(key="k", width=1, height=1, open=no_pixels)  # type: ignore[arg-type]


def icr(count: int, query: str = "cats") -> Prompt:
    """Documents first, best last, as the layout makes them."""
    parts = [TextPart(text=f"doc {i}", data=True, mark=str(i)) for i in reversed(range(count))]
    last = (
        TextPart(text="\nQuery: "),
        TextPart(text=query, data=True, mark="query"),
        ImagePart(picture=PICTURE, mark="query"),
    )
    message = Message(role="user", parts=(*parts, *last))
    return Prompt(messages=(message,), labels=tuple(str(i + 1) for i in range(count)), shared=len(parts) + 2)


def model(asked: dict[str, list[float]], empty: dict[str, list[float]]) -> Scripted:
    return Scripted(says=lambda p, _d, _t: empty if "N/A" in p.text else asked, capabilities=ONLY)


def test_documents_are_scored_by_position_whatever_their_place_in_the_prompt() -> None:
    mllm = model({"0": [1.0, 1.0], "1": [4.0], "2": [2.0, 1.5]}, {"0": [0.5, 0.5], "1": [3.9], "2": [0.0, 0.0]})
    [answer] = Attention().ask(mllm, [icr(3)], [0])
    assert answer.scores == pytest.approx((1.0, 0.1, 3.5), abs=1e-6)
    assert (answer.order, answer.named, answer.status) == ((2, 0, 1), 3, "ok")
    assert answer.cost.model_calls == 2
    assert len(mllm.calls) == 1


def test_the_content_free_prompt_asks_nothing_and_shows_the_same_candidates() -> None:
    before = icr(2)
    after = content_free(before)
    assert after.text == "user: doc 1doc 0\nQuery: N/A"
    assert [part.mark for part in after.parts()] == ["1", "0", None, "query"]
    assert list(after.parts())[:3] == list(before.parts())[:3]
    assert after.shared == 3
    assert "cats" in before.text


def test_without_calibration_one_pass_and_a_plain_sum() -> None:
    mllm = model({"0": [1.0] * 9 + [-50.0], "1": [0.5, 0.5]}, {})
    [answer] = Attention(calibrate=False).ask(mllm, [icr(2)], [0])
    assert answer.scores == (-41.0, 1.0)
    assert answer.cost.model_calls == 1


def test_length_normalised_scores_are_means() -> None:
    mllm = model({"0": [1.0, 1.0, 1.0], "1": [2.0]}, {"0": [0.0, 0.0, 0.0], "1": [0.0]})
    assert Attention().ask(mllm, [icr(2)], [0])[0].order == (0, 1)
    assert Attention(length_normalise=True).ask(mllm, [icr(2)], [0])[0].scores == (1.0, 2.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=30))
def test_outliers_far_below_the_mean_are_dropped(values: list[float]) -> None:
    mean = sum(values) / len(values)
    std = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    bound = mean - 2 * std
    kept = kept_tokens(np.array(values, dtype=np.float32)).tolist()
    sure = [v for v in values if abs(v - bound) > 1e-3]
    assert [v for v in kept if abs(v - bound) > 1e-3] == [v for v in sure if v > bound]
    assert kept


def test_tokens_all_alike_are_all_kept() -> None:
    assert kept_tokens(np.full(7, 0.1, dtype=np.float32)).size == 7
    assert kept_tokens(np.array([3.0], dtype=np.float32)).tolist() == [3.0]


def test_a_failed_pass_fails_the_prompt_and_only_it() -> None:
    spans = {"0": [1.0], "1": [2.0]}

    def says(prompt: Prompt, _detail: object, _times: int) -> object:
        return (
            Failure(error="too long")
            if "dogs" in prompt.text
            else spans
            if "N/A" not in prompt.text
            else {"0": [0.0], "1": [0.0]}
        )

    answers = Attention().ask(Scripted(says=says, capabilities=ONLY), [icr(2, "dogs"), icr(2)], [0, 0])
    assert [a.status for a in answers] == ["failed", "ok"]
    assert (answers[0].error, answers[0].scores) == ("too long", (None, None))


def test_spans_that_do_not_match_or_are_missing_are_said() -> None:
    uneven = model({"0": [1.0], "1": [1.0]}, {"0": [1.0, 2.0], "1": [1.0]})
    assert "tokens in the two passes" in (Attention().ask(uneven, [icr(2)], [0])[0].error or "")
    absent = model({"0": [1.0]}, {"0": [1.0]})
    assert "span 1" in (Attention().ask(absent, [icr(2)], [0])[0].error or "")


def test_numbers_that_are_none_are_unknown() -> None:
    partly = model({"0": [math.nan], "1": [1.0]}, {"0": [0.0], "1": [0.0]})
    [answer] = Attention().ask(partly, [icr(2)], [0])
    assert (answer.order, answer.named, answer.scores) == ((1, 0), 1, (None, 1.0))
    never = model({"0": [math.nan], "1": [math.inf]}, {"0": [0.0], "1": [0.0]})
    assert Attention().ask(never, [icr(2)], [0])[0].status == "failed"


def test_a_prompt_without_marks_is_refused() -> None:
    plain = Prompt(messages=(Message(role="user", parts=(TextPart(text="x"),)),), labels=("1",))
    with pytest.raises(RecipeError, match="icr"):
        Attention().ask(model({}, {}), [plain], [0])
