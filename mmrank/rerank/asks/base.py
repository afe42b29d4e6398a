"""What an ask is, and the one loop by which every ask sends its prompts, asks again and accounts for what came back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, TypeVar

from mmrank.errors import MllmError, RecipeError
from mmrank.mllm.base import MLLM, Attended, Capability, Choices, Failure, Generated, PairScore
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.parts import Answer
from mmrank.rerank.repair import Labels
from mmrank.types import Cost, Status

Result = TypeVar("Result", Generated, Choices, PairScore, Attended)

SEED_STEP: Final = 1_000_003
"""Between the seed of one try and the next: a prime, so that retries of neighbouring seeds do not meet."""

_MEANS: Final[dict[Capability, str]] = {
    "generate": "free text",
    "choices": "log-probabilities of given answers",
    "pairs": "yes/no scores of pairs",
    "attention": "attention weights",
}
_ADVICE: Final[dict[Capability, str]] = {
    "generate": "a chat model, local or behind /v1/chat/completions, writes text",
    "choices": "a local model gives log-probabilities, and so does a server that answers logprobs (vLLM, SGLang)",
    "pairs": "a server with /score or /rerank gives scores of pairs",
    "attention": "only local weights give attention: name a hub id or a folder instead of a server",
}


@dataclass(frozen=True, kw_only=True)
class Ask(ABC):
    """How a block is put to an MLLM and how its answer is read. A frozen dataclass of settings; it keeps no state.

    `n_retries`: how often a prompt is asked again that failed in passing or was answered with nothing usable.

    Position i of an `Answer` is label i of its prompt; a prompt without labels has the one position 0.
    """

    name: ClassVar[str]
    n_retries: int = 2

    def __post_init__(self) -> None:
        if self.n_retries < 0:
            raise RecipeError(f"n_retries of the ask {self.name!r} is {self.n_retries}; it must be 0 or more.")

    @property
    @abstractmethod
    def needs(self) -> frozenset[Capability]:
        """What the MLLM must be able to do: any one of these is enough."""

    @abstractmethod
    def ask(self, mllm: MLLM, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        """One Answer per prompt, in order. `seeds`: one per prompt, for sampling.

        Never raises for what a model says. Raises `RecipeError` when the model cannot be asked this way at all (see
        `check`) and `MllmError` when a backend breaks its contract.
        """

    def tokens_out(self, labels: int) -> int:
        """About how many tokens the model writes for a prompt with this many labels; 1 when it only scores."""
        return 1

    @property
    def calls(self) -> int:
        """Calls of the model that one prompt takes, retries apart."""
        return 1

    def choices(self, mllm: MLLM, labels: Sequence[str]) -> Sequence[str]:
        """The answers whose log-probabilities it reads, for a prompt with these labels; empty when it reads none."""
        return ()

    def answer_prefix(self, own: str) -> str:
        """What a model's answer begins with, for a prompt that begins it with `own`."""
        return own

    def max_labels(self, mllm: MLLM) -> int | None:
        """The most labels one prompt may have with this model; None: no limit known."""
        return None

    def check(self, mllm: MLLM, labels: int | None = None) -> None:
        """Raise `RecipeError` when this model cannot answer this ask, or cannot for prompts with `labels` labels."""
        if not self.needs & mllm.capabilities:
            needed = " or ".join(_MEANS[need] for need in sorted(self.needs))
            able = ", ".join(_MEANS[can] for can in sorted(mllm.capabilities)) or "nothing a judge can use"
            advice = "; ".join(_ADVICE[need] for need in sorted(self.needs))
            raise RecipeError(
                f"The ask {self.name!r} needs {needed}, and {mllm.spec} gives {able}. "
                f"Take another model or another recipe: {advice}."
            )
        most = self.max_labels(mllm)
        if labels is not None and most is not None and labels > most:
            raise RecipeError(
                f"The ask {self.name!r} would compare {labels} labels in one prompt, and {mllm.spec} gives "
                f"log-probabilities of {most} at most. Show fewer candidates at a time (window= or size=), or raise "
                "the server's limit (vLLM: --max-logprobs)."
            )


@dataclass(frozen=True, slots=True)
class Unusable:
    """A result that no Answer can be made of. `again`: another draw may give a usable one. `status`: what the Answer
    says when it is given up."""

    error: str
    again: bool = True
    status: Status = "fell_back"


def labels_of(prompt: Prompt) -> Labels:
    """The labels of a prompt, one per position of its Answer; a prompt without labels has the one position "1"."""
    return Labels(prompt.labels or 1)


def finite(value: float | None) -> float | None:
    """None for what is missing, not a number or infinite: unknown, never a score."""
    return None if value is None or not math.isfinite(value) else float(value)


def logprobs_of(result: Choices, count: int) -> list[float | None]:
    """The log-probabilities of `count` choices, None where unknown. Raises `MllmError` when there are not as many."""
    if len(result.logprobs) != count:
        raise MllmError(f"The MLLM gave {len(result.logprobs)} log-probabilities for {count} choices.")
    return [finite(value) for value in result.logprobs]


def by_score(scores: Sequence[float | None]) -> Answer:
    """An Answer by falling score: ties keep prompt order, positions without a score come last and are not named.

    >>> by_score([0.5, None, 2.0]).order
    (2, 0, 1)
    """
    known = [i for i, score in enumerate(scores) if score is not None]
    order = sorted(known, key=lambda i: -(scores[i] or 0.0))
    rest = [i for i, score in enumerate(scores) if score is None]
    return Answer(
        order=(*order, *rest),
        named=len(known),
        scores=tuple(scores),
        status="repaired" if rest else "ok",
        appended=len(rest),
        error=f"{len(rest)} of {len(scores)} labels got no score" if rest else None,
    )


def ask_until_read(
    prompts: Sequence[Prompt],
    seeds: Sequence[int],
    *,
    call: Callable[[Sequence[Prompt], Sequence[int], bool], Sequence[Result | Failure]],
    read: Callable[[Prompt, Result], Answer | Unusable],
    n_retries: int,
    scored: bool,
) -> list[Answer]:
    """Send all prompts as one batch, read what comes back, and send again only what could not be used.

    Asked again are prompts whose call failed in passing (`Failure.retry`) and prompts whose answer was `Unusable` with
    `again`; each try has a seed of its own. The costs of all tries add up. `Answer.retries` counts the times a prompt
    was asked again, the backend's own included. What is left unread after `n_retries` keeps the previous order with
    nothing named: ``failed`` when its last call failed, the status of its `Unusable` (mostly ``fell_back``) when its
    last answer could not be read.

    Args:
        call: (prompts, seeds, unread) -> results. `unread`: these prompts were answered before, but unusably; they are
            sent apart from those whose call failed, because a model that answers greedily must be asked otherwise.
        read: one result into an Answer, or why not.
        scored: whether Answers of this ask carry scores (all None then when nothing could be used).
    """
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts came with {len(seeds)} seeds; there must be one each.")
    states = [_State() for _ in prompts]
    waiting = list(range(len(prompts)))
    for attempt in range(n_retries + 1):
        if not waiting:
            break
        groups = {unread: [i for i in waiting if states[i].unread is unread] for unread in (False, True)}
        for unread, group in groups.items():
            if not group:
                continue
            tries = [(seeds[i] + SEED_STEP * attempt) % 2**63 for i in group]
            results = call([prompts[i] for i in group], tries, unread)
            if len(results) != len(group):
                raise MllmError(
                    f"The MLLM gave {len(results)} results for {len(group)} prompts; it must give one each."
                )
            for i, result in zip(group, results, strict=True):
                states[i].take(prompts[i], result, read, attempt)
        waiting = [i for i in waiting if states[i].again]
    return [state.answer(prompt, scored) for state, prompt in zip(states, prompts, strict=True)]


class _State:
    """What is known of one prompt while it is being asked."""

    def __init__(self) -> None:
        self.read: Answer | None = None
        self.error: str | None = None
        self.status: Status = "failed"
        self.unread = False
        self.again = False
        self.cost = Cost()
        self.retries = 0
        self.shortened = 0
        self.call = ""

    def take(
        self,
        prompt: Prompt,
        result: Result | Failure,
        read: Callable[[Prompt, Result], Answer | Unusable],
        attempt: int,
    ) -> None:
        self.cost += result.cost
        self.call = result.call
        self.retries += 1 if attempt else 0
        if isinstance(result, Failure):
            self.retries += result.retries
            self.error, self.status, self.unread, self.again = result.error, "failed", False, result.retry
            return
        self.retries += result.retries
        self.shortened = result.shortened
        found = read(prompt, result)
        if isinstance(found, Unusable):
            self.error, self.status, self.unread, self.again = found.error, found.status, True, found.again
        else:
            self.read, self.again = found, False

    def answer(self, prompt: Prompt, scored: bool) -> Answer:
        if self.read is not None:
            return replace(self.read, cost=self.cost, retries=self.retries, shortened=self.shortened, call=self.call)
        count = len(labels_of(prompt))
        return Answer(
            order=tuple(range(count)),
            named=0,
            scores=(None,) * count if scored else (),
            status=self.status,
            retries=self.retries,
            error=self.error,
            cost=self.cost,
            call=self.call,
        )
