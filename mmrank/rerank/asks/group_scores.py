"""group_scores: every candidate of a group gets a number beside its rivals (GroupRank, arXiv 2511.11653)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from mmrank.mllm.base import MLLM, Generated
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.asks.base import Unusable, by_score, labels_of
from mmrank.rerank.asks.writing import WritingAsk, full_text, unreadable
from mmrank.rerank.parse_values import read_scores
from mmrank.rerank.parts import Answer

HIGHEST: Final = 10.0
"""The rubric runs from 0 to this; a score is the value divided by it."""


@dataclass(frozen=True, kw_only=True)
class GroupScores(WritingAsk):
    """Scores are value / 10, from 0 to 1, None for a candidate the model gave no number.

    Values outside 0 to 10, unknown labels and second values for a label are dropped and counted. A group without one
    valid number is asked again, then ``fell_back`` with all scores unknown: it is skipped, never counted as zeros, as
    the authors' code does. Temperature and top_p are the authors' defaults.

    >>> GroupScores().tokens_out(10)
    740
    """

    name: ClassVar[str] = "group_scores"
    max_tokens: int | None = 8000
    temperature: float = 0.3
    top_p: float = 0.8

    def tokens_out(self, labels: int) -> int:
        """Reasoning of about 60 tokens a candidate, then 8 for its entry."""
        return min(self.room(labels), 70 * labels + 40)

    def ask(self, mllm: MLLM, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        self.check(mllm)
        return self.written(mllm, prompts, seeds, self._read, scored=True)

    def _read(self, prompt: Prompt, written: Generated) -> Answer | Unusable:
        labels = labels_of(prompt)
        found = read_scores(full_text(prompt, written), labels, high=HIGHEST, cut=written.cut)
        if not found.named:
            return unreadable(f"no score from 0 to 10 for any of {len(labels)} labels", written)
        answer = by_score([None if value is None else value / HIGHEST for value in found.scores])
        if not found.dropped:
            return answer
        dropped = f"{found.dropped} entries dropped"
        error = f"{answer.error}, {dropped}" if answer.error else dropped
        return replace(answer, status="repaired", dropped=found.dropped, error=error)
