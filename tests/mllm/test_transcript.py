"""Transcripts: what was recorded is what is played back, and a file that was cut off anywhere still works."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mmrank.errors import MllmError, RecipeError, UsageError
from mmrank.mllm.base import (
    CAPABILITIES,
    MLLM,
    Attended,
    Capability,
    Choices,
    Failure,
    Generated,
    Limits,
    PairScore,
    Sampling,
    Speed,
)
from mmrank.mllm.prompt import Prompt, TextPart
from mmrank.mllm.remote import load_remote
from mmrank.mllm.transcript import Recording, Replay
from mmrank.types import Cost
from tests.servers.made_up import pair, picture, prompt
from tests.servers.openai_server import Answered, OpenAIServer, text_of


class Counting:
    """An MLLM whose every answer is new: what is played back can only come from the file."""

    spec = "counting"
    limits = Limits(choices=20, images=4)
    warning = "It only counts."
    capabilities: frozenset[Capability] = frozenset(CAPABILITIES)

    def __init__(self) -> None:
        self.asked = 0

    def _next(self) -> int:
        self.asked += 1
        return self.asked

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Generated | Failure]:
        return [
            Failure(error=f"no {self._next()}", retry=True, retries=2)
            if "fail" in p.text
            else Generated(text=f"answer {self._next()} ü \ud800", cut=True, cost=Cost(model_calls=1, seconds=0.25))
            for p in prompts
        ]

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        return [Choices(logprobs=(*(-self._next() / 3 for _ in c[1:]), None)) for c in choices]

    def check_choices(self, prompt: Prompt, choices: Sequence[str]) -> None:
        """Every choice is one token."""

    def pair_scores(self, prompts: Sequence[Prompt]) -> list[PairScore | Failure]:
        return [PairScore(log_odds=self._next() / 7) for _ in prompts]

    def attention(self, prompts: Sequence[Prompt]) -> list[Attended | Failure]:
        return [Attended(scores={"a": np.full(3, self._next() / 3, np.float32)}) for _ in prompts]

    def count_tokens(self, prompt: Prompt) -> int:
        return 1

    def speed(self) -> Speed | None:
        return None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


RED = prompt("Rank ", picture("red"), TextPart(text="a boat", data=True), prefix="[")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_kind_of_call_is_played_back(path: Path) -> None:
    recording = Recording(Counting(), path)
    assert isinstance(recording, MLLM)
    prompts = [RED, prompt("fail"), pair("red?", picture("red"), instruction="Find it.")]
    warm = Sampling(temperature=1.0, seeds=(1, 2, 3))
    said = (
        recording.generate(prompts, warm),
        recording.choice_logprobs(prompts, [["A", "B"], ["A", "B"], ["yes", "no", "so"]]),
        recording.pair_scores(prompts),
    )
    seen = recording.attention(prompts[:1])
    replay = Replay(path)
    assert isinstance(replay, MLLM)
    # In another order than they were recorded.
    assert replay.pair_scores(prompts) == said[2]
    assert replay.choice_logprobs(prompts, [["A", "B"], ["A", "B"], ["yes", "no", "so"]]) == said[1]
    assert replay.generate(prompts[::-1], Sampling(temperature=1.0, seeds=(3, 2, 1))) == said[0][::-1]
    (again,) = replay.attention(prompts[:1])
    assert isinstance(again, Attended)
    assert isinstance(seen[0], Attended)
    np.testing.assert_array_equal(again.scores["a"], seen[0].scores["a"])
    assert (replay.spec, replay.capabilities, replay.limits) == ("counting", Counting.capabilities, Counting.limits)
    assert replay.warning == "It only counts."
    assert replay.count_tokens(RED) > 0
    assert replay.speed() is None


def test_samples_of_one_prompt_come_in_the_order_they_were_recorded(path: Path) -> None:
    said = Recording(Counting(), path).generate([RED, RED, RED], Sampling())
    replay = Replay(path)
    assert [replay.generate([RED], Sampling())[0] for _ in range(3)] == said
    (fourth,) = replay.generate([RED], Sampling())
    assert isinstance(fourth, Failure)
    assert "no more often" in fourth.error


@pytest.mark.parametrize(
    "other",
    [
        prompt("Rank ", picture("blue"), TextPart(text="a boat", data=True), prefix="["),
        prompt("Rank ", picture("red"), TextPart(text="a boat"), prefix="["),
        prompt("Rank ", picture("red"), TextPart(text="a boat", data=True)),
        prompt(picture("red"), "Rank ", TextPart(text="a boat", data=True), prefix="["),
    ],
)
def test_a_call_that_is_not_in_the_file_fails_by_name(path: Path, other: Prompt) -> None:
    Recording(Counting(), path).generate([RED], Sampling())
    replay = Replay(path)
    for asked, sampling in ((other, Sampling()), (RED, Sampling(seed=1)), (RED, Sampling(max_tokens=5))):
        (missing,) = replay.generate([asked], sampling)
        assert isinstance(missing, Failure)
        assert not missing.retry
        assert str(path) in missing.error
        assert "Rank" in missing.error
    assert isinstance(replay.generate([RED], Sampling())[0], Generated)


def test_a_replay_can_do_what_its_model_could(path: Path) -> None:
    with OpenAIServer(lambda request: "ok", max_logprobs=0) as server:
        Recording(load_remote(server.spec), path).generate([RED], Sampling())
    with pytest.raises(RecipeError, match="cannot do 'choices'"):
        Replay(path).choice_logprobs([RED], [["A"]])


def test_what_the_judge_made_of_a_call_stands_behind_it(path: Path) -> None:
    recording = Recording(Counting(), path)
    (result,) = recording.generate([RED], Sampling(seed=4))
    recording.note([(result.call, {"order": [1, 0], "named": 1, "status": "repaired"})])
    _, call, parse = lines(path)
    assert parse["line"] == "parse"
    assert parse["key"] == call["key"] == result.call
    assert parse["parsed"] == {"order": [1, 0], "named": 1, "status": "repaired"}
    assert isinstance(Replay(path).generate([RED], Sampling(seed=4))[0], Generated)


def test_calls_that_differ_in_anything_have_keys_of_their_own(path: Path) -> None:
    recording = Recording(Counting(), path)
    samples = recording.generate([RED, RED], Sampling(temperature=1.0, seeds=(1, 2)))
    others = [
        *recording.choice_logprobs([RED], [["A", "B"]]),
        *recording.pair_scores([RED]),
        *recording.attention([RED]),
    ]
    failed = recording.generate([prompt("fail")], Sampling())
    keys = [result.call for result in (*samples, *others, *failed)]
    assert len(set(keys)) == 6
    assert keys == [line["key"] for line in lines(path) if line["line"] == "call"]


def test_the_file_cut_off_anywhere_plays_what_is_whole_and_can_be_gone_on_with(path: Path, tmp_path: Path) -> None:
    Recording(Counting(), path).generate([prompt("1"), prompt("2")], Sampling())
    whole = path.read_bytes()
    begun = whole.index(b"\n") + 1
    second = whole.index(b"\n", begun) + 1
    for end in (begun + 5, second - 1, second, second + 1, len(whole) - 2, len(whole) - 1, len(whole)):
        torn = tmp_path / f"torn-{end}.jsonl"
        torn.write_bytes(whole[:end])
        replay = Replay(torn)
        first = replay.generate([prompt("1")], Sampling())[0]
        assert isinstance(first, Generated) == (end >= second - 1)
        is_torn = end not in (second - 1, second, len(whole) - 1, len(whole))
        assert ("torn lines were left out" in (replay.warning or "")) == is_torn
        Recording(Counting(), torn).generate([prompt("3")], Sampling())
        gone_on = Replay(torn)
        assert isinstance(gone_on.generate([prompt("3")], Sampling())[0], Generated)
        assert isinstance(gone_on.generate([prompt("1")], Sampling())[0], Generated) == (end >= second - 1)


def test_a_file_belongs_to_one_model(path: Path) -> None:
    Recording(Counting(), path).generate([RED], Sampling())
    with pytest.raises(UsageError, match="holds the calls of counting"):
        Recording(load_remote("openai:http://localhost:1/v1#m"), path)


def test_other_files_are_no_transcripts(path: Path, tmp_path: Path) -> None:
    with pytest.raises(MllmError, match="cannot be read"):
        Replay(path)
    path.write_text("hello\n")
    with pytest.raises(MllmError, match="no transcript|not a transcript"):
        Replay(path)
    path.write_text('{"line": "model", "format": 99, "spec": "x"}\n')
    with pytest.raises(MllmError, match="format 99"):
        Replay(path)
    with pytest.raises(OSError, match="directory|Permission"):
        Recording(Counting(), tmp_path)


def test_pictures_are_named_and_not_held(path: Path) -> None:
    Recording(Counting(), path).generate([prompt("see", picture("red", 512))], Sampling())
    assert path.stat().st_size < 2000
    assert {"picture": "red-512", "size": [512, 512]} in lines(path)[1]["prompt"]["messages"][0]["parts"]  # type: ignore[index]


def test_a_server_recorded_over_http_plays_without_it(path: Path) -> None:
    answer = Answered(text="A", logprobs={"A": -0.5, "B": -1.5})
    with OpenAIServer(lambda request: answer if request.get("logprobs") else text_of(request)) as server:
        recording = Recording(load_remote(server.spec), path)
        said = recording.generate([RED], Sampling()), recording.choice_logprobs([RED], [["A", "B"]])
    replay = Replay(path)
    assert (replay.generate([RED], Sampling()), replay.choice_logprobs([RED], [["A", "B"]])) == said
    assert replay.limits.choices == 20
