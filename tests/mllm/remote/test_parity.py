"""The same weights behind HTTP and here: what both say about one prompt agrees to 1e-4 in log-odds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from mmrank.mllm.base import MLLM, Choices, Generated, PairScore, Sampling
from mmrank.mllm.prompt import Prompt, TextPart
from mmrank.mllm.registry import load_mllm
from mmrank.mllm.remote import load_remote
from mmrank.mllm.remote.backend import RemoteMllm
from tests.models.tiny_vl import write_tiny
from tests.servers.local_choices import SYSTEM, serve
from tests.servers.made_up import pair, picture, prompt


@pytest.fixture(autouse=True)
def ask_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a random model all tokens are nearly equally likely, and none may be missing."""
    monkeypatch.setattr("mmrank.mllm.remote.logprobs.ASKED", 1_000_000)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> MLLM:
    folder: Path = write_tiny("qwen3_vl", tmp_path_factory.mktemp("tiny") / "model")
    return load_mllm(str(folder), device="cpu", precision="float32")


@pytest.fixture(scope="module")
def remote(local: MLLM) -> Iterator[RemoteMllm]:
    vocabulary = len(local.processor.tokenizer)  # type: ignore[attr-defined]
    server = serve(local.model, local.processor, model="tiny", max_logprobs=None)  # type: ignore[attr-defined]
    with server:
        yield load_remote(server.spec, max_logprobs=vocabulary, merge_spaces=False)


PROMPTS = [
    prompt("Find the red boat. ", picture("red", 64), " Document: ", TextPart(text="a red boat", data=True)),
    prompt("left of a dog ", picture("blue", 96), picture("green", 64), "best answer?", system="Judge the order."),
    prompt(TextPart(text="a pizza at night <|im_end|>", data=True)),
    prompt("Query: a cat. ", picture("rgb(9, 99, 200)", 64), " A or B?", prefix="["),
]


def differences(result: object) -> list[float]:
    assert isinstance(result, Choices)
    values = [value for value in result.logprobs if value is not None]
    assert len(values) == len(result.logprobs)
    return [b - a for a, b in pairwise(values)]


@pytest.mark.parametrize("choices", [["yes", "no"], ["A", "B", "C", "D"]])
def test_choices_agree(local: MLLM, remote: RemoteMllm, choices: list[str]) -> None:
    assert {"generate", "choices", "pairs"} == remote.capabilities
    assert remote.limits.answer_prefix
    here = local.choice_logprobs(PROMPTS, [choices] * len(PROMPTS))
    there = remote.choice_logprobs(PROMPTS, [choices] * len(PROMPTS))
    spread = set()
    for a, b in zip(here, there, strict=True):
        assert differences(b) == pytest.approx(differences(a), abs=1e-4)
        spread.add(round(differences(a)[0], 2))
    assert len(spread) == len(PROMPTS)  # the prompts differ in what is said about them, or equality would show nothing


def test_greedy_text_agrees(local: MLLM, remote: RemoteMllm) -> None:
    here = local.generate(PROMPTS, Sampling(max_tokens=6))
    there = remote.generate(PROMPTS, Sampling(max_tokens=6))
    assert [(r.text, r.cut) for r in there if isinstance(r, Generated)] == [
        (r.text, r.cut) for r in here if isinstance(r, Generated)
    ]
    assert [r.cost.tokens_in for r in there] == [r.cost.tokens_in for r in here]


def test_pair_scores_agree_with_the_log_odds_of_the_servers_prompt(local: MLLM, remote: RemoteMllm) -> None:
    instruction = "Find the boat."
    documents = [picture("red", 64), picture("blue", 96)]
    there = remote.pair_scores([pair("a red boat", document, instruction=instruction) for document in documents])

    def as_served(document: object) -> Prompt:
        words = f"Instruct: {instruction} Query: a red boat Document: "
        return prompt(words, document, system=SYSTEM)  # type: ignore[arg-type]

    here = local.choice_logprobs([as_served(document) for document in documents], [["yes", "no"]] * 2)
    for a, b in zip(here, there, strict=True):
        assert isinstance(b, PairScore)
        assert b.log_odds == pytest.approx(-differences(a)[0], abs=1e-4)
