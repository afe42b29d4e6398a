"""first_token: the log-probabilities of all labels at the first token are the order (FIRST, arXiv 2406.15657)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from mmrank.mllm.base import MLLM, Capability, Choices, Failure
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.asks.base import Ask, Unusable, ask_until_read, by_score, logprobs_of
from mmrank.rerank.parts import Answer


@dataclass(frozen=True, kw_only=True)
class FirstToken(Ask):
    """One forward pass orders all candidates of a prompt.

    The choices are the prompt's labels, each one token behind its answer prefix; scores are their log-probabilities
    (differences within one answer mean something, values between answers do not). Labels without a log-probability are
    appended in prompt order and not named; ties keep prompt order. An answer with none at all is ``failed``.

    >>> FirstToken().tokens_out(20)
    1
    """

    name: ClassVar[str] = "first_token"

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({"choices"})

    def choices(self, mllm: MLLM, labels: Sequence[str]) -> Sequence[str]:
        return labels

    def max_labels(self, mllm: MLLM) -> int | None:
        return mllm.limits.choices

    def ask(self, mllm: MLLM, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        self.check(mllm, max((len(prompt.labels) for prompt in prompts), default=0))
        return ask_until_read(
            prompts,
            seeds,
            call=label_call(mllm, self.answer_prefix),
            read=read_labels,
            n_retries=self.n_retries,
            scored=True,
        )


LabelCall = Callable[[Sequence[Prompt], Sequence[int], bool], Sequence[Choices | Failure]]


def label_call(mllm: MLLM, answer_prefix: Callable[[str], str]) -> LabelCall:
    """A call that asks for the log-probabilities of each prompt's own labels, behind `Ask.answer_prefix`."""

    def call(prompts: Sequence[Prompt], _seeds: Sequence[int], _unread: bool) -> Sequence[Choices | Failure]:
        asked = [replace(prompt, answer_prefix=answer_prefix(prompt.answer_prefix)) for prompt in prompts]
        return mllm.choice_logprobs(asked, [prompt.labels for prompt in prompts])

    return call


def read_labels(prompt: Prompt, result: Choices) -> Answer | Unusable:
    """An Answer by falling log-probability of the prompt's labels."""
    answer = by_score(logprobs_of(result, len(prompt.labels)))
    if answer.named == 0:
        return Unusable("no log-probability for any label", again=False, status="failed")
    return answer
