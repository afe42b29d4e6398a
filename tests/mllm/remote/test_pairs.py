"""Pair scores: one request for each query, log-odds at the ends of the scale, and one bad document."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mmrank.errors import UsageError
from mmrank.mllm.base import Failure, PairScore
from mmrank.mllm.prompt import TextPart
from mmrank.mllm.remote import load_remote, pairs
from mmrank.mllm.remote.wire import PictureStore
from tests.servers.made_up import pair, picture, prompt
from tests.servers.openai_server import OpenAIServer, content_parts


def overlap(query: Any, document: Any, instruction: str | None) -> float:
    """The part of the query's letters that the document has; pictures count by their redness."""
    shown = content_parts(document)
    if isinstance(shown[0], str):
        return len(set(query) & set(shown[0])) / (len(set(query)) + (instruction == "Find what is different."))
    return float(shown[0].convert("RGB").getpixel((0, 0))[0]) / 255


def scores_of(results: list[PairScore | Failure]) -> list[float]:
    return [1 / (1 + math.exp(-r.log_odds)) for r in results if isinstance(r, PairScore)]


def test_documents_of_one_query_go_in_one_request_and_come_back_in_place() -> None:
    with OpenAIServer(None, score=overlap) as server:
        mllm = load_remote(server.spec)
        assert mllm.capabilities == {"pairs"}
        prompts = [pair("abcd", "ab"), pair("xy", "x"), pair("abcd", "abc"), pair("xy", "q"), pair("abcd", "abz")]
        results = mllm.pair_scores(prompts)
        assert scores_of(results) == pytest.approx([0.5, 0.5, 0.75, 0, 0.5], abs=1e-6)
        assert sorted(len(request["text_2"]) for request in server.requests) == [2, 3]
        assert [r.cost.model_calls for r in results] == [1] * 5
        assert sum(r.cost.tokens_in for r in results) == 50


def test_a_request_holds_no_more_than_so_many_documents() -> None:
    with OpenAIServer(None, score=overlap) as server:
        load_remote(server.spec, pairs_per_request=3).pair_scores([pair("a", "b") for _ in range(7)])
        assert sorted(len(request["text_2"]) for request in server.requests) == [1, 3, 3]


def test_pictures_are_sent_as_content() -> None:
    with OpenAIServer(None, score=overlap) as server:
        mllm = load_remote(server.spec)
        results = mllm.pair_scores([pair("red?", picture("red")), pair("red?", picture("rgb(51, 0, 0)"))])
        assert [r.log_odds for r in results if isinstance(r, PairScore)] == pytest.approx(
            [math.log(pairs.LARGEST) - math.log1p(-pairs.LARGEST), math.log(0.2 / 0.8)]
        )
        assert [r.cost.images_encoded for r in results] == [1, 1]
        assert server.requests[0]["text_2"][0]["content"][0]["type"] == "image_url"
        assert "1 of the server's pair scores were exactly 0 or 1" in (mllm.warning or "")


def test_the_instruction_is_sent_and_one_that_is_not_heeded_is_warned_about() -> None:
    with OpenAIServer(None, score=overlap) as server:
        mllm = load_remote(server.spec)
        mllm.pair_scores([pair("a", "a", instruction="Find boats.")])
        assert server.requests[-1]["instruction"] == "Find boats."
        assert mllm.found.instruction_used
        assert "instruction" not in (mllm.warning or "")
    with OpenAIServer(None, score=lambda query, document, instruction: 0.4) as server:
        mllm = load_remote(server.spec)
        mllm.pair_scores([pair("a", "a")])
        assert "instruction" not in server.requests[-1]
        assert "do not change with the instruction" in (mllm.warning or "")


def test_one_document_that_the_server_refuses_costs_the_others_nothing() -> None:
    class Picky(OpenAIServer):
        def post(self, path: str, request: dict[str, Any]) -> Any:
            if "bad" in request.get("text_2", ()):
                return 400, {"error": {"message": "the document is too long"}}
            return super().post(path, request)

    with Picky(None, score=overlap) as server:
        results = load_remote(server.spec).pair_scores([pair("ab", "a"), pair("ab", "bad"), pair("ab", "ab")])
    assert scores_of(results) == pytest.approx([0.5, 1.0])
    assert isinstance(results[1], Failure)
    assert "the document is too long" in results[1].error


@pytest.mark.parametrize("score", [1.5, -0.1, float("nan")])
def test_a_score_that_is_no_probability_is_a_failure(score: float) -> None:
    with OpenAIServer(None, score=lambda *_: score) as server:
        mllm = load_remote(server.spec)
        assert all(isinstance(r, Failure) for r in mllm.pair_scores([pair("a", "b")]))


def test_logits_are_taken_as_they_are_when_asked_for() -> None:
    with OpenAIServer(None, score=lambda *_: -3.25) as server:
        mllm = load_remote(server.spec, pair_scale="log_odds")
        (result,) = mllm.pair_scores([pair("a", "b")])
        assert isinstance(result, PairScore)
        assert result.log_odds == -3.25
        assert server.requests[-1]["use_activation"] is False


def test_a_prompt_without_a_pair_cannot_be_scored() -> None:
    with OpenAIServer(None, score=overlap) as server, pytest.raises(UsageError, match="without a pair"):
        load_remote(server.spec).pair_scores([prompt("a")])


class SGLang(OpenAIServer):
    """``/v1/rerank`` as SGLang writes it: a bare list, the best first, contents as bare lists of parts."""

    def post(self, path: str, request: dict[str, Any]) -> Any:
        if path != "/v1/rerank":
            return 404, {"detail": "Not Found"}
        self.requests.append(request)
        rows = [
            {"score": overlap(request["query"], document, request.get("instruct")), "index": i}
            for i, document in enumerate(request["documents"])
        ]
        return 200, sorted(rows, key=lambda row: -row["score"])


class Jina(SGLang):
    """``/v1/rerank`` as vLLM writes it: an object with results, contents wrapped."""

    def post(self, path: str, request: dict[str, Any]) -> Any:
        unwrapped = [d["content"] if isinstance(d, dict) else d for d in request.get("documents", ())]
        status, rows = super().post(path, request | {"documents": unwrapped})
        if status != 200:
            return status, rows
        self.requests[-1] = request
        return 200, {"results": [{"index": r["index"], "relevance_score": r["score"]} for r in rows]}


@pytest.mark.parametrize(("kind", "wrapped"), [(SGLang, False), (Jina, True)])
def test_rerank_endpoints_are_the_second_choice(kind: type[OpenAIServer], wrapped: bool) -> None:
    with kind(None) as server:
        mllm = load_remote(server.spec)
        results = mllm.pair_scores([pair("abcd", "a"), pair("abcd", "abc"), pair("abcd", picture("rgb(102, 0, 0)"))])
        assert scores_of(results) == pytest.approx([0.25, 0.75, 0.4])
        assert mllm.found.route == pairs.Route(path="/rerank", endpoint="rerank", wrapped=wrapped)
        assert isinstance(server.requests[-1]["documents"][2], dict if wrapped else list)


def test_responses_that_do_not_hold_every_score_are_refused() -> None:
    row = {"index": 0, "score": 0.5}
    assert pairs.scores({"data": [row]}, 1) == [0.5]
    for body in ({}, {"data": []}, {"data": [row, row]}, {"data": [{"index": 1, "score": 0.5}]}, {"data": [{}]}, "x"):
        assert isinstance(pairs.scores(body, 1), str), body


def test_log_odds_are_monotone_up_to_the_ends() -> None:
    values = [0.0, 1e-30, 1e-6, 0.3, 0.5, 1 - 1e-7, 1.0]
    odds = [pairs.log_odds(value, "probability") for value in values]
    assert all(isinstance(odd, float) for odd in odds)
    assert odds == sorted(odds)
    assert pairs.saturated(1.0, "probability")
    assert not pairs.saturated(0.999999, "probability")


def test_control_tokens_in_pairs_are_broken() -> None:
    body = pairs.request(
        pairs.ROUTES[0],
        "m",
        (TextPart(text="<|im_end|>", data=True),),
        ((TextPart(text="x</s>", data=True), picture("red")),),
        instruction=None,
        scale="probability",
        store=PictureStore(),
    )
    assert body["text_1"] == "< |im_end|>"
    assert body["text_2"][0]["content"][0]["text"] == "x< /s>"
