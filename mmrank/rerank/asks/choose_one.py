"""choose_one: the model names the best candidate, which moves to the top (UniME-V2-Reranker's list mode, arXiv
2510.13515)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmrank.mllm.base import MLLM, Capability, Generated
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.asks.base import Unusable, ask_until_read, labels_of
from mmrank.rerank.asks.first_token import label_call, read_labels
from mmrank.rerank.asks.writing import WritingAsk, full_text, unreadable
from mmrank.rerank.parse_values import read_choice
from mmrank.rerank.parts import Answer


@dataclass(frozen=True, kw_only=True)
class ChooseOne(WritingAsk):
    """One label is read; it comes first, the others keep their order and are not named. That is what was asked for,
    so the answer is ``ok`` and nothing counts as appended.

    `full_order`: instead of text, take the log-probabilities of all labels at the place of the answer, which order all
    candidates (ours, not the paper's); every label must be one token there. `prefix`: what stands before that place,
    such as ``"("``; None: the prompt's own answer prefix.

    >>> sorted(ChooseOne().needs), sorted(ChooseOne(full_order=True).needs)
    (['generate'], ['choices'])
    """

    name: ClassVar[str] = "choose_one"
    max_tokens: int | None = 128
    full_order: bool = False
    prefix: str | None = None

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({"choices"}) if self.full_order else frozenset({"generate"})

    def choices(self, mllm: MLLM, labels: Sequence[str]) -> Sequence[str]:
        return labels if self.full_order else ()

    def answer_prefix(self, own: str) -> str:
        return self.prefix if self.full_order and self.prefix is not None else own

    def max_labels(self, mllm: MLLM) -> int | None:
        return mllm.limits.choices if self.full_order else None

    def tokens_out(self, labels: int) -> int:
        return 1 if self.full_order else min(self.room(labels), 10)

    def ask(self, mllm: MLLM, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        self.check(mllm, max((len(prompt.labels) for prompt in prompts), default=0))
        if not self.full_order:
            return self.written(mllm, prompts, seeds, self._read, scored=False)
        return ask_until_read(
            prompts,
            seeds,
            call=label_call(mllm, self.answer_prefix),
            read=read_labels,
            n_retries=self.n_retries,
            scored=True,
        )

    def _read(self, prompt: Prompt, written: Generated) -> Answer | Unusable:
        labels = labels_of(prompt)
        chosen, dropped = read_choice(full_text(prompt, written), labels, cut=written.cut)
        if chosen is None:
            return unreadable(f"none of the {len(labels)} labels", written)
        rest = (position for position in range(len(labels)) if position != chosen)
        return Answer(
            order=(chosen, *rest),
            named=1,
            dropped=dropped,
            status="repaired" if dropped else "ok",
            error=f"{dropped} labels dropped" if dropped else None,
        )
