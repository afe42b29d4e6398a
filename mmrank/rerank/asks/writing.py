"""Asks that have the model write: the settings of a draw, and the sending of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from mmrank.errors import RecipeError
from mmrank.mllm.base import MLLM, Capability, Failure, Generated, Sampling
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.asks.base import Ask, Unusable, ask_until_read
from mmrank.rerank.parts import Answer

SHOWN: Final = 120
"""Characters of an unusable answer that its error shows."""
LEAST_ROOM: Final = 256
"""Tokens an answer may have where nobody says otherwise: the ViC authors' setting, and enough for 40 labels."""


@dataclass(frozen=True, kw_only=True)
class WritingAsk(Ask):
    """An ask that reads a text.

    `max_tokens` (None: enough for the labels, see `room`), `temperature` (0: greedy), `top_p`, `top_k`: how the text is
    drawn. `retry_temperature`: used instead of 0 when a greedy text could not be read, since greedy decoding would
    write the same text again. `json`: ask for a JSON object where the backend can constrain its output.
    """

    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    retry_temperature: float = 0.5
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        room = 1 if self.max_tokens is None else self.max_tokens
        best = 1 if self.top_k is None else self.top_k
        cold = self.temperature < 0 or self.retry_temperature < 0
        if room < 1 or best < 1 or cold or not 0 < self.top_p <= 1:
            raise RecipeError(
                f"The ask {self.name!r} was given max_tokens={self.max_tokens}, temperature={self.temperature}, "
                f"retry_temperature={self.retry_temperature}, top_p={self.top_p}, top_k={self.top_k}; max_tokens and "
                "top_k must be 1 or more, temperatures 0 or more, top_p above 0 and at most 1."
            )

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({"generate"})

    def room(self, labels: int) -> int:
        """The most tokens an answer about this many labels may have: `max_tokens`, or 256, or 6 a label and 16 more
        where that is more (``[100] > `` takes up to six)."""
        return max(LEAST_ROOM, 6 * labels + 16) if self.max_tokens is None else self.max_tokens

    def sampling(self, room: int, seeds: Sequence[int], unread: bool) -> Sampling:
        """How a batch is drawn; `unread`: the texts before could not be read."""
        return Sampling(
            max_tokens=room,
            temperature=self.temperature or (self.retry_temperature if unread else 0.0),
            top_p=self.top_p,
            top_k=self.top_k,
            seed=seeds[0] if seeds else 0,
            seeds=tuple(seeds),
            json=self.json,
        )

    def written(
        self,
        mllm: MLLM,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        read: Callable[[Prompt, Generated], Answer | Unusable],
        *,
        scored: bool,
    ) -> list[Answer]:
        """Ask for texts and read each, asking again as `ask_until_read` says."""

        room = max((self.room(len(prompt.labels)) for prompt in prompts), default=LEAST_ROOM)

        def call(some: Sequence[Prompt], tries: Sequence[int], unread: bool) -> list[Generated | Failure]:
            return mllm.generate(some, self.sampling(room, tries, unread))

        return ask_until_read(prompts, seeds, call=call, read=read, n_retries=self.n_retries, scored=scored)


def full_text(prompt: Prompt, written: Generated) -> str:
    """The whole answer: the prefix the prompt put in the model's mouth, and what it wrote after it."""
    return prompt.answer_prefix + written.text


def unreadable(what: str, written: Generated) -> Unusable:
    """Why a text could not be used, with its beginning."""
    if not written.text.strip():
        return Unusable("the model wrote nothing")
    shown = repr(written.text[:SHOWN] + ("..." if len(written.text) > SHOWN else ""))
    cut = " It was cut off at the token limit; allow more with max_tokens=." if written.cut else ""
    return Unusable(f"{what} in the answer {shown}.{cut}")
