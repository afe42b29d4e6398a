"""LocalMLLM: a checkpoint on this machine as an MLLM."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.errors import MllmError, RecipeError, UsageError
from mmrank.mllm.base import Attended, Capability, Choices, Failure, Generated, Limits, PairScore, Sampling, Speed
from mmrank.mllm.local.attention import attention_rows
from mmrank.mllm.local.batching import Budget
from mmrank.mllm.local.calls import Calls
from mmrank.mllm.local.choices import ChoiceTokens, choice_logits
from mmrank.mllm.local.cuts import Cut, cuts
from mmrank.mllm.local.drafts import Draft, Drafter
from mmrank.mllm.local.encode import Encoded, Encoder
from mmrank.mllm.local.features import FeatureCache
from mmrank.mllm.local.kept import Budgets, Kept, headless
from mmrank.mllm.local.memory import FEATURES, PREFIXES, default_batch_tokens
from mmrank.mllm.local.sampling import check_sampling, end_tokens, write
from mmrank.mllm.prompt import Prompt
from mmrank.types import Cost

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

OPENERS = 4
"""Pictures opened at once: enough to keep a disk busy, few enough to hold little memory."""


class LocalMLLM:
    """A chat model whose weights are on this machine. See `mmrank.mllm.base.MLLM` for what the methods promise.

    `model`: a transformers chat model in eval mode, on its device, `processor`: its processor, or its tokenizer for a
    model of text alone (told apart by the processor having an ``image_processor``). `spec`: what `load_mllm` was given.
    `batch_tokens`: tokens, padding included, in one batch; by the device's memory when None.

    Nothing is computed twice where it can be kept. `feature_memory`: bytes for what the vision tower made of pictures
    (0 keeps nothing beyond a batch). `feature_cache`: a folder where that is kept too, for later runs and for other
    processes; see `mmrank.mllm.local.feature_files`. `feature_precision`: "float16" rounds the features of a float32
    model to half their size, which changes its log-odds a little (docs/speed.md has figures); no effect on models of
    16 bits. `prefix_memory`: bytes for what the prompts of a query (or of a candidate, `Prompt.lasting`) begin with,
    which `choice_logprobs` runs once for all of them (0 keeps it for a batch). `unshared` says what this model cannot
    share.

    Safe to call from several threads; the calls wait for each other, for a transformers model keeps state between
    layers. Results of `choice_logprobs` and `attention` do not depend on batch mates; drawn text depends on its seed
    and its prompt, and on batch mates only where rounding decides between two tokens.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        spec: str,
        warning: str | None = None,
        batch_tokens: int | None = None,
        chat_template: str | Path | None = None,
        template_options: Mapping[str, Any] | None = None,
        feature_memory: int = FEATURES,
        feature_cache: str | Path | None = None,
        feature_precision: str | None = None,
        prefix_memory: int = PREFIXES,
    ) -> None:
        if batch_tokens is not None and batch_tokens < 1:
            raise UsageError(f"batch_tokens is {batch_tokens}; it must be at least 1.")
        budgets = Budgets(
            feature_memory=feature_memory,
            feature_cache=feature_cache,
            feature_precision=feature_precision,
            prefix_memory=prefix_memory,
        )
        sees = hasattr(processor, "image_processor")
        self._spec, self._warning = spec, warning
        self.model, self.processor = model, processor
        self.device: torch.device = model.device
        self._drafter = Drafter(processor, sees=sees, template=chat_template, options=template_options)
        self._tokenizer = self._drafter.tokenizer
        self._ends = end_tokens(model, self._tokenizer)
        self._pad_id = self._tokenizer.pad_token_id if self._tokenizer.pad_token_id is not None else self._ends[0]
        shared = Kept(model, processor, budgets, sees=sees, pad_id=self._pad_id)
        self._tower, self._features, self._prefixes = shared.tower, shared.features, shared.prefixes
        self._encoder = self._new_encoder(self._features)
        self.unshared = shared.unshared
        """What this model computes anew for every prompt, and why; None when it shares all that can be shared."""
        if self.unshared is not None:
            log.info("%s: %s", spec, self.unshared)
        self._choice_tokens = ChoiceTokens(self._tokenizer)
        self._budget = Budget(batch_tokens or default_batch_tokens(model))
        self._context: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._calls = self._new_calls(self._encoder)
        self._speed: Speed | None = None
        self._lock = threading.RLock()

    @property
    def spec(self) -> str:
        return self._spec

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset({"generate", "choices", "attention"})

    @property
    def limits(self) -> Limits:
        return Limits(tokens_in=self._context, images=None if self._drafter.sees else 0, json=False)

    @property
    def warning(self) -> str | None:
        return self._warning

    @property
    def batch_tokens(self) -> int:
        """Tokens in one batch; it shrinks when a batch did not fit into memory."""
        return self._budget.tokens

    @property
    def prefix_bytes(self) -> int:
        """What the prefixes kept now take on the model's device; never more than `prefix_memory`."""
        return 0 if self._prefixes is None else self._prefixes.bytes

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens the prompt takes here, pictures included, after it was shortened to its `max_tokens_in`.

        Exact, without opening a picture. Raises `MllmError` for a prompt this model cannot be given.
        """
        with self._lock:
            return self._drafter.draft(prompt).tokens

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        """Log-probabilities of each prompt's choices, normalised over them, computed in float32."""
        if len(choices) != len(prompts):
            raise UsageError(f"choice_logprobs was given {len(prompts)} prompts and {len(choices)} lists of choices.")

        def step(batch: Sequence[Encoded], places: Sequence[int]) -> list[Choices | Failure]:
            hidden = self._last_hidden(batch)
            return [self._chosen(h, e.draft, choices[i]) for h, e, i in zip(hidden, batch, places, strict=True)]

        with self._lock:
            return self._calls.run(
                prompts,
                step,
                budget=self._budget,
                check=lambda draft, i: self._choice_tokens.ids(draft.tail, choices[i]),
                cutter=self._cuts,
            )

    def check_choices(self, prompt: Prompt, choices: Sequence[str]) -> None:
        """Raise `RecipeError` for a choice that is not one token where this prompt's answer begins."""
        with self._lock:
            self._choice_tokens.ids(self._drafter.draft(prompt).tail, choices)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Generated | Failure]:
        """Free text for each prompt. ``sampling.json`` is not enforced (`limits`): the prompt's words ask for JSON.

        A text is cut where the context ends, if that is before `max_tokens`.
        """
        check_sampling(sampling, len(prompts))

        def step(batch: Sequence[Encoded], places: Sequence[int]) -> list[Generated | Failure]:
            return self._written(batch, sampling, [sampling.at(i).seed for i in places], self._ends)

        with self._lock:
            return self._calls.run(prompts, step, budget=self._budget, room=sampling.max_tokens)

    def attention(self, prompts: Sequence[Prompt]) -> list[Attended | Failure]:
        """Attention from the span marked ``query`` to every other marked span of each prompt, one prompt at a time."""

        def step(batch: Sequence[Encoded], places: Sequence[int]) -> list[Attended | Failure]:
            return [self._attended(encoded) for encoded in batch]

        with self._lock:
            return self._calls.run(prompts, step, budget=Budget(1))

    def pair_scores(self, prompts: Sequence[Prompt]) -> list[PairScore | Failure]:
        """Not offered: a local model is asked with mmrank's own prompts (`choice_logprobs`)."""
        raise RecipeError(
            f"{self.spec} runs here and has no pair scores of its own, which are a server's (/score). "
            "Ask it with a recipe such as yes_no, which needs choices."
        )

    def speed(self) -> Speed:
        """Tokens a second, measured when first asked for, on made-up prompts."""
        from mmrank.mllm.local.speed import measure

        with self._lock:
            self._speed = self._speed or measure(self, self._endless)
            return self._speed

    def _endless(self, prompt: Prompt, tokens: int) -> Generated | Failure:
        """Greedy text of exactly so many tokens, whatever the model would end."""

        def step(batch: Sequence[Encoded], places: Sequence[int]) -> list[Generated | Failure]:
            return self._written(batch, Sampling(max_tokens=tokens), [0], ends=())

        nothing_kept = self._new_calls(self._new_encoder(None))
        return nothing_kept.run([prompt], step, budget=self._budget, room=tokens)[0]

    def _new_encoder(self, features: FeatureCache | None) -> Encoder:
        return Encoder(self._drafter, pad_id=self._pad_id, openers=OPENERS, tower=self._tower, features=features)

    def _new_calls(self, encoder: Encoder) -> Calls:
        return Calls(self._drafter, encoder, context=self._context, overlap=self._tower is not None)

    def _cuts(self, drafts: Sequence[Draft]) -> list[Cut | None]:
        if self._prefixes is None:
            return [None] * len(drafts)
        picture = None if self._tower is None else self._tower.image_token
        kept = self._prefixes.capacity > 0
        return cuts(drafts, picture_id=picture, known=self._prefixes.known, kept=kept)

    def _last_hidden(self, batch: Sequence[Encoded]) -> torch.Tensor:
        """The last layer's state at the last position of each prompt, (prompts, width)."""
        import torch

        if self._prefixes is not None and batch[0].cut is not None:
            return self._prefixes.last_hidden(batch)
        with torch.inference_mode():
            out = headless(self.model)(**self._inputs(batch), use_cache=False)
        hidden: torch.Tensor = out.last_hidden_state[:, -1]
        return hidden

    def _inputs(self, batch: Sequence[Encoded]) -> dict[str, Any]:
        inputs = self._encoder.collate(batch, self.device, self.model.dtype)
        if "image_grid_thw" not in inputs:  # Qwen-VL models find the places of tokens around pictures themselves
            inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp_min(0)
        return inputs

    def _chosen(self, hidden: torch.Tensor, draft: Draft, choices: Sequence[str]) -> Choices | Failure:
        import torch

        with torch.inference_mode():
            logits = choice_logits(self.model, hidden, self._choice_tokens.ids(draft.tail, choices))
            logprobs = logits.log_softmax(0).tolist()
        if not all(math.isfinite(p) for p in logprobs):
            return Failure(error=self._not_finite())
        return Choices(logprobs=tuple(logprobs))

    def _written(
        self, batch: Sequence[Encoded], sampling: Sampling, seeds: Sequence[int], ends: Sequence[int]
    ) -> list[Generated | Failure]:
        import torch

        inputs = self._encoder.collate(batch, self.device, self.model.dtype)
        length, wanted = inputs["input_ids"].shape[1], sampling.max_tokens
        room = wanted if self._context is None else max(1, min(wanted, self._context - length))
        with torch.inference_mode():
            rows = write(self.model, inputs, sampling, seeds, ends=ends, pad_id=self._pad_id, max_tokens=room)
        return [
            Generated(
                text=self._tokenizer.decode(row, skip_special_tokens=True),
                cut=not row or row[-1] not in ends,
                cost=Cost(tokens_out=len(row)),
            )
            for row in rows
        ]

    def _attended(self, encoded: Encoded) -> Attended | Failure:
        try:
            marked = self._encoder.marked(encoded)
        except MllmError as error:
            return Failure(error=str(error))
        if not marked.get("query") or len(marked) < 2:
            return Failure(error="Attention needs a part marked 'query' and other marked parts; the prompt has none.")
        weights = attention_rows(headless(self.model), self._inputs([encoded]), marked.pop("query")).cpu()
        if not bool(weights.isfinite().all()):
            return Failure(error=self._not_finite())
        return Attended(scores={mark: weights[places].numpy() for mark, places in marked.items()})

    def _not_finite(self) -> str:
        precision = str(self.model.dtype).removeprefix("torch.")
        return f"The model's numbers overflowed in {precision}; load it with precision='float32' or 'bfloat16'."

    def __repr__(self) -> str:
        return f"LocalMLLM({self.spec!r}, device={str(self.device)!r})"
