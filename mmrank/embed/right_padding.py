"""Prompts of different lengths as one batch, padded on the right, where a causal model cannot see the padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BY_TOKEN = frozenset({"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"})
"""Tensors of shape (1, tokens); all others hold pictures and are joined along the first axis."""


def collate(
    rows: Sequence[Mapping[str, torch.Tensor]], pad_id: int, device: torch.device, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """One batch on `device`, floating point tensors as `dtype`. `pad_id` fills ``input_ids``, zero the rest."""
    import torch

    length = max(row["input_ids"].shape[1] for row in rows)
    batch: dict[str, torch.Tensor] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        own = [row[name] for row in rows if name in row]
        if name in BY_TOKEN:
            fill = pad_id if name == "input_ids" else 0
            own = [torch.nn.functional.pad(one, (0, length - one.shape[1]), value=fill) for one in own]
        joined = torch.cat(own)
        batch[name] = joined.to(device, dtype) if joined.is_floating_point() else joined.to(device)
    return batch


def last_attended(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The state at the last attended token of each row: (n, tokens, d) and (n, tokens) to (n, d)."""
    import torch

    last = mask.shape[1] - 1 - mask.flip(dims=[1]).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]
