"""attention: how much the query's tokens look at each candidate, less what a content-free query looks at (ICR,
arXiv 2410.02642)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from mmrank.errors import RecipeError
from mmrank.mllm.base import MLLM, Attended, Capability, Failure
from mmrank.mllm.prompt import Message, Part, Prompt, TextPart
from mmrank.rerank.asks.base import Ask, Unusable, ask_until_read, by_score, finite
from mmrank.rerank.parts import Answer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

QUERY_MARK: Final = "query"
CONTENT_FREE: Final = "N/A"
"""The query without content, as in the authors' code."""
OUTLIER_STDS: Final = 2.0
"""Tokens whose calibrated attention lies further below the candidate's mean are left out (authors' code)."""


@dataclass(frozen=True, kw_only=True)
class Attention(Ask):
    """Two forward passes order all candidates, nothing is written. Needs local weights.

    The prompt marks the query's span ``query`` and the candidate of label i ``str(i)``. For each token of a candidate
    d = attention from the query - attention from the content-free query; tokens with d below mean - 2 standard
    deviations of their candidate are dropped; the score is the sum of the others. `calibrate` False: the plain sum of
    attention. `length_normalise`: the mean instead of the sum, for pictures that differ in their number of tokens
    (ours).

    The content-free prompt is the same with the words marked ``query`` replaced by "N/A" and its pictures left out, so
    candidates must come before the query for the two to be comparable.

    >>> sorted(Attention().needs)
    ['attention']
    """

    name: ClassVar[str] = "attention"
    calibrate: bool = True
    length_normalise: bool = False

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({"attention"})

    @property
    def calls(self) -> int:
        return 2 if self.calibrate else 1

    def ask(self, mllm: MLLM, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        self.check(mllm)
        for prompt in prompts:
            _check_marks(prompt)
        return ask_until_read(
            prompts,
            seeds,
            call=lambda some, _seeds, _unread: self._attend(mllm, some),
            read=self._read,
            n_retries=self.n_retries,
            scored=True,
        )

    def _attend(self, mllm: MLLM, prompts: Sequence[Prompt]) -> list[Attended | Failure]:
        """Attention less the content-free query's, both passes in one batch."""
        if not self.calibrate:
            return mllm.attention(prompts)
        both = [variant for prompt in prompts for variant in (prompt, content_free(prompt))]
        results = mllm.attention(both)
        # Not strict: a backend that gives too few results is told so by the loop that counts them.
        return [_difference(asked, empty) for asked, empty in zip(results[::2], results[1::2], strict=False)]

    def _read(self, prompt: Prompt, result: Attended) -> Answer | Unusable:
        scores: list[float | None] = []
        for position in range(max(1, len(prompt.labels))):
            tokens = result.scores.get(str(position))
            if tokens is None or tokens.size == 0:
                return Unusable(f"no attention for the span {position} of the prompt", again=False, status="failed")
            scores.append(finite(self._score(tokens)))
        answer = by_score(scores)
        if not answer.named:
            return Unusable("the attention holds no finite number", again=False, status="failed")
        return answer

    def _score(self, tokens: npt.NDArray[np.float32]) -> float:
        kept = kept_tokens(tokens) if self.calibrate else tokens
        return float(kept.mean(dtype="float64") if self.length_normalise else kept.sum(dtype="float64"))


def kept_tokens(tokens: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The calibrated attention (tokens of one candidate,) without outliers far below its mean.

    The standard deviation is the sample's (n - 1), as torch computes it in the authors' code. Tokens that lie on the
    bound stay: with all tokens equal, the authors' strict comparison would drop every one and score the candidate 0.

    >>> import numpy as np
    >>> kept_tokens(np.array([1.0] * 9 + [-50.0], dtype=np.float32)).sum()
    np.float32(9.0)
    """
    if tokens.size < 2:
        return tokens
    bound = tokens.mean(dtype="float64") - OUTLIER_STDS * tokens.std(dtype="float64", ddof=1)
    kept: npt.NDArray[np.float32] = tokens[tokens >= bound]
    return kept


def content_free(prompt: Prompt) -> Prompt:
    """The same prompt asking nothing: the first part marked ``query`` says "N/A", its other parts are left out.

    >>> ask = Prompt(messages=(Message(role="user", parts=(TextPart(text="cats", data=True, mark="query"),)),))
    >>> content_free(ask).text
    'user: N/A'
    """
    found = False
    messages: list[Message] = []
    for message in prompt.messages:
        parts: list[Part] = []
        for part in message.parts:
            if part.mark != QUERY_MARK:
                parts.append(part)
            elif not found:
                parts.append(TextPart(text=CONTENT_FREE, mark=QUERY_MARK))
                found = True
        messages.append(replace(message, parts=tuple(parts)))
    return replace(prompt, messages=tuple(messages), shared=min(prompt.shared, _before_query(prompt)))


def _before_query(prompt: Prompt) -> int:
    """How many parts stand before the query: what both passes share."""
    return next((index for index, part in enumerate(prompt.parts()) if part.mark == QUERY_MARK), 0)


def _check_marks(prompt: Prompt) -> None:
    marks = [part.mark for part in prompt.parts() if part.mark is not None]
    wanted = {str(i) for i in range(max(1, len(prompt.labels)))}
    if QUERY_MARK not in marks or not wanted <= set(marks):
        raise RecipeError(
            "The ask 'attention' needs a prompt that marks the query and every candidate, and the prompt has the marks "
            f"{sorted(set(marks))[:12]} for {len(prompt.labels)} labels; take a prompt file made for it, such as icr."
        )


def _difference(asked: Attended | Failure, empty: Attended | Failure) -> Attended | Failure:
    """The calibrated attention of one prompt. One failed pass fails the prompt; both passes' costs count."""
    cost = asked.cost + empty.cost
    if isinstance(asked, Failure) or isinstance(empty, Failure):
        failed = asked if isinstance(asked, Failure) else empty
        return replace(failed, cost=cost)
    spans: dict[str, npt.NDArray[np.float32]] = {}
    for mark, tokens in asked.scores.items():
        other = empty.scores.get(mark)
        if other is None or other.shape != tokens.shape:
            shapes = f"{tokens.shape} and {None if other is None else other.shape}"
            return Failure(error=f"the span {mark} has {shapes} tokens in the two passes of the calibration", cost=cost)
        spans[mark] = tokens - other
    return replace(asked, scores=spans, cost=cost, retries=asked.retries + empty.retries)
