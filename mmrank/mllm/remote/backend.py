"""`RemoteMllm`: an MLLM behind an OpenAI-compatible server (vLLM, SGLang, transformers serve, llama.cpp)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mmrank.errors import MediaError, RecipeError, UsageError
from mmrank.mllm.base import (
    Attended,
    Capability,
    Choices,
    Failure,
    Generated,
    Limits,
    PairScore,
    Sampling,
    Speed,
)
from mmrank.mllm.prompt import Prompt
from mmrank.mllm.remote import pair_calls, pairs, probes
from mmrank.mllm.remote.calls import Caller, Refusal, Reply
from mmrank.mllm.remote.chat import Chat, cost_of, failed, written
from mmrank.mllm.remote.logprobs import Restriction, asked_for, choice_values, restricted, top_tokens
from mmrank.mllm.remote.pace import Pace
from mmrank.mllm.remote.spec import Server, key
from mmrank.mllm.remote.tokens import TokenCounter
from mmrank.mllm.remote.trim import estimated_tokens, fitted
from mmrank.mllm.remote.wire import PictureStore


class RemoteMllm:
    """Answers come from a server; nothing is loaded here. Thread-safe. Made by `load_remote`, which says the options.

    What the server can do is probed when it is first needed, once. Raises `MllmError` then when it cannot be reached.
    Costs count tokens as the server reports them; `Cost.seconds` is one call's own time, and calls run side by side.
    """

    def __init__(
        self,
        server: Server,
        caller: Caller,
        *,
        declared: frozenset[Capability] | None = None,
        max_logprobs: int | None = None,
        max_images: int | None = None,
        answer_prefix: bool | None = None,
        merge_spaces: bool = True,
        restrict: Restriction | None = None,
        pair_scale: pairs.Scale = "probability",
        pairs_per_request: int = 32,
        lossless: bool = False,
        pictures_once: bool = False,
    ) -> None:
        self.server = server
        self._caller = caller
        self._store = PictureStore(lossless=lossless)
        self._chat = Chat(server, caller, self._store, pictures_once=pictures_once)
        self._counter = TokenCounter(server, caller)
        self._pace = Pace()
        self._declared = declared
        self._max_logprobs = max_logprobs
        self._max_images = max_images
        self._prefix: bool | str | None = answer_prefix
        self._merge_spaces = merge_spaces
        self._restrict: Restriction | None = restrict
        self._scale: pairs.Scale = pair_scale
        self._pairs_per_request = pairs_per_request
        self._found: probes.Found | None = None
        self._listed: list[dict[str, Any]] | None = None
        self._saturated = 0
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"RemoteMllm({self.spec!r})"

    @property
    def spec(self) -> str:
        return self.server.spec

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._declared if self._declared is not None else self.found.capabilities

    @property
    def found(self) -> probes.Found:
        """What the probes found; the first look asks the server."""
        with self._lock:
            if self._found is None:
                rows = self.listed
                self._found = probes.probe(self.server, self._caller, self._chat, self._scale, rows)
            return self._found

    @property
    def listed(self) -> list[dict[str, Any]]:
        """The rows of the server's ``/models``, empty where there are none; the first look asks the server."""
        with self._lock:
            if self._listed is None:
                self._listed = probes.listed_models(self.server, self._caller)
            return self._listed

    @property
    def model_row(self) -> dict[str, Any]:
        """The server's own row about its model, empty where it has none."""
        return next((row for row in self.listed if row["id"] == self.server.model), {})

    @property
    def limits(self) -> Limits:
        """`images`: from ``max_images=`` or once a refusal has named it. `tokens_in`: the context that ``/models``
        gives. `choices`: how many log-probabilities one answer may hold. `answer_prefix`: probed."""
        prefix = "generate" in self.capabilities and self.answer_prefix is True
        return Limits(
            images=self._max_images or self._chat.most_images,
            tokens_in=probes.context_length(self.model_row),
            choices=self.max_logprobs,
            answer_prefix=prefix,
        )

    @property
    def max_logprobs(self) -> int | None:
        """The cap of ``top_logprobs``: given, or found by a probe; None when the server gives none."""
        if self._declared is not None and "choices" not in self._declared:
            return None
        return self._max_logprobs or self.found.max_logprobs

    @property
    def answer_prefix(self) -> bool | str:
        """True when the server continues an answer from given words, else a sentence that says why not."""
        with self._lock:
            if self._prefix is None:
                self._prefix = probes.continues_prefix(self._chat)
            return self._prefix or "it was loaded with answer_prefix=False"

    @property
    def warning(self) -> str | None:
        """A key sent in the clear, an instruction that pair scores do not heed, scores at the end of their scale,
        sampling parameters that the server does not take."""
        said = []
        if not self.server.encrypted_or_near and key() is not None:
            said.append(f"the key of the environment goes unencrypted to {self.server.host}: use https")
        if self._found is not None and self._found.instruction_used is False:
            said.append(
                "the server's pair scores do not change with the instruction: its prompt has one of its own. "
                "A newer vLLM, or a --chat-template that uses `instruction`, heeds it"
            )
        if self._found is not None and self._found.unlisted:
            said.append(
                f"it lists {self._found.unlisted}, not this model, and answered all the same: look whose answers"
            )
        if self._saturated:
            said.append(
                f"{self._saturated} of the server's pair scores were exactly 0 or 1: among those the previous order "
                'stays. pair_scale="log_odds" asks vLLM for logits'
            )
        if unsent := ", ".join(sorted(self._chat.refused)):
            said.append(f"the server takes no {unsent}: these are not sent, and its own settings hold there")
        return f"{self.spec}: {'; '.join(said)}." if said else None

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Generated | Failure]:
        self._need("generate", prompts)
        if sampling.seeds and len(sampling.seeds) != len(prompts):
            raise UsageError(
                f"{len(prompts)} prompts came with {len(sampling.seeds)} seeds; give one for each, or none."
            )
        return self._caller.map(lambda place: self._generated(prompts[place], sampling.at(place)), range(len(prompts)))

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        """A choice is matched by its exact text, and with one leading space (see `logprobs.choice_values`); its
        log-probability is None when it was not among the likeliest tokens that the server lists."""
        if len(prompts) != len(choices):
            raise UsageError(f"{len(prompts)} prompts came with {len(choices)} lists of choices; give one for each.")
        self._need("choices", prompts)
        for given in dict.fromkeys(map(tuple, choices)):
            self._check_choices(given)
        return self._caller.map(lambda pair: self._chosen(*pair), list(zip(prompts, choices, strict=True)))

    def check_choices(self, prompt: Prompt, choices: Sequence[str]) -> None:
        """Raise `RecipeError` for more choices than the server lists tokens, and for one that is several tokens, where
        the server can say so (``/tokenize``)."""
        self._need("choices", [prompt])
        self._check_choices(choices)

    def _check_choices(self, choices: Sequence[str]) -> None:
        if not choices or len(set(choices)) != len(choices):
            raise UsageError(f"Choices must be different from each other and at least one, but {list(choices)} came.")
        cap = self.max_logprobs or 0
        if len(choices) > cap:
            raise RecipeError(
                f"{self.spec} gives the log-probabilities of {cap} tokens, and {len(choices)} choices are asked for. "
                "Show fewer candidates in one prompt (a smaller window or block), or start the server with "
                "vllm serve ... --max-logprobs 128."
            )
        for choice in choices:
            self._counter.check_single(choice)

    def pair_scores(self, prompts: Sequence[Prompt]) -> list[PairScore | Failure]:
        self._need("pairs", ())
        if any(prompt.pair is None for prompt in prompts):
            raise UsageError("A prompt without a pair was given to pair_scores; only pair layouts make such prompts.")
        route = self.found.route or pairs.ROUTES[0]
        asker = pair_calls.PairAsker(self.server, self._caller, self._store, route, self._scale)
        blocks = pair_calls.grouped(prompts, self._pairs_per_request)
        results: list[PairScore | Failure] = [Failure(error="not asked")] * len(prompts)
        answers = self._caller.map(lambda block: asker.ask([prompts[i] for i in block]), blocks)
        for block, answer in zip(blocks, answers, strict=True):
            for place, result in zip(block, answer, strict=True):
                results[place] = result
        with self._lock:
            self._saturated += asker.saturated
        return results

    def attention(self, prompts: Sequence[Prompt]) -> list[Attended | Failure]:
        self._need("attention", ())
        raise RecipeError(f"{self.spec} is a server, and attention needs the weights here.")

    @property
    def concurrency(self) -> int:
        """Requests under way at a time."""
        return self._caller.concurrency

    def count_tokens(self, prompt: Prompt) -> int:
        """An estimate: a quarter of the characters, and a token for every 32 x 32 pixels."""
        return estimated_tokens(prompt)

    def speed(self) -> Speed | None:
        """From the calls of this process, other calls running beside; None before there were enough."""
        return self._pace.speed()

    def close(self) -> None:
        """Close the connections; they open again when needed."""
        self._caller.close()

    def _need(self, capability: Capability, prompts: Sequence[Prompt]) -> None:
        if capability not in self.capabilities:
            reason = "it was declared without" if self._declared is not None else self.found.reasons[capability]
            raise RecipeError(
                f"{self.spec} cannot do {capability!r}: {reason}. It can: {', '.join(sorted(self.capabilities))}. "
                "Use a recipe that asks for that, or another server."
            )
        if any(prompt.answer_prefix for prompt in prompts) and self.answer_prefix is not True:
            raise RecipeError(
                f"{self.spec} cannot begin an answer with given words: {self.answer_prefix}. vLLM and SGLang can; "
                "or use a recipe without an answer prefix."
            )

    def _asked(self, prompt: Prompt, sampling: Sampling, **more: Any) -> tuple[Reply, int] | Failure:
        """One request, and about how many tokens it was shortened by; whatever goes wrong as a `Failure`."""
        cut = fitted(prompt)
        if cut is None:
            return Failure(
                error=f"the prompt takes about {estimated_tokens(prompt)} tokens, the model was made for "
                f"{prompt.max_tokens_in}, and only pictures and mmrank's own words are left to cut"
            )
        try:
            outcome = self._chat.ask(cut, sampling, **more)
        except MediaError as error:
            return Failure(error=str(error))
        if isinstance(outcome, Refusal):
            return failed(outcome)
        return outcome, 0 if cut is prompt else estimated_tokens(prompt) - estimated_tokens(cut)

    def _generated(self, prompt: Prompt, sampling: Sampling) -> Generated | Failure:
        asked = self._asked(prompt, sampling)
        if isinstance(asked, Failure):
            return asked
        reply, shortened = asked
        cost = self._noted(reply, prompt)
        said = written(reply.body)
        if isinstance(said, str):
            return Failure(error=said, retry="broke" in said, retries=reply.retries, cost=cost)
        return Generated(text=said[0], cut=said[1], retries=reply.retries, shortened=shortened, cost=cost)

    def _chosen(self, prompt: Prompt, choices: Sequence[str]) -> Choices | Failure:
        wanted = asked_for(len(choices), self.max_logprobs or 0)
        ids = self._counter.ids(choices) if self._restrict == "allowed_token_ids" else ()
        more = restricted(self._restrict, choices, ids)
        asked = self._asked(prompt, Sampling(max_tokens=1), logprobs=True, top_logprobs=wanted, **more)
        if isinstance(asked, Failure):
            return asked
        reply, shortened = asked
        cost = self._noted(reply, prompt)
        tokens = top_tokens(reply.body)
        if isinstance(tokens, str):
            return Failure(error=tokens, retries=reply.retries, cost=cost)
        values = choice_values(tokens, choices, merge_spaces=self._merge_spaces)
        if all(value is None for value in values):
            first = ", ".join(repr(token) for token, _ in tokens[:5])
            return Failure(
                error=f"none of the choices {', '.join(choices)} is among the {len(tokens)} likeliest tokens "
                f"(first {first}): the model does not answer in this form",
                retries=reply.retries,
                cost=cost,
            )
        return Choices(logprobs=values, retries=reply.retries, shortened=shortened, cost=cost)

    def _noted(self, reply: Reply, prompt: Prompt) -> Any:
        cost = cost_of(reply.body, reply.seconds, len(prompt.pictures))
        # Tries that failed and waits between them say nothing about speed.
        self._pace.note(cost if not reply.retries else replace(cost, seconds=0.0))
        return cost
