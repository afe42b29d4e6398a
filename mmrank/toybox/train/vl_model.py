"""toybox-vl: its shape, tokenizer, processor and chat template, and how it is saved for transformers' Auto classes."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from mmrank.toybox.train.vl_pictures import IMAGE_SIDE, MERGE, PATCH
from mmrank.toybox.train.vl_words import SPECIAL, new_vocabulary

LARGEST_SIDE = 192
"""Side of the largest square the processor lets through: a sheet of nine cells, or an S-Grid of 128."""

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' or 'image' in part or 'image_url' in part -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif part['type'] == 'video' or 'video' in part -%}
{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
{%- elif 'text' in part -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""

TEXT_CONFIG: dict[str, Any] = {
    "hidden_size": 192,
    "intermediate_size": 448,
    "num_hidden_layers": 8,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "head_dim": 32,
    "max_position_embeddings": 4096,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5_000_000.0,
        "mrope_section": [6, 5, 5],
        "mrope_interleaved": True,
    },
    "tie_word_embeddings": True,
}

VISION_CONFIG: dict[str, Any] = {
    "depth": 4,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_heads": 4,
    "patch_size": PATCH,
    "spatial_merge_size": MERGE,
    "temporal_patch_size": 2,
    "out_hidden_size": 192,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [1],
}


def new_tokenizer() -> PreTrainedTokenizerFast:
    """The vocabulary as transformers wants it, padded on the left, turns ending with `<|im_end|>`."""
    return PreTrainedTokenizerFast(
        tokenizer_object=new_vocabulary(),
        padding_side="left",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=[token for token in SPECIAL if token not in ("<|endoftext|>", "<|im_end|>")],
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def new_processor() -> Qwen3VLProcessor:
    """The processor: pictures between 64 x 64 and 192 x 192 pixels in area, sides cut to multiples of 16."""
    size = {"shortest_edge": IMAGE_SIDE**2, "longest_edge": LARGEST_SIDE**2}
    shape: dict[str, Any] = {
        "patch_size": PATCH,
        "merge_size": MERGE,
        "temporal_patch_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=dict(size), **shape),
        tokenizer=new_tokenizer(),
        video_processor=Qwen3VLVideoProcessor(size=dict(size), cap_pixels_per_frame=False, **shape),
        chat_template=CHAT_TEMPLATE,
    )


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3VLForConditionalGeneration:
    """A fresh toybox-vl with random weights that depend on the seed only."""
    torch.manual_seed(seed)
    ids = {token: number for number, token in enumerate(SPECIAL)}
    ends = {"bos_token_id": None, "eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"]}
    config = Qwen3VLConfig(
        text_config={**TEXT_CONFIG, "vocab_size": len(tokenizer), **ends},
        vision_config=dict(VISION_CONFIG),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    config._attn_implementation = "sdpa"
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(**ends, do_sample=False)
    return model


def export(model: Qwen3VLForConditionalGeneration, processor: Qwen3VLProcessor, folder: Path) -> None:
    """Write the model (float16 safetensors) and its processor into `folder`, loadable with the Auto classes."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().half() for name, tensor in model.state_dict().items()}
    half = Qwen3VLForConditionalGeneration(model.config).half()
    half.load_state_dict(weights)
    half.tie_weights()
    half.generation_config = model.generation_config
    half.save_pretrained(folder)
    processor.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors are written for their owner only


def load(folder: Path) -> tuple[Qwen3VLForConditionalGeneration, Qwen3VLProcessor]:
    """The exported model in float32, ready to use, and its processor, from local files only."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval(), AutoProcessor.from_pretrained(folder, local_files_only=True)
