"""What a command says of its judge: what a run will take, and what was not plain in it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mmrank.cli.judging import announce, settings, told
from mmrank.errors import UsageError
from mmrank.mllm.base import Capability, Choices, Failure, Limits, Speed
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.base import given_ranking
from mmrank.rerank.judge import MllmReranker
from mmrank.rerank.load import load_reranker
from mmrank.types import Cost, Item, Ranking

ONE = Cost(model_calls=1)


class Measured:
    """A yes/no model of a given speed; every prompt is `size` tokens long."""

    spec = "measured"
    capabilities: frozenset[Capability] = frozenset({"choices"})
    limits = Limits()
    warning: str | None = None

    def __init__(self, size: int, read: float) -> None:
        self.size, self.read, self.measured = size, read, 0

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        return [
            Failure(error="no", cost=ONE) if "dark" in p.text else Choices(logprobs=(-1.0, -2.0), cost=ONE)
            for p in prompts
        ]

    def check_choices(self, prompt: Prompt, choices: Sequence[str]) -> None:
        """Every choice is one token."""

    def count_tokens(self, prompt: Prompt) -> int:
        return self.size

    def speed(self) -> Speed:
        self.measured += 1
        return Speed(read=self.read, write=self.read)


def judged_by(model: Measured) -> MllmReranker:
    return load_reranker("yes_no", model=model)  # type: ignore[arg-type]


def notes(*texts: str) -> Ranking:
    return given_ranking("a dog", [Item(id=f"n{i}", kind="text", text=text) for i, text in enumerate(texts)])


@pytest.mark.parametrize(
    ("size", "read", "always", "measured", "said"),
    [
        (200, 50.0, False, 0, ""),  # 400 tokens are no long run on any machine
        (5000, 100_000.0, False, 1, ""),
        (
            5000,
            100.0,
            False,
            1,
            "The judge will take: 1 query: 2 calls, 10,000 tokens in, 2 out, 0 pictures, about 2 min",
        ),
        (200, 400.0, True, 1, "The judge will take: 1 query: 2 calls, 400 tokens in, 2 out, 0 pictures, about 1.0 s"),
    ],
)
def test_speed_is_measured_only_where_a_run_may_be_long(
    size: int, read: float, always: bool, measured: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Measured(size, read)
    expected = announce(judged_by(model), [notes("a dog", "a cat")], always=always)
    assert (expected["calls"], expected["tokens_in"]) == (2, 2 * size)
    assert model.measured == measured
    assert " ".join(capsys.readouterr().err.split()) == said


def test_what_was_not_judged_is_said_by_what_it_has_instead(capsys: pytest.CaptureFixture[str]) -> None:
    judge = judged_by(Measured(9, 9.0))
    given = notes("a dog", "too dark", "a cat")
    told(judge.process([given])[0])
    assert "1 hit was not judged and has no score" in " ".join(capsys.readouterr().err.split())
    searched = Ranking(query=given.query, hits=[hit.rescored(0.5, "vector") for hit in given.hits])
    told(judge.process([searched])[0])
    assert "1 hit was not judged: its score is of an earlier stage" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("pair", ["depth=5", "form=setr", "transcript=x.jsonl", "device=cpu", "model=x", "progress=1"])
def test_what_is_no_setting_of_a_recipe_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match=f"--set {pair}"):
        settings([pair])
