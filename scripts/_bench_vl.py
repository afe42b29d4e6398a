"""A Qwen3-VL of random weights in any size, as a folder to load, and pictures and queries to ask it about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmrank.prompts import load_prompt

PROMPT = load_prompt("qwen3_vl_reranker")
"""The form every contender writes: the reference reranker's own."""

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

WORDS = (
    "the same a an dog cat boat street house dress lamp bird bottle red blue green white black wooden small large two "
    "three in on at with without from left right under above behind night day water snow garden kitchen beach but and "
    "more fewer longer shorter facing holding standing sleeping running open closed yes no"
)

_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"

_OPENING = (
    f"<|im_start|>system\\n{PROMPT.system}<|im_end|>\\n<|im_start|>user\\n<Instruct>: {PROMPT.instruction}<Query>:"
)
"""In a Jinja string, where a new line is written with a backslash."""

TEMPLATE = f"""\
{{%- for message in messages -%}}
{{%- if message['role'] == 'query' -%}}
{{{{- '{_OPENING}' -}}}}
{{%- elif message['role'] == 'document' -%}}{{{{- '\\n<Document>:' -}}}}
{{%- else -%}}{{{{- '<|im_start|>' + message['role'] + '\\n' -}}}}{{%- endif -%}}
{{%- if message['content'] is string -%}}{{{{- message['content'] -}}}}{{%- else -%}}
{{%- for part in message['content'] -%}}
{{%- if part['type'] == 'image' -%}}{{{{- '{_PICTURE}' -}}}}{{%- else -%}}{{{{- part['text'] -}}}}{{%- endif -%}}
{{%- endfor -%}}{{%- endif -%}}
{{{{- '<|im_end|>\\n' if message['role'] != 'query' -}}}}
{{%- endfor -%}}
{{%- if add_generation_prompt or messages[-1]['role'] == 'document' -%}}
{{{{- '<|im_start|>assistant\\n' -}}}}
{{%- endif -%}}
"""
"""Takes mmrank's messages and sentence-transformers' roles (query, document), and writes the same text for both."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Qwen3-VL. `deepstack`: the vision layers whose features are added to the first text layers."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    feed: int
    vocabulary: int | None
    sections: tuple[int, int, int]
    vision_hidden: int
    vision_layers: int
    vision_heads: int
    vision_feed: int
    deepstack: tuple[int, ...]
    tied: bool = True


SHAPES = {
    "mid": Shape(512, 8, 8, 4, 64, 1536, None, (12, 10, 10), 384, 8, 6, 1536, (1, 3, 5)),
    "2b": Shape(2048, 28, 16, 8, 128, 6144, 151_936, (24, 20, 20), 1024, 24, 16, 4096, (5, 11, 17)),
    "8b": Shape(4096, 36, 32, 8, 128, 12_288, 151_936, (24, 20, 20), 1152, 27, 16, 4304, (8, 16, 24), tied=False),
}
"""``mid``: DEPENDENCIES' 53 million parameters. ``2b``, ``8b``: config.json of Qwen3-VL-2B and -8B-Instruct."""


def written(folder: Path, size: str, *, device: str = "cpu", dtype: str = "float32") -> Path:
    """The folder with a model of this size and its processor; made once."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    folder = folder / f"{size}-{dtype}"
    if (folder / "processor_config.json").is_file():
        return folder
    processor, shape = _processor(), SHAPES[size]
    ids = {name: processor.tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in _IDS}
    ends = {"bos_token_id": None, "eos_token_id": ids["im_end"], "pad_token_id": ids["endoftext"]}
    config = Qwen3VLConfig(
        text_config={
            "hidden_size": shape.hidden,
            "intermediate_size": shape.feed,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "head_dim": shape.head,
            "max_position_embeddings": 32_768,
            "vocab_size": shape.vocabulary or len(processor.tokenizer),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_section": list(shape.sections),
                "mrope_interleaved": True,
            },
            **ends,
        },
        vision_config={
            "depth": shape.vision_layers,
            "hidden_size": shape.vision_hidden,
            "intermediate_size": shape.vision_feed,
            "num_heads": shape.vision_heads,
            "patch_size": 16,
            "out_hidden_size": shape.hidden,
            "num_position_embeddings": 2304,
            "deepstack_visual_indexes": list(shape.deepstack),
        },
        tie_word_embeddings=shape.tied,
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
    )
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            model = Qwen3VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(torch.float32)
    model.generation_config.pad_token_id = ids["endoftext"]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


_IDS = ("im_end", "endoftext", "image_pad", "video_pad", "vision_start", "vision_end")


def _processor() -> Any:
    """Stock classes; a vocabulary in which every word of these prompts is one token, as nearly in Qwen's own."""
    import transformers as t
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    split = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(split, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    said = f"{PROMPT.system} {PROMPT.user} {PROMPT.instruction} {WORDS} assistant user system"
    corpus = [said, " " + said, "\n".join(re.findall(r"\w+", said))] * 50
    special = [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    bpe.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=2_000,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = t.PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        padding_side="left",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=list(SPECIAL[1:]),
        model_max_length=32_768,
        clean_up_tokenization_spaces=False,
    )
    size = {"shortest_edge": 64 * 64, "longest_edge": 1280 * 1440}
    cut: dict[str, Any] = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    return t.Qwen3VLProcessor(
        image_processor=t.Qwen2VLImageProcessor(size=dict(size), **cut),
        tokenizer=tokenizer,
        video_processor=t.Qwen3VLVideoProcessor(size=dict(size), cap_pixels_per_frame=False, **cut),
        chat_template=TEMPLATE,
    )


def pictures(folder: Path, count: int, side: int, seed: int = 0) -> list[Path]:
    """`count` square JPEGs of `side` pixels, blurred colours with some noise; made once."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{side}-{number:04d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            rng = np.random.default_rng((seed, number))
            small = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
            wide = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), dtype=np.int16)
            noise = rng.integers(-20, 21, wide.shape, dtype=np.int16)
            Image.fromarray(np.clip(wide + noise, 0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def sentences(count: int, seed: int = 0) -> list[str]:
    """`count` texts of 8 to 14 words, as modifications in CIRR have."""
    rng = np.random.default_rng(seed)
    words: Sequence[str] = WORDS.split()
    return [" ".join(rng.choice(words, int(rng.integers(8, 15)))) for _ in range(count)]
