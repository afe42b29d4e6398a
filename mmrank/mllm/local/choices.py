"""The head for given answers: which token each choice is, and its logit from the rows of the LM head alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mmrank.errors import RecipeError

if TYPE_CHECKING:
    import torch


class ChoiceTokens:
    """Which token a choice is behind the words a prompt ends with."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids = lru_cache(1024)(self._find)

    def ids(self, tail: str, choices: Sequence[str]) -> tuple[int, ...]:
        """The token of each choice after `tail` (the assistant header and the answer prefix).

        Tail and choice are tokenised together. Raises `RecipeError` when a choice is not exactly one token there, when
        it melts into the tail (``[`` and ``A`` may be one token), or when two choices are the same token.
        """
        return self._ids(tail, tuple(choices))

    def _find(self, tail: str, choices: tuple[str, ...]) -> tuple[int, ...]:
        if not choices:
            raise RecipeError("No choices were given; a prompt must have at least one answer to choose from.")
        before = self._tokens(tail)
        found: dict[int, str] = {}
        for choice in choices:
            after = self._tokens(tail + choice)
            if after[: len(before)] != before:
                raise RecipeError(
                    f"The choice {choice!r} is no token of its own after {tail[-20:]!r}: the model's tokenizer joins "
                    f"them ({self._shown(after, before)}). End the answer prefix with another sign, or take other "
                    "labels."
                )
            if len(after) != len(before) + 1:
                raise RecipeError(
                    f"The choice {choice!r} is {len(after) - len(before)} tokens of this model after {tail[-20:]!r} "
                    f"({self._shown(after, before)}); it must be exactly one. Take other words or labels."
                )
            if (same := found.setdefault(after[-1], choice)) != choice:
                raise RecipeError(f"The choices {same!r} and {choice!r} are the same token of this model.")
        return tuple(self._tokens(tail + choice)[-1] for choice in choices)

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _shown(self, after: list[int], before: list[int]) -> str:
        same = next((i for i, (a, b) in enumerate(zip(after, before, strict=False)) if a != b), len(before))
        return " + ".join(repr(self._tokenizer.decode([i])) for i in after[same:]) or "nothing"


def choice_logits(model: Any, hidden: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
    """Logits of `ids` for one position, float32 (choices,), from `hidden` (width,), whatever format the model runs in.

    Only the rows of the LM head for the choices are used, with its bias where it has one. In float32 because at a
    head of a few thousand columns bfloat16 rounds log-odds to steps of about 0.06.
    """
    import torch

    head = model.get_output_embeddings()
    rows = torch.tensor(list(ids), device=head.weight.device)
    logits = head.weight[rows].float() @ hidden.float()
    if getattr(head, "bias", None) is not None:
        logits = logits + head.bias[rows].float()
    return _scaled(logits, model.config.get_text_config())


def _scaled(logits: torch.Tensor, config: Any) -> torch.Tensor:
    """What some families do to logits behind the head: Cohere multiplies, Granite divides, Gemma 2 bends them."""
    import torch

    if scale := getattr(config, "logit_scale", None):
        logits = logits * scale
    if divisor := getattr(config, "logits_scaling", None):
        logits = logits / divisor
    if cap := getattr(config, "final_logit_softcapping", None):
        logits = cap * torch.tanh(logits / cap)
    return logits
