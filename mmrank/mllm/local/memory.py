"""How many tokens to give a model at a time."""

from __future__ import annotations

from typing import Any

ON_CPU = 8192
"""Tokens a batch on a CPU, where larger ones gain nothing (measured: batched equals one by one in time)."""

FEATURES = 1 << 30
"""Bytes of features of pictures kept in the machine's memory by default: about 250 pictures of 256 tokens of a 2B
Qwen3-VL in 16 bits, thousands of smaller ones."""

PREFIXES = 512 << 20
"""Bytes of shared prefixes kept on the model's device by default: about 30 of 150 tokens of a 2B Qwen3-VL in 16
bits."""

MOST = 131_072
LEAST = 2048


def default_batch_tokens(model: Any) -> int:
    """Tokens one batch may hold by default: half of what the free memory of a GPU would take, `ON_CPU` elsewhere.

    A first guess, deliberately low; a batch that does not fit is halved when it is run.
    """
    import torch

    if model.device.type != "cuda":
        return ON_CPU
    free, _ = torch.cuda.mem_get_info(model.device)
    return max(LEAST, min(MOST, int(free / 2 / bytes_per_token(model.config))))


def bytes_per_token(config: Any) -> int:
    """Bytes of 16-bit activations and cache one token takes: the widest layer, its cache in all layers, and its share
    of the vision tower (four patches a token, as in Qwen-VL)."""
    text: Any = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    cache = 2 * text.num_hidden_layers * heads * head
    layer = 8 * text.hidden_size + 3 * text.intermediate_size
    vision = getattr(config, "vision_config", None)
    patches = 0 if vision is None else 4 * 4 * (8 * int(getattr(vision, "hidden_size", 1024)))
    return int(2 * (cache + layer + patches))
