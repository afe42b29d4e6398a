"""Real late-interaction models with random weights, as folders to load; see `tiny_vl` for their parts."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

DIMENSION = 16


def write_colqwen2(tiny_vl: ModuleType, folder: Path, *, seed: int = 0) -> Path:
    """A ColQwen2 and its processor; returns the folder."""
    import torch
    from transformers import ColQwen2Config, ColQwen2ForRetrieval, ColQwen2Processor

    torch.manual_seed(seed)
    vlm, processor = tiny_vl.qwen2_vl()
    model = ColQwen2ForRetrieval(ColQwen2Config(vlm_config=vlm.config.to_dict(), embedding_dim=DIMENSION))
    _lively(model)
    model.save_pretrained(folder)
    ColQwen2Processor(processor.image_processor, processor.tokenizer).save_pretrained(folder)
    return folder


def write_colpali(tiny_vl: ModuleType, folder: Path, *, seed: int = 0) -> Path:
    """A ColPali and its processor; returns the folder."""
    import torch
    import transformers as t

    torch.manual_seed(seed)
    tokenizer = tiny_vl.new_tokenizer(image_token="<image>")
    tokenizer.add_special_tokens({"bos_token": "<|im_start|>"})
    images = t.SiglipImageProcessor(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = t.ColPaliProcessor(images, tokenizer)
    text = {**tiny_vl.TEXT, "model_type": "gemma", "head_dim": 16, "vocab_size": len(tokenizer), "pad_token_id": 0}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vlm = t.PaliGemmaConfig(
        text_config=text,
        vision_config={"model_type": "siglip_vision_model", **vision, "image_size": 32, "patch_size": 8},
        image_token_index=processor.image_token_id,
        projection_dim=64,
        hidden_size=64,
    )
    model = t.ColPaliForRetrieval(t.ColPaliConfig(vlm_config=vlm.to_dict(), embedding_dim=DIMENSION))
    _lively(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _lively(model: Any) -> None:
    """Weights large enough that pages differ."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 1.5 / parameter[0].numel() ** 0.5)
