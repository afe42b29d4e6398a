"""permutation and reasoned_permutation: the model writes the order of all candidates (RankGPT, ViC, SQUARE, CoTRR,
MM-R5, JointRank)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from mmrank.errors import RecipeError
from mmrank.mllm.base import MLLM, Generated
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.asks.base import Unusable, labels_of
from mmrank.rerank.asks.writing import WritingAsk, full_text, unreadable
from mmrank.rerank.parse import ORDER_FORMATS, OrderFormat, OrderRead, read_order, says_none
from mmrank.rerank.parts import Answer
from mmrank.rerank.repair import Labels, repair


@dataclass(frozen=True, kw_only=True)
class Permutation(WritingAsk):
    """The model writes labels, best first; `mmrank.rerank.parse` reads them and the one repair rule makes them whole.

    `format`: the form the prompt asks for; other forms are understood too. `top`: how many labels the prompt asks for,
    when it does not ask for all: an answer with that many needs no repair.

    With format "spaces" (JointRank) leaving a label out says that it is irrelevant, and `sentinel` alone says that all
    are. Such an answer is ``ok`` and nothing in it counts as appended; `Answer.named` covers the labels written only.
    The model put each of them before each label it left out, but said nothing of the order among those, so they
    follow in previous order.

    Any other answer with labels missing, repeated or unknown is ``repaired`` and counted, and so is one whose labels
    had to be gathered from sentences. Nothing valid at all: asked again, then ``fell_back``.

    >>> Permutation(format="json", json=True).tokens_out(10)
    55
    """

    name: ClassVar[str] = "permutation"
    prose: ClassVar[bool] = True
    """Whether labels may be gathered from open text (see `read_order`)."""

    format: OrderFormat = "brackets"
    top: int | None = None
    sentinel: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in ORDER_FORMATS:
            raise RecipeError(
                f"The ask {self.name!r} was given format={self.format!r}; it must be one of {', '.join(ORDER_FORMATS)}."
            )
        if self.top is not None and self.top < 1:
            raise RecipeError(f"The ask {self.name!r} was given top={self.top}; it must be 1 or more.")

    def tokens_out(self, labels: int) -> int:
        return min(self.room(labels), 5 * labels + 5)

    def ask(self, mllm: MLLM, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        self.check(mllm)
        return self.written(mllm, prompts, seeds, self._read, scored=False)

    def _read(self, prompt: Prompt, written: Generated) -> Answer | Unusable:
        labels = labels_of(prompt)
        text = full_text(prompt, written)
        found = read_order(text, self.format, labels, prose=self.prose, cut=written.cut)
        if found.how:
            return self._answer(found, labels)
        if self.format == "spaces" and not written.cut and says_none(text, self.sentinel):
            return Answer(order=tuple(range(len(labels))), named=0)
        return unreadable(f"no order of {len(labels)} labels", written)

    def _answer(self, found: OrderRead, labels: Labels) -> Answer:
        order, named, dropped, appended = repair(found.labels, labels)
        if self.format == "spaces" or (self.top is not None and named >= min(self.top, len(labels))):
            appended = 0
        answer = Answer(order=order, named=named, dropped=dropped, appended=appended)
        if not (dropped or appended or found.loose):
            return answer
        faults = [f"{dropped} labels dropped"] * bool(dropped) + [f"{appended} appended"] * bool(appended)
        faults += [f"read from {found.how}, not from the form asked for"] * found.loose
        return replace(answer, status="repaired", error=", ".join(faults))


@dataclass(frozen=True, kw_only=True)
class ReasonedPermutation(Permutation):
    """The same with reasoning before it: more tokens, and labels named in the reasoning never count.

    Reasoning is what stands before the last closing think tag. A model that reasons without tags must end with one of
    the forms of answer (a list, a chain, a key, an answer tag): labels are not gathered from its sentences.
    """

    name: ClassVar[str] = "reasoned_permutation"
    prose: ClassVar[bool] = False

    max_tokens: int | None = 8192
    format: OrderFormat = "answer_tag"

    def tokens_out(self, labels: int) -> int:
        """Reasoning takes about 120 tokens a candidate with the prompts of this package."""
        return min(self.room(labels), 125 * labels + 100)
