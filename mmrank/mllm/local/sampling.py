"""Text from a model: greedy, or drawn so that a draw depends on its own seed and not on its batch mates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmrank.errors import UsageError
from mmrank.mllm.base import Sampling

if TYPE_CHECKING:
    import torch


def check_sampling(sampling: Sampling, prompts: int) -> None:
    """Raise `UsageError` for values no text can be drawn with, and for seeds that are not one a prompt."""
    if sampling.seeds and len(sampling.seeds) != prompts:
        raise UsageError(f"Sampling has {len(sampling.seeds)} seeds for {prompts} prompts; give one each, or none.")
    if sampling.max_tokens < 1:
        raise UsageError(f"max_tokens is {sampling.max_tokens}; it must be at least 1.")
    if sampling.temperature < 0:
        raise UsageError(f"temperature is {sampling.temperature}; it must be 0 (greedy) or more.")
    if not 0 < sampling.top_p <= 1:
        raise UsageError(f"top_p is {sampling.top_p}; it must be above 0 and at most 1.")
    if sampling.top_k is not None and sampling.top_k < 1:
        raise UsageError(f"top_k is {sampling.top_k}; it must be at least 1, or None for all tokens.")


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a text: those of the checkpoint's generation settings and its tokenizer's own."""
    given = model.generation_config.eos_token_id
    listed = [] if given is None else [given] if isinstance(given, int) else list(given)
    own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return sorted({*listed, *own})


def write(
    model: Any,
    inputs: Mapping[str, torch.Tensor],
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    ends: Sequence[int],
    pad_id: int,
    max_tokens: int,
) -> list[list[int]]:
    """The token ids the model writes behind each prompt of a left-padded batch, up to and including an end token.

    `seeds`: one a prompt. Of the checkpoint's own generation settings only the end tokens
    count: temperature, penalties and the rest are what the Sampling says and nothing else.
    """
    from transformers import GenerationConfig, LogitsProcessorList

    settings = GenerationConfig(
        max_new_tokens=max_tokens, do_sample=False, eos_token_id=list(ends) or None, pad_token_id=pad_id, use_cache=True
    )
    processors = LogitsProcessorList()
    if sampling.temperature > 0:
        rows = _rows(inputs)
        processors.append(_Draw(sampling, [_seed(seed, row) for seed, row in zip(seeds, rows, strict=True)]))
    own = model.generation_config
    model.generation_config = settings  # generate() fills what a given configuration leaves open from the model's own
    try:
        written = model.generate(**inputs, generation_config=settings, logits_processor=processors)
    finally:
        model.generation_config = own
    start = inputs["input_ids"].shape[1]
    return [_until_end(row, set(ends)) for row in written[:, start:].tolist()]


class _Draw:
    """A LogitsProcessor after which the largest logit is a draw from softmax(logits / temperature): Gumbel-max.

    One random stream a row, so that a row's draws do not depend on how many rows there are.
    """

    def __init__(self, sampling: Sampling, seeds: Sequence[int]) -> None:
        import torch

        self._sampling = sampling
        self._streams = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        logits = _nucleus(scores.float() / self._sampling.temperature, self._sampling)
        uniform = torch.stack([torch.rand(scores.shape[1], generator=g, dtype=torch.float64) for g in self._streams])
        gumbel = -torch.log(-torch.log(uniform.clamp_min(1e-300)))
        return logits + gumbel.to(scores.device, torch.float32)


def _nucleus(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Minus infinity for all but the `top_k` best tokens, then for those beyond the `top_p` mass of what is left."""
    import torch

    if sampling.top_k is not None and sampling.top_k < logits.shape[1]:
        kth = logits.topk(sampling.top_k).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if sampling.top_p < 1:
        ordered, places = logits.sort(descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        drop = torch.zeros_like(logits, dtype=torch.bool).scatter(1, places, before >= sampling.top_p)
        logits = logits.masked_fill(drop, -torch.inf)
    return logits


def _rows(inputs: Mapping[str, torch.Tensor]) -> list[list[int]]:
    """Each prompt's own token ids, without the padding."""
    ids, mask = inputs["input_ids"].tolist(), inputs["attention_mask"].tolist()
    return [[i for i, m in zip(row, kept, strict=True) if m] for row, kept in zip(ids, mask, strict=True)]


def _seed(seed: int, ids: Sequence[int]) -> int:
    """A row's own seed: with one seed for a whole run, different prompts still get independent draws."""
    digest = hashlib.blake2b(f"{seed}:{','.join(map(str, ids))}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1


def _until_end(ids: list[int], ends: set[int]) -> list[int]:
    stop = next((i for i, token in enumerate(ids) if token in ends), None)
    return ids if stop is None else ids[: stop + 1]
