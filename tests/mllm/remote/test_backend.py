"""The remote backend against a real HTTP server: answers, log-probabilities, and what it refuses to make up."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mmrank.errors import MediaError, MllmError, RecipeError, UsageError
from mmrank.mllm.base import MLLM, Choices, Failure, Generated, Sampling
from mmrank.mllm.prompt import ImagePart, Picture, TextPart
from mmrank.mllm.remote import load_remote
from tests.servers.made_up import picture, prompt
from tests.servers.openai_server import Answered, Json, OpenAIServer, pictures, text_of

LETTERS = [chr(ord("A") + i) for i in range(26)]


def colour_of(request: Json) -> str:
    return " ".join(f"{image.convert('RGB').getpixel((0, 0))}" for image in pictures(request))


def test_prompts_are_answered_in_order_whatever_the_order_of_their_answers() -> None:
    with OpenAIServer(lambda request: text_of(request).upper()) as server:
        mllm = load_remote(server.spec, concurrency=5)
        assert isinstance(mllm, MLLM)
        results = mllm.generate([prompt(f"text {i}") for i in range(40)], Sampling())
        assert [r.text for r in results if isinstance(r, Generated)] == [f"TEXT {i}" for i in range(40)]
        assert server.most_at_once <= 5


def test_pictures_arrive_in_order() -> None:
    with OpenAIServer(colour_of) as server:
        (result,) = load_remote(server.spec).generate([prompt(picture("red"), "and", picture("blue"))], Sampling())
    assert isinstance(result, Generated)
    assert result.text == "(255, 0, 0) (0, 0, 255)"
    assert result.cost.images_encoded == 2
    assert result.cost.model_calls == 1
    assert result.cost.tokens_in > 0


def test_every_sampling_parameter_is_sent() -> None:
    with OpenAIServer(lambda request: "ok") as server:
        mllm = load_remote(server.spec)
        mllm.generate([prompt("a"), prompt("b")], Sampling(temperature=0.7, top_p=0.9, seeds=(7, 8), max_tokens=33))
        mllm.generate([prompt("c")], Sampling(top_k=5, json=True))
    a, b = sorted(server.requests[:2], key=lambda request: request["seed"])
    assert (a["seed"], b["seed"]) == (7, 8)
    assert (text_of(a), text_of(b)) == ("a", "b")
    wanted = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 33, "n": 1, "top_k": -1, "min_p": 0.0}
    assert wanted.items() <= a.items()
    assert a["repetition_penalty"] == 1.0
    assert server.requests[2]["top_k"] == 5
    assert server.requests[2]["response_format"] == {"type": "json_object"}
    with pytest.raises(UsageError, match="2 seeds"):
        mllm.generate([prompt("a")], Sampling(seeds=(1, 2)))


def test_fields_that_a_server_does_not_know_are_left_out_but_never_a_top_k_asked_for() -> None:
    with OpenAIServer(lambda request: "ok", unknown_fields=("top_k", "min_p", "repetition_penalty")) as server:
        mllm = load_remote(server.spec)
        assert isinstance(mllm.generate([prompt("a")], Sampling())[0], Generated)
        assert not {"top_k", "min_p", "repetition_penalty"} & server.requests[-1].keys()
        (refused,) = mllm.generate([prompt("a")], Sampling(top_k=5))
        assert isinstance(refused, Failure)
        assert "top_k" in refused.error
        assert "takes no min_p, repetition_penalty, top_k" in (mllm.warning or "")


def test_what_is_left_out_is_said_by_what_it_means() -> None:
    with OpenAIServer(lambda request: "{}", unknown_fields=("response_format", "seed")) as server:
        mllm = load_remote(server.spec)
        assert mllm.warning is None
        mllm.generate([prompt("a")], Sampling(json=True, temperature=1.0))
        warning = mllm.warning or ""
    assert "takes no response_format, seed" in warning
    assert "its own settings hold" in warning


def test_an_answer_at_the_token_limit_is_cut() -> None:
    with OpenAIServer(lambda request: Answered(text="[1] > [", finish="length")) as server:
        (result,) = load_remote(server.spec).generate([prompt("a")], Sampling())
    assert isinstance(result, Generated)
    assert (result.text, result.cut) == ("[1] > [", True)


def body(choice: Json | None, **more: Any) -> Json:
    return {"choices": [choice] if choice else [], **more}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (body(None), "no choices"),
        (body({"message": {"content": "x"}, "finish_reason": "content_filter"}), "content filter"),
        (body({"message": {"content": None}, "finish_reason": "stop"}), "no text"),
        (body({"message": {"content": "half"}, "finish_reason": "abort"}), "broke the answer off"),
        ({"error": {"message": "out of memory", "code": 400}}, "out of memory"),
        ({"object": "error", "message": "the model is gone", "code": 40}, "the model is gone"),
        ({"hello": 1}, "no choices"),
    ],
)
def test_a_200_that_is_no_answer_is_a_failure(answer: Json, says: str) -> None:
    with OpenAIServer(lambda request: answer) as server:
        (result,) = load_remote(server.spec).generate([prompt("a")], Sampling())
    assert isinstance(result, Failure)
    assert says in result.error


def test_a_reasoning_model_that_did_not_come_to_its_answer_wrote_nothing() -> None:
    cut = body({"message": {"content": None, "reasoning_content": "hmm"}, "finish_reason": "length"})
    with OpenAIServer(lambda request: cut) as server:
        (result,) = load_remote(server.spec).generate([prompt("a")], Sampling())
    assert isinstance(result, Generated)
    assert (result.text, result.cut) == ("", True)


def test_a_picture_that_has_gone_fails_its_own_prompt_only() -> None:
    def gone() -> Any:
        raise MediaError("red.png has gone")

    missing = ImagePart(picture=Picture(key="x", width=8, height=8, open=gone))
    with OpenAIServer(lambda request: "ok") as server:
        first, second = load_remote(server.spec).generate([prompt(missing), prompt(picture("red"))], Sampling())
    assert isinstance(first, Failure)
    assert "red.png has gone" in first.error
    assert isinstance(second, Generated)


def test_choices_are_read_by_exact_text_and_with_one_space() -> None:
    said = {"yes": math.log(0.3), " yes": math.log(0.2), "Yes": math.log(0.2), "no": math.log(0.1), "": -5.0}
    with OpenAIServer(lambda request: Answered(text="yes", logprobs=said)) as server:
        mllm = load_remote(server.spec)
        (merged,) = mllm.choice_logprobs([prompt("?")], [["no", "yes", "maybe"]])
        (exact,) = load_remote(server.spec, merge_spaces=False).choice_logprobs([prompt("?")], [["no", "yes"]])
    assert isinstance(merged, Choices)
    assert isinstance(exact, Choices)
    assert merged.logprobs == pytest.approx((math.log(0.1), math.log(0.5), None))
    assert exact.logprobs == pytest.approx((math.log(0.1), math.log(0.3)))
    request = server.requests[0]
    assert (request["max_tokens"], request["logprobs"], request["temperature"]) == (1, True, 0.0)
    assert request["top_logprobs"] == 20


def test_no_choice_among_the_likeliest_is_a_failure_that_names_what_was() -> None:
    with OpenAIServer(lambda request: Answered(text="The", logprobs={"The": -0.1, "Well": -3.0})) as server:
        (result,) = load_remote(server.spec).choice_logprobs([prompt("?")], [["yes", "no"]])
    assert isinstance(result, Failure)
    assert "none of the choices yes, no" in result.error
    assert "'The', 'Well'" in result.error


def test_minus_infinity_is_unknown() -> None:
    with OpenAIServer(lambda request: Answered(text="yes", logprobs={"yes": -0.1, "no": -9999.0})) as server:
        (result,) = load_remote(server.spec).choice_logprobs([prompt("?")], [["yes", "no"]])
    assert isinstance(result, Choices)
    assert result.logprobs == (-0.1, None)


@pytest.mark.parametrize("cap", [5, 20, 40])
def test_the_cap_is_learnt_and_more_choices_are_refused_by_name(cap: int) -> None:
    said = {letter: -1.0 - i for i, letter in enumerate(LETTERS)}
    with OpenAIServer(lambda request: Answered(text="A", logprobs=said), max_logprobs=cap) as server:
        mllm = load_remote(server.spec)
        assert mllm.limits.choices == cap
        fits = LETTERS[: min(cap, 26)]
        (result,) = mllm.choice_logprobs([prompt("?")], [fits])
        assert isinstance(result, Choices)
        assert result.logprobs == tuple(said[letter] for letter in fits)
        if cap < 26:
            with pytest.raises(RecipeError, match=rf"{cap} tokens, and 26 choices.*--max-logprobs"):
                mllm.choice_logprobs([prompt("?")], [LETTERS])


def test_a_declared_server_is_not_probed() -> None:
    with OpenAIServer(lambda request: Answered(text="A", logprobs={"A": -1.0})) as server:
        mllm = load_remote(server.spec, capabilities=["choices"], max_logprobs=20)
        assert isinstance(mllm.choice_logprobs([prompt("?")], [["A"]])[0], Choices)
        assert not any("messages" in request for request in server.probes)  # only /tokenize was asked
        with pytest.raises(RecipeError, match="cannot do 'generate'.*declared without"):
            mllm.generate([prompt("?")], Sampling())


def test_a_server_without_log_probabilities_says_so_when_they_are_asked_for() -> None:
    with OpenAIServer(lambda request: "yes", max_logprobs=0) as server:
        mllm = load_remote(server.spec)
        assert mllm.capabilities == {"generate"}
        with pytest.raises(RecipeError, match="cannot do 'choices'.*log-probabilities"):
            mllm.choice_logprobs([prompt("?")], [["yes"]])
        with pytest.raises(RecipeError, match="cannot do 'attention'"):
            mllm.attention([prompt("?")])
        with pytest.raises(RecipeError, match="cannot do 'pairs'"):
            mllm.pair_scores([prompt("?")])


def test_a_choice_of_two_tokens_is_named_where_the_server_can_tell() -> None:
    answer = Answered(text="A", logprobs={"A": -1.0})
    with OpenAIServer(lambda request: answer, tokenize=lambda text: list(range(len(text)))) as server:
        mllm = load_remote(server.spec)
        assert isinstance(mllm.choice_logprobs([prompt("?")], [["A"]])[0], Choices)
        with pytest.raises(RecipeError, match="'12' is 2 tokens"):
            mllm.choice_logprobs([prompt("?")], [["A", "12"]])
        asked = len(server.requests)
        mllm.check_choices(prompt("?"), ["A", "B"])
        with pytest.raises(RecipeError, match="'12' is 2 tokens"):
            mllm.check_choices(prompt("?"), ["A", "12"])
        assert len(server.requests) == asked
        restricted = load_remote(server.spec, restrict="allowed_token_ids")
        restricted.choice_logprobs([prompt("?")], [["A"]])
        assert server.requests[-1]["allowed_token_ids"] == [0]


def test_choices_that_cannot_be_meant() -> None:
    with OpenAIServer(lambda request: "A") as server:
        mllm = load_remote(server.spec)
        for choices in ([], [["A"], ["A"]], [[]], [["A", "A"]]):
            with pytest.raises(UsageError):
                mllm.choice_logprobs([prompt("?")], choices)


def test_an_answer_prefix_is_continued() -> None:
    with OpenAIServer(lambda request: "2] > [1]") as server:
        mllm = load_remote(server.spec)
        assert mllm.limits.answer_prefix
        mllm.generate([prompt("rank", prefix="[")], Sampling())
    sent = server.requests[-1]
    assert sent["messages"][-1] == {"role": "assistant", "content": "["}
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)


def test_a_server_that_refuses_the_prefix_is_named_before_any_prompt_is_sent() -> None:
    with OpenAIServer(lambda request: "ok", unknown_fields=("continue_final_message",)) as server:
        mllm = load_remote(server.spec)
        assert not mllm.limits.answer_prefix
        with pytest.raises(RecipeError, match="cannot begin an answer.*continue_final_message"):
            mllm.generate([prompt("rank", prefix="[")], Sampling())
        assert server.requests == []


def test_a_server_that_looks_over_the_prefix_is_found_out_by_its_token_count() -> None:
    def closed(request: Json) -> int:
        return 10 if len(request["messages"]) == 1 else 16

    with OpenAIServer(lambda request: "ok", count=closed) as server:
        mllm = load_remote(server.spec)
        with pytest.raises(RecipeError, match="starts a new answer"):
            mllm.generate([prompt("rank", prefix="[")], Sampling())
        assert isinstance(
            load_remote(server.spec, answer_prefix=True).generate([prompt("r", prefix="[")], Sampling())[0], Generated
        )


def test_too_many_pictures_fail_in_the_servers_words_and_the_limit_is_kept() -> None:
    with OpenAIServer(lambda request: "ok", max_images=1) as server:
        mllm = load_remote(server.spec)
        (result,) = mllm.generate([prompt(picture("red"), picture("blue"))], Sampling())
        assert isinstance(result, Failure)
        assert "At most 1 image(s)" in result.error
        assert not result.retry
        assert mllm.limits.images == 1


def test_the_context_is_read_from_the_models_page() -> None:
    with OpenAIServer(lambda request: "ok", max_model_len=4096) as server:
        assert load_remote(server.spec).limits.tokens_in == 4096


def test_long_prompts_lose_data_words_to_fit_the_checkpoint() -> None:
    long = TextPart(text="word " * 400, data=True)
    with OpenAIServer(lambda request: "ok") as server:
        mllm = load_remote(server.spec)
        given = prompt("Judge:", picture("red"), long, "Answer.")
        limited = type(given)(messages=given.messages, max_tokens_in=60)
        (result,) = mllm.generate([limited], Sampling())
        assert isinstance(result, Generated)
        assert result.shortened >= mllm.count_tokens(given) - 60
        assert mllm.generate([given], Sampling())[0].shortened == 0  # type: ignore[union-attr]
        mllm.generate([limited], Sampling())
        text = text_of(server.requests[-1])
        assert text.startswith("Judge:<image>word word")
        assert text.endswith("wordAnswer.")
        assert len(text) < 200
        tiny = type(given)(messages=given.messages, max_tokens_in=5)
        (result,) = mllm.generate([tiny], Sampling())
        assert isinstance(result, Failure)
        assert "left to cut" in result.error


def test_no_server_is_an_error_that_names_the_url_and_what_to_run() -> None:
    server = OpenAIServer(lambda request: "ok").start()
    server.stop()
    with pytest.raises(MllmError, match=rf"{server.base_url}.*vllm serve truth.*mmrank doctor"):
        _ = load_remote(server.spec).capabilities


def test_another_model_is_an_error_that_lists_what_is_served() -> None:
    with OpenAIServer(lambda request: "ok") as server:
        mllm = load_remote(server.spec.replace("#truth", "#Qwen/Qwen3-VL-8B"))
        with pytest.raises(MllmError, match="does not serve 'Qwen/Qwen3-VL-8B'. It serves: truth"):
            _ = mllm.capabilities


def test_a_server_that_takes_any_name_is_warned_about() -> None:
    class AnyName(OpenAIServer):
        def post(self, path: str, request: Json) -> Any:
            return super().post(path, request | {"model": self.model})

    with AnyName(lambda request: "ok") as server:
        mllm = load_remote(server.spec.replace("#truth", "#other"))
        assert isinstance(mllm.generate([prompt("a")], Sampling())[0], Generated)
        assert "it lists truth, not this model" in (mllm.warning or "")


def test_speed_is_known_after_some_calls() -> None:
    with OpenAIServer(lambda request: "one two three " * len(text_of(request))) as server:
        mllm = load_remote(server.spec)
        assert mllm.speed() is None
        mllm.generate([prompt("long " * 40 * i + "x") for i in range(1, 6)], Sampling())
        speed = mllm.speed()
        assert speed is None or (
            speed.read > 0 and speed.write > 0
        )  # loopback times are noise; the fit has its own test


def test_tokens_are_estimated() -> None:
    mllm = load_remote("openai:http://localhost:1/v1#m")
    words, shown = mllm.count_tokens(prompt("x" * 4000)), mllm.count_tokens(prompt(picture("red", 1024)))
    assert 1000 <= words < 1050
    assert 1024 <= shown < 1060
