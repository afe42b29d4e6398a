"""What an MLLM backend is: batches of prompts in, one answer or one named failure each out.

Nothing is lost and nothing is guessed: a call that did not work gives a `Failure` in its place, never an answer
made up, and the other prompts of the batch are not touched by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from mmrank.mllm.prompt import Prompt
from mmrank.types import Cost

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Capability: TypeAlias = Literal["generate", "choices", "pairs", "attention"]
CAPABILITIES: tuple[Capability, ...] = get_args(Capability)
"""generate: free text. choices: log-probabilities of given answers. pairs: a yes/no score for a (query, document)
pair by a prompt of the server's own. attention: which marked spans the query's tokens look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How text is drawn. Temperature 0 is greedy; every parameter is sent explicitly, none left to a server's default.

    `seed` makes a draw repeatable where the backend can; it is ignored at temperature 0. `seeds` gives each prompt of
    a batch its own, in order (empty: `seed` for all), so that two samples of one prompt differ and a draw does not
    depend on batch mates; a backend reads it through `at`.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int = 0
    json: bool = False
    """Hold the text to a JSON object, where the backend can (`Limits.json`)."""
    seeds: tuple[int, ...] = ()

    def at(self, index: int) -> Sampling:
        """The sampling of one prompt of a batch, with its own seed.

        >>> Sampling(temperature=0.5, seeds=(7, 8)).at(1)
        Sampling(max_tokens=256, temperature=0.5, top_p=1.0, top_k=None, seed=8, json=False, seeds=())
        """
        return replace(self, seed=self.seeds[index], seeds=()) if self.seeds else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a backend takes; None: no limit known."""

    images: int | None = None
    tokens_in: int | None = None
    choices: int | None = None
    answer_prefix: bool = True
    """Whether an answer can begin with given words (`Prompt.answer_prefix`). Some servers cannot; a recipe that needs
    it must look here when it is loaded."""
    json: bool = True
    """Whether a text can be held to JSON (`Sampling.json`). A server that turns out not to says so in its `warning`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Measured on this machine with this model: tokens a second read (prefill, pictures counted in their tokens) and
    written (decode), each over one prompt at a time or the batch the backend would use."""

    read: float
    write: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A text the model wrote (without the prompt's answer prefix). `cut`: it ended at the token limit.

    `retries`, here and in the other results: how often the backend asked again before this came. `call`: the key of
    this call in the transcript that is being written, empty where none is.
    """

    text: str
    cut: bool = False
    cost: Cost = Cost()
    retries: int = 0
    shortened: int = 0
    """Tokens of query and candidate text the backend left out to keep the prompt's `max_tokens_in`."""
    call: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One log-probability per choice, in the order the choices were given; None where the model gave none (unknown,
    not minus infinity). Only differences within one answer mean anything: local backends normalise over the choices,
    servers over their vocabulary."""

    logprobs: tuple[float | None, ...]
    cost: Cost = Cost()
    retries: int = 0
    shortened: int = 0
    call: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScore:
    """The log-odds (logit of the yes probability) of one pair."""

    log_odds: float
    cost: Cost = Cost()
    retries: int = 0
    shortened: int = 0
    call: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """How much the tokens of the span marked ``query`` attend to each token of every other marked span.

    `scores`: mark -> float32 (tokens of the span,), mean over query tokens, summed over layers and heads.
    """

    scores: Mapping[str, npt.NDArray[np.float32]] = field(repr=False)
    cost: Cost = Cost()
    retries: int = 0
    shortened: int = 0
    call: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A call that gave no answer, and why. `retry`: asking again may help (a parse problem, a passing fault)."""

    error: str
    retry: bool = False
    retries: int = 0
    """How often the backend itself tried again before it gave up."""
    cost: Cost = Cost()
    call: str = field(default="", compare=False, repr=False)


@runtime_checkable
class MLLM(Protocol):
    """A chat model that sees images. Methods that `capabilities` does not name raise `RecipeError` when called.

    Every method gives one result per prompt, in order; results do not depend on batch mates or batch size
    (beyond 1e-4 in log-odds at float32). Prompts that share a query should be given in one batch.
    """

    @property
    def spec(self) -> str:
        """The spec that loads it again: a hub id, a folder, or ``openai:BASE_URL#MODEL``. Never holds a key."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def warning(self) -> str | None:
        """What a caller must tell its user before trusting the answers, or None."""
        ...

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Generated | Failure]:
        """Free text for each prompt."""
        ...

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        """Log-probabilities of each prompt's choices at the position after its answer prefix.

        `choices`: one list per prompt; each choice must be one token of the model there, which is checked:
        `RecipeError` names the choice that is not, before any prompt is asked.
        """
        ...

    def check_choices(self, prompt: Prompt, choices: Sequence[str]) -> None:
        """Raise `RecipeError` when `choice_logprobs` would, for this prompt and these choices. Asks the model nothing;
        a backend that cannot tell lets them through."""
        ...

    def pair_scores(self, prompts: Sequence[Prompt]) -> list[PairScore | Failure]:
        """The log-odds of each prompt's `pair`."""
        ...

    def attention(self, prompts: Sequence[Prompt]) -> list[Attended | Failure]:
        """Attention from the span marked ``query`` to every other marked span of each prompt."""
        ...

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens the prompt takes, pictures included; an estimate where the model is not here."""
        ...

    def speed(self) -> Speed | None:
        """Tokens a second on this machine, measured once on made-up prompts; None when it cannot be known."""
        ...
