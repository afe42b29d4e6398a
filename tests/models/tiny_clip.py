"""A real open_clip CLIP with random weights, small enough to load in a tenth of a second."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
PREPROCESS: dict[str, Any] = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def write_tiny_clip(
    folder: Path,
    *,
    seed: int = 0,
    dtype: str = "float32",
    change: Callable[[dict[str, Any]], None] | None = None,
    **text_cfg: Any,
) -> Path:
    """Write `open_clip_config.json` and `open_clip_model.safetensors`; `change` may edit the state dict first."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **text_cfg}}, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    logging.disable(logging.WARNING)  # open_clip warns that the weights are random, which is the point
    try:
        model = open_clip.create_model(f"local-dir:{folder}")
    finally:
        logging.disable(logging.NOTSET)
    state = {name: tensor.contiguous().to(getattr(torch, dtype)) for name, tensor in model.state_dict().items()}
    if change is not None:
        change(state)
    save_file(state, folder / "open_clip_model.safetensors")
    return folder
