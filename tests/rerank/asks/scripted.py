"""An MLLM that says what a test tells it to, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmrank.mllm.base import (
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
from mmrank.mllm.prompt import Message, Pair, Prompt, TextPart
from mmrank.types import Cost

ONE = Cost(model_calls=1, tokens_in=10)


@dataclass
class Call:
    """One batch as it arrived. `detail`: the sampling, or the choices."""

    kind: Capability
    prompts: list[Prompt]
    detail: Any = None


@dataclass
class Scripted:
    """`says(prompt, sampling, times)`: the text, log-probabilities, log-odds or attention of one prompt, or a Failure;
    `times` counts how often this prompt's words were asked before."""

    says: Callable[[Prompt, Any, int], object]
    capabilities: frozenset[Capability] = frozenset({"generate"})
    limits: Limits = Limits()
    spec: str = "scripted"
    warning: str | None = None
    calls: list[Call] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)

    def _answer(self, prompt: Prompt, detail: Any) -> object:
        key = prompt.text
        times = self.seen.get(key, 0)
        self.seen[key] = times + 1
        return self.says(prompt, detail, times)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Generated | Failure]:
        self.calls.append(Call("generate", list(prompts), sampling))
        said = [self._answer(prompt, sampling.at(i)) for i, prompt in enumerate(prompts)]
        return [s if isinstance(s, Generated | Failure) else Generated(text=str(s), cost=ONE) for s in said]

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        self.calls.append(Call("choices", list(prompts), [tuple(c) for c in choices]))
        said: list[Any] = [self._answer(p, c) for p, c in zip(prompts, choices, strict=True)]
        return [s if isinstance(s, Failure) else Choices(logprobs=tuple(s), cost=ONE) for s in said]

    def check_choices(self, prompt: Prompt, choices: Sequence[str]) -> None:
        """Every choice is one token."""

    def pair_scores(self, prompts: Sequence[Prompt]) -> list[PairScore | Failure]:
        self.calls.append(Call("pairs", list(prompts)))
        said: list[Any] = [self._answer(p, None) for p in prompts]
        return [s if isinstance(s, Failure) else PairScore(log_odds=s, cost=ONE) for s in said]

    def attention(self, prompts: Sequence[Prompt]) -> list[Attended | Failure]:
        self.calls.append(Call("attention", list(prompts)))
        said: list[Any] = [self._answer(p, None) for p in prompts]
        return [s if isinstance(s, Failure) else _attended(s) for s in said]

    def count_tokens(self, prompt: Prompt) -> int:
        return len(prompt.text.split())

    def speed(self) -> Speed | None:
        return None


def _attended(spans: Mapping[str, Sequence[float]]) -> Attended:
    return Attended(scores={k: np.array(v, dtype=np.float32) for k, v in spans.items()}, cost=ONE)


def prompt(words: str = "q", labels: int | Sequence[str] = (), prefix: str = "", pair: bool = False) -> Prompt:
    """A prompt of one turn whose words tell it from others."""
    names = tuple(str(i + 1) for i in range(labels)) if isinstance(labels, int) else tuple(labels)
    sides = Pair(query=(TextPart(text=words, data=True),), document=(TextPart(text="d", data=True),)) if pair else None
    message = Message(role="user", parts=(TextPart(text=words, data=True),))
    return Prompt(messages=(message,), labels=names, answer_prefix=prefix, pair=sides)


def writer(*texts: object) -> Scripted:
    """A model that gives these texts (or Failures) to each prompt in turn, the last one for ever."""
    return Scripted(says=lambda _prompt, _sampling, times: texts[min(times, len(texts) - 1)])


def chooser(says: Callable[[Prompt, Sequence[str]], object], limit: int | None = None) -> Scripted:
    """A model that gives log-probabilities."""
    return Scripted(
        says=lambda prompt, choices, _times: says(prompt, choices),
        capabilities=frozenset({"choices", "generate"}),
        limits=Limits(choices=limit),
    )
