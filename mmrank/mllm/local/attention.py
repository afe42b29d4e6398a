"""Attention from some tokens to all tokens, without the full matrix: queries and keys are caught on their way.

In-Context Re-ranking (Chen et al., ICLR 2025, section 3; METHODS 8.8) needs the rows of the query's tokens only: of a
prompt of 10,000 tokens with a query of 20 that is one five-hundredth of what ``output_attentions=True`` would hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_NAME = "mmrank_rows"
_catching: ContextVar[_Rows | None] = ContextVar("mmrank_attention_rows", default=None)


class _Rows:
    """Sums, over layers and heads, the attention of the rows at `positions` of a single unpadded prompt."""

    def __init__(self, positions: Sequence[int]) -> None:
        self.positions = list(positions)
        self.total: torch.Tensor | None = None

    def add(
        self, module: Any, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
    ) -> None:
        """`query` (1, heads, tokens, width), `key` (1, key heads, tokens, width), both after rotation."""
        import torch

        rows = torch.tensor(self.positions, device=query.device)
        q = query[0, :, rows]
        k = key[0].repeat_interleave(query.shape[1] // key.shape[1], dim=0)
        scores = (q @ k.transpose(1, 2)) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        if mask is None:
            later = torch.arange(k.shape[1], device=rows.device)[None, :] > rows[:, None]
            scores = scores.masked_fill(later, -torch.inf)
        elif mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask[0, :, rows, : k.shape[1]], -torch.inf)
        else:
            scores = scores + mask[0, :, rows, : k.shape[1]]
        weights = scores.softmax(-1, dtype=torch.float32).mean(1).sum(0)
        self.total = weights if self.total is None else self.total + weights


def attention_rows(model: Any, inputs: dict[str, torch.Tensor], positions: Sequence[int]) -> torch.Tensor:
    """Attention to every token from the tokens at `positions`: float32 (tokens,), mean over them, summed over layers
    and heads. `inputs`: one prompt, without padding. `model`: the base model, without its LM head.
    """
    import torch

    rows = _Rows(positions)
    with _caught(model), torch.inference_mode():
        token = _catching.set(rows)
        try:
            model(**inputs, use_cache=False)
        finally:
            _catching.reset(token)
    if rows.total is None:
        raise RuntimeError("the model's attention layers do not go through transformers' attention interface")
    return rows.total


@contextmanager
def _caught(model: Any) -> Iterator[None]:
    """The text layers of `model` through our attention function; its vision tower as it was."""
    _register()
    text = model.config.get_text_config()
    before = text._attn_implementation
    wanted: Any = _NAME if text is model.config else {"text_config": _NAME}
    back: Any = before if text is model.config else {"text_config": before}
    model.set_attn_implementation(wanted)
    try:
        yield
    finally:
        model.set_attn_implementation(back)


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

    if _NAME not in ALL_MASK_ATTENTION_FUNCTIONS:
        AttentionInterface.register(_NAME, _forward)
        AttentionMaskInterface.register(_NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


def _forward(  # noqa: PLR0917 - transformers' own signature
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot product attention as transformers does it, having looked at the wanted rows first."""
    from transformers import AttentionInterface

    if (rows := _catching.get()) is not None:
        rows.add(module, query, key, attention_mask, scaling)
    inner = AttentionInterface()["sdpa"]
    out: tuple[torch.Tensor, None] = inner(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    return out
