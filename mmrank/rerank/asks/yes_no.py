"""yes_no: does this candidate answer the query? The score is the log-odds of two tokens (Qwen3-VL-Reranker, arXiv
2601.04720; lychee-rerank-mm, MonoQwen2-VL, SETR, UniME-V2's pair mode)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mmrank.errors import RecipeError
from mmrank.mllm.base import MLLM, Capability, Choices, PairScore
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.asks.base import Ask, Unusable, ask_until_read, by_score, finite, logprobs_of
from mmrank.rerank.parts import Answer


def probability(log_odds: float) -> float:
    """The yes probability that log-odds stand for: the sigmoid, exact at both ends.

    >>> probability(0.0), probability(-800.0), probability(800.0)
    (0.5, 0.0, 1.0)
    """
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    small = math.exp(log_odds)
    return small / (1.0 + small)


@dataclass(frozen=True, kw_only=True)
class YesNo(Ask):
    """One candidate a prompt. Score: log-probability of `positive` less that of `negative`, in (-inf, inf); its
    sigmoid (`probability`) is the yes probability. Both must be single tokens of the model at that place.

    A model that gives scores of pairs but no log-probabilities (a server's ``/score``) is asked for those: its own
    prompt form then counts, and `positive` and `negative` are not used. `by`: "choices" or "pairs" where a model gives
    both and only one is right (a checkpoint whose vocabulary head was replaced by a scoring head). A missing
    log-probability makes the answer ``failed`` with the score unknown, never 0.

    >>> YesNo(positive="True", negative="False").negative
    'False'
    """

    name: ClassVar[str] = "yes_no"
    positive: str = "yes"
    negative: str = "no"
    by: Literal["choices", "pairs"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in (None, "choices", "pairs"):
            raise RecipeError(f"The ask 'yes_no' was given by={self.by!r}; it must be choices or pairs, or left out.")
        if not self.positive or not self.negative or self.positive == self.negative:
            raise RecipeError(
                f"The ask 'yes_no' was given positive={self.positive!r} and negative={self.negative!r}; "
                "they must be two different tokens."
            )

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({"choices", "pairs"} if self.by is None else {self.by})

    def _reads_choices(self, mllm: MLLM) -> bool:
        return self.by != "pairs" and "choices" in mllm.capabilities

    def choices(self, mllm: MLLM, labels: Sequence[str]) -> Sequence[str]:
        return (self.positive, self.negative) if self._reads_choices(mllm) else ()

    def ask(self, mllm: MLLM, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        self.check(mllm)
        if self._reads_choices(mllm):
            tokens = (self.positive, self.negative)
            return ask_until_read(
                prompts,
                seeds,
                call=lambda some, _seeds, _unread: mllm.choice_logprobs(some, [tokens] * len(some)),
                read=lambda _prompt, result: self._read(result),
                n_retries=self.n_retries,
                scored=True,
            )
        if any(prompt.pair is None for prompt in prompts):
            raise RecipeError(
                f"{mllm.spec} scores pairs only, and this recipe's layout makes prompts without a query and document "
                "side; take the layout 'pair', or a model that gives log-probabilities."
            )
        return ask_until_read(
            prompts,
            seeds,
            call=lambda some, _seeds, _unread: mllm.pair_scores(some),
            read=lambda _prompt, result: _read_pair(result),
            n_retries=self.n_retries,
            scored=True,
        )

    def _read(self, result: Choices) -> Answer | Unusable:
        yes, no = logprobs_of(result, 2)
        if yes is not None and no is not None:
            return by_score([yes - no])
        missing = [repr(t) for t, v in ((self.positive, yes), (self.negative, no)) if v is None]
        why = f"no log-probability for {' and '.join(missing)}; the score is unknown"
        return Unusable(why, again=False, status="failed")


def _read_pair(result: PairScore) -> Answer | Unusable:
    score = finite(result.log_odds)
    if score is None:
        return Unusable(f"the pair's score is {result.log_odds}, no number", again=False, status="failed")
    return by_score([score])
