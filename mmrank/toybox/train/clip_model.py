"""toybox-clip: its shape, its preprocessing, and how it is saved for open_clip's `local-dir:` scheme."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from safetensors.torch import save
from torch import Tensor, nn

from mmrank.toybox.train.clip_batches import IMAGE_SIDE

CONTEXT_LENGTH = 40
"""Tokens of text the model sees, start and end marks included."""

MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": IMAGE_SIDE, "patch_size": 8, "width": 128, "layers": 4, "head_width": 32},
    "text_cfg": {
        "context_length": CONTEXT_LENGTH,
        "vocab_size": 49408,
        "width": 128,
        "heads": 4,
        "layers": 3,
    },
}
"""open_clip's `model_cfg`: 7.8 million parameters, of which 6.3 are the vocabulary of its own tokenizer."""

PREPROCESS_CONFIG: dict[str, Any] = {
    "size": [IMAGE_SIDE, IMAGE_SIDE],
    "mode": "RGB",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "squash",
    "fill_color": 0,
}
"""open_clip's `preprocess_cfg`: whole pictures squashed to a square, so that pages keep their top and bottom."""

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"


def new_model(seed: int) -> nn.Module:
    """A fresh toybox-clip with random weights that depend on the seed only."""
    torch.manual_seed(seed)
    model: nn.Module = open_clip.CLIP(**MODEL_CONFIG)
    return model


def tokens(texts: tuple[str, ...] | list[str]) -> Tensor:
    """Texts to token ids (texts, CONTEXT_LENGTH) with open_clip's own tokenizer; no network."""
    ids: Tensor = open_clip.SimpleTokenizer(context_length=CONTEXT_LENGTH)(list(texts))
    return ids


def pixels(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """Pictures (n, side, side, 3) as bytes to normalised pixels (n, 3, side, side)."""
    mean, std = float(PREPROCESS_CONFIG["mean"][0]), float(PREPROCESS_CONFIG["std"][0])
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - mean) / std


def export(model: nn.Module, folder: Path) -> None:
    """Write weights (float16 safetensors) and configuration into `folder`, loadable as `local-dir:<folder>`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().half().contiguous() for name, tensor in model.state_dict().items()}
    (folder / WEIGHTS_FILE).write_bytes(save(weights, metadata={"format": "pt"}))
    config = {"model_cfg": MODEL_CONFIG, "preprocess_cfg": PREPROCESS_CONFIG}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> tuple[nn.Module, Any]:
    """The exported model in float32, ready to use, and open_clip's own preprocessing for it."""
    model, _, preprocess = open_clip.create_model_and_transforms(
        f"local-dir:{folder.resolve()}", require_pretrained=True
    )
    return model.eval(), preprocess
