"""duel: which of two candidates is better (LLM-RankFusion, arXiv 2406.00231)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrank.errors import RecipeError
from mmrank.mllm.base import MLLM, Capability, Choices, Generated
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.asks.base import Unusable, ask_until_read, by_score, labels_of, logprobs_of
from mmrank.rerank.asks.first_token import label_call
from mmrank.rerank.asks.writing import WritingAsk, full_text, unreadable
from mmrank.rerank.parse_values import read_duel
from mmrank.rerank.parts import Answer


@dataclass(frozen=True, kw_only=True)
class Duel(WritingAsk):
    """Two labels a prompt, from their log-probabilities or, with a model that gives none, from text.

    Log-probabilities: the scores are the log-odds of the first label and the same negated, so that `probability` of
    scores[0] is P(A), which a calibration over both orders compares. If one of the two is missing the answer is
    ``failed``. Text: the order says who won, without scores.

    A tie (equal log-probabilities, or words such as neither, both, similar) is ``ok`` with both scores 0.0 and both
    positions named: equal scores are how an aggregator and a schedule of duels know a tie.

    >>> sorted(Duel().needs)
    ['choices', 'generate']
    """

    name: ClassVar[str] = "duel"
    max_tokens: int | None = 32

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({"choices", "generate"})

    def choices(self, mllm: MLLM, labels: Sequence[str]) -> Sequence[str]:
        return labels if "choices" in mllm.capabilities else ()

    def tokens_out(self, labels: int) -> int:
        return 1

    def ask(self, mllm: MLLM, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        self.check(mllm)
        wrong = next((prompt.labels for prompt in prompts if len(prompt.labels) != 2), None)
        if wrong is not None:
            raise RecipeError(
                f"The ask 'duel' compares two candidates, and a prompt has the labels {list(wrong)[:8]}; "
                "take the schedule 'pairs', or another ask."
            )
        if "choices" not in mllm.capabilities:
            return self.written(mllm, prompts, seeds, self._read_text, scored=True)
        return ask_until_read(
            prompts,
            seeds,
            call=label_call(mllm, self.answer_prefix),
            read=lambda _prompt, result: _read_choices(result),
            n_retries=self.n_retries,
            scored=True,
        )

    def _read_text(self, prompt: Prompt, written: Generated) -> Answer | Unusable:
        winner = read_duel(full_text(prompt, written), labels_of(prompt))
        if winner is None:
            return unreadable(f"no choice between {' and '.join(prompt.labels)}", written)
        if winner == "tie":
            return by_score([0.0, 0.0])
        return Answer(order=(winner, 1 - winner), named=2)


def _read_choices(result: Choices) -> Answer | Unusable:
    first, second = logprobs_of(result, 2)
    if first is None or second is None:
        return Unusable("no log-probability for one of the two labels; the duel is undecided", False, "failed")
    return by_score([first - second, second - first])
