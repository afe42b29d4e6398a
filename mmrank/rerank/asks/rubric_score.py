"""rubric_score: one candidate, one whole number from 0 to 100 against a written rubric (Retro*, arXiv 2509.24869)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrank.mllm.base import MLLM, Generated
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.asks.base import Unusable, by_score
from mmrank.rerank.asks.writing import WritingAsk, full_text, unreadable
from mmrank.rerank.parse_values import read_score
from mmrank.rerank.parts import Answer


@dataclass(frozen=True, kw_only=True)
class RubricScore(WritingAsk):
    """Score: the whole number in the last ``<score>`` tag, 0 to 100. One call for each sample, each with its own seed;
    the mean over samples is the aggregator's. A missing score is asked for again, then unknown (the authors' code
    counts it as 0). Temperature and top_k are the authors' defaults.

    >>> RubricScore(max_tokens=100).tokens_out(1)
    100
    """

    name: ClassVar[str] = "rubric_score"
    max_tokens: int | None = 4096
    temperature: float = 0.6
    top_k: int | None = 40
    tag: str = "score"

    def tokens_out(self, labels: int) -> int:
        """Three written steps: about 300 tokens."""
        return min(self.room(labels), 300)

    def ask(self, mllm: MLLM, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        self.check(mllm)
        return self.written(mllm, prompts, seeds, self._read, scored=True)

    def _read(self, prompt: Prompt, written: Generated) -> Answer | Unusable:
        score = read_score(full_text(prompt, written), tag=self.tag, cut=written.cut)
        if score is None:
            return unreadable(f"no whole number from 0 to 100 in <{self.tag}> tags", written)
        return by_score([float(score)])
