"""Real vision-language models with random weights, a fraction of a million parameters each, as folders to load.

Every family mmrank's local backend promises to take: the stock transformers classes, processors and (shortened) chat
templates; only the sizes and the vocabulary are small. Building one takes well under two seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

QWEN_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
OTHER_SPECIAL = ("<image>", "<video>", "<img>", "</img>", "<IMG_CONTEXT>")
THINKING = ("<think>", "</think>")
"""Added to the vocabulary without being special, as in Qwen3: decoding shows them."""

_CORPUS = (
    "yes no Query Document Candidates user assistant system the a an of to is in on and or best answer order page "
    "picture red blue green boat dog cat pizza left right above below at night one two three four five six seven "
    "Judge whether document meets requirement Find image that matches text query title subtitle caption score "
    "A B C D E F G H I J K L M N O P Q R S T 1 2 3 4 5 6 7 8 9 0 [ ] ( ) < > : . , ! ?"
)

QWEN_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' or 'image' in part or 'image_url' in part -%}
{{- IMAGE -}}
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

IMAGES_FIRST_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + ' ' -}}
{%- for part in message['content'] | selectattr('type', 'equalto', 'image') -%}{{- '<image>' -}}{%- endfor -%}
{%- for part in message['content'] | selectattr('type', 'equalto', 'text') -%}
{{- '\\n' + part['text'] -}}
{%- endfor -%}
{{- '<|im_end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
"""LLaVA-OneVision's habit: all pictures of a message before all of its texts."""

TRIMMING_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n\\n' + (message['content'] | trim) + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n\\n' -}}{%- endif -%}
"""
"""Llama 3's habit: content is one string, and white space around it goes."""

TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}


LIVELY = 1.5
"""Standard deviation of what a layer makes of inputs of deviation 1."""


@cache
def _trained() -> str:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    split = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(split, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    corpus = [" " + _CORPUS, "\n" + _CORPUS.replace(" ", "\n")] * 50
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in (*QWEN_SPECIAL, *OTHER_SPECIAL)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in THINKING])
    return tokenizer.to_str()


def new_tokenizer(**named: str) -> Any:
    """Byte-level BPE with Qwen's special tokens; `named` gives attributes such as ``image_token``."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained()),
        padding_side="right",  # as Qwen ships it: the backend must not depend on it
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=named or list(QWEN_SPECIAL[1:]),
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def _qwen_processor(family: str, patch: int, template: str) -> Any:
    import transformers as t

    size = {"shortest_edge": 32 * 32, "longest_edge": 128 * 128}
    shape: dict[str, Any] = {"patch_size": patch, "merge_size": 2, "temporal_patch_size": 2}
    video = {
        "Qwen2VL": t.Qwen2VLVideoProcessor,
        "Qwen2_5_VL": t.Qwen2VLVideoProcessor,
        "Qwen3VL": t.Qwen3VLVideoProcessor,
    }
    extra = {"cap_pixels_per_frame": False} if family == "Qwen3VL" else {}
    return getattr(t, f"{family}Processor")(
        image_processor=t.Qwen2VLImageProcessor(size=dict(size), **shape),
        tokenizer=new_tokenizer(),
        video_processor=video[family](size=dict(size), **shape, **extra),
        chat_template=template.replace("IMAGE", "'<|vision_start|><|image_pad|><|vision_end|>'"),
    )


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    return {f"{key}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in names.items()}


def _ends(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "pad_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    }


def qwen3_vl(template: str = QWEN_TEMPLATE, **text: Any) -> tuple[Any, Any]:
    """A model and its processor."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    processor = _qwen_processor("Qwen3VL", 16, template)
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 16}
    config = Qwen3VLConfig(
        text_config={**TEXT, "head_dim": 16, "rope_parameters": rope, **_ends(processor.tokenizer), **text},
        vision_config={
            **vision,
            "out_hidden_size": 64,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        tie_word_embeddings=True,
        **_qwen_ids(processor.tokenizer),
    )
    return Qwen3VLForConditionalGeneration(config), processor


def qwen2_5_vl() -> tuple[Any, Any]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    processor = _qwen_processor("Qwen2_5_VL", 14, QWEN_TEMPLATE)
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 2, 2]}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 14}
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": rope, **_ends(processor.tokenizer)},
        vision_config={**vision, "out_hidden_size": 64, "window_size": 56, "fullatt_block_indexes": [1]},
        **_qwen_ids(processor.tokenizer),
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


def qwen2_vl() -> tuple[Any, Any]:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    processor = _qwen_processor("Qwen2VL", 14, QWEN_TEMPLATE)
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 2, 2]}
    config = Qwen2VLConfig(
        text_config={**TEXT, "rope_parameters": rope, **_ends(processor.tokenizer)},
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        **_qwen_ids(processor.tokenizer),
    )
    return Qwen2VLForConditionalGeneration(config), processor


def _qwen2_text(tokenizer: Any) -> dict[str, Any]:
    return {"model_type": "qwen2", **TEXT, **_ends(tokenizer), "tie_word_embeddings": False}


def internvl() -> tuple[Any, Any]:
    import transformers as t

    tokenizer = new_tokenizer(
        start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>"
    )
    images = t.GotOcr2ImageProcessor(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    processor = t.InternVLProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=t.InternVLVideoProcessor(size={"height": 32, "width": 32}),
        image_seq_length=4,
        chat_template=QWEN_TEMPLATE.replace("IMAGE", "'<IMG_CONTEXT>\\n'"),
    )
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = t.InternVLConfig(
        text_config=_qwen2_text(tokenizer),
        vision_config={**vision, "image_size": [32, 32], "patch_size": [8, 8]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    return t.InternVLForConditionalGeneration(config), processor


def llava_onevision() -> tuple[Any, Any]:
    import transformers as t

    tokenizer = new_tokenizer(image_token="<image>", video_token="<video>")
    grid = [[32, 32], [32, 64], [64, 32], [64, 64]]
    images = t.LlavaOnevisionImageProcessor(size={"height": 32, "width": 32}, image_grid_pinpoints=grid)
    processor = t.LlavaOnevisionProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=t.LlavaOnevisionVideoProcessor(size={"height": 32, "width": 32}),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=IMAGES_FIRST_TEMPLATE,
    )
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = t.LlavaOnevisionConfig(
        text_config=_qwen2_text(tokenizer),
        vision_config={"model_type": "siglip_vision_model", **vision, "image_size": 32, "patch_size": 8},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grid,
    )
    return t.LlavaOnevisionForConditionalGeneration(config), processor


def llama() -> tuple[Any, Any]:
    """A text-only causal model; its "processor" is the tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = new_tokenizer()
    tokenizer.chat_template = TRIMMING_TEMPLATE
    return LlamaForCausalLM(LlamaConfig(**TEXT, **_ends(tokenizer))), tokenizer


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "qwen3_vl": qwen3_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen2_vl": qwen2_vl,
    "internvl": internvl,
    "llava_onevision": llava_onevision,
    "llama": llama,
}


def write_tiny(family: str, folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Write a model of `family` into `folder`. Its answers move by whole units of log-odds with words and pictures:
    with the small weights transformers starts from they would all be alike, and a test could not tell right from wrong.
    """
    import torch

    torch.manual_seed(seed)
    model, processor = FAMILIES[family](**changes)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, LIVELY / parameter[0].numel() ** 0.5)
    model.generation_config.pad_token_id = model.config.get_text_config().pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
