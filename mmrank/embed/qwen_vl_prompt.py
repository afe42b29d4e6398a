"""What Qwen3-VL-Embedding reads: an instruction, then videos, pictures and texts, in the checkpoint's own template.

The layout is that of QwenLM/Qwen3-VL-Embedding at 8ce3aab, `src/models/qwen3_vl_embedding.py` (`format_model_input`).
Two things differ on purpose: nothing is ever replaced by the word NULL or cut to fit, and control tokens within the
texts are broken, so that a text cannot end the user's turn or stand for a picture.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from mmrank.embed.qwen_vl_media import Clip, tokens_of
from mmrank.errors import EmbedderError, MediaError
from mmrank.mllm.local.controls import ControlTokens

if TYPE_CHECKING:
    import torch

DEFAULT_INSTRUCTION = "Represent the user's input."
"""Of documents, and of whatever names none: the literal of the reference (`Qwen3VLEmbedder`, default_instruction)."""

QUERY_INSTRUCTION = "Retrieve images or text relevant to the user's query."
"""Of queries that name none: the task sentence of the checkpoint's own examples (README, Usage)."""

MAX_TOKENS = 8192

_MILLISECONDS = 1000
"""The processor writes a frame's time as index / fps: indices in milliseconds at a rate of 1000 give the true one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One input of the model: at least a clip, a picture (RGB, resized) or a text that is not blank."""

    instruction: str = DEFAULT_INSTRUCTION
    clips: tuple[Clip, ...] = ()
    images: tuple[Image.Image, ...] = field(default=(), repr=False)
    texts: tuple[str, ...] = ()


def punctuated(instruction: str) -> str:
    """The instruction as the model was trained to see it: stripped, with a full stop where it ends in none of Unicode's
    punctuation.

    >>> punctuated(" Find the page that answers this question "), punctuated("What is it?")
    ('Find the page that answers this question.', 'What is it?')
    """
    stripped = instruction.strip()
    if stripped and not unicodedata.category(stripped[-1]).startswith("P"):
        return stripped + "."
    return stripped


class PromptWriter:
    """Contents to the tensors of one checkpoint. Thread-safe. `processor`: its transformers processor."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.tokenizer = processor.tokenizer
        added = list(self.tokenizer.added_tokens_decoder.values())
        self._controls = ControlTokens(
            [token.content for token in added],
            [*self.tokenizer.all_special_tokens, *(token.content for token in added if token.special)],
        )
        self._lock = threading.Lock()  # fast tokenizers must not be called by two threads with different padding
        if not getattr(processor, "chat_template", None):
            raise EmbedderError(
                "The checkpoint has no chat template; Qwen3-VL-Embedding needs its own (chat_template.jinja)."
            )

    def text(self, content: Content) -> str:
        """The prompt, one placeholder for each picture and clip.

        Raises `EmbedderError` when the chat template shows more or fewer of them than the content has.
        """
        instruction, *texts = self._controls.broken(
            [punctuated(content.instruction) or DEFAULT_INSTRUCTION, *content.texts], [True] * (1 + len(content.texts))
        )
        messages = [
            {"role": "system", "content": [{"type": "text", "text": instruction}]},
            {
                "role": "user",
                "content": [
                    *({"type": "video", "video": None} for _ in content.clips),
                    *({"type": "image", "image": None} for _ in content.images),
                    *({"type": "text", "text": text} for text in texts),
                ],
            },
        ]
        with self._lock:
            rendered = self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert isinstance(rendered, str)
        for token, media, name in (
            (self._processor.video_token, content.clips, "videos"),
            (self._processor.image_token, content.images, "pictures"),
        ):
            if rendered.count(token) != len(media):
                raise EmbedderError(
                    f"The checkpoint's chat template shows {rendered.count(token)} {name} where there are "
                    f"{len(media)}; it is not the template of Qwen3-VL-Embedding."
                )
        return rendered

    def tokens(self, content: Content) -> int:
        """Tokens the content takes: exact for texts and pictures, for clips up to the spelling of their times."""
        with_words = self.text(content)
        with self._lock:
            words = len(self.tokenizer(with_words, verbose=False).input_ids)
        pictures = sum(tokens_of(image.size) - 1 for image in content.images)
        clips = sum((tokens_of(clip.frames[0].size) + 12) * len(clip.frames) // 2 for clip in content.clips)
        return words + pictures + clips

    def encode(self, content: Content) -> Mapping[str, torch.Tensor]:
        """Tensors of one content: ``input_ids`` int64 (1, tokens) and what goes with it; pictures as float32.

        Raises `EmbedderError` for a content of more than `MAX_TOKENS` tokens, `MediaError` for pictures the processor
        refuses.
        """
        import torch

        text = self.text(content)
        given: dict[str, Any] = {}
        if content.images:
            given["images"] = list(content.images)
        if content.clips:
            given["videos"] = [_pixels(clip) for clip in content.clips]
            given["video_metadata"] = [_metadata(clip) for clip in content.clips]
            given |= {"do_sample_frames": False, "cap_pixels_per_frame": False}
        try:
            with self._lock:
                made = self._processor(text=[text], do_resize=False, return_tensors="pt", **given)
        except ValueError as error:
            raise MediaError(f"The model's processor refuses the pictures: {error}") from error
        tensors = {name: value for name, value in made.items() if isinstance(value, torch.Tensor)}
        length = tensors["input_ids"].shape[1]
        if length > MAX_TOKENS:
            raise EmbedderError(
                f"it takes {length} tokens and the model was made for {MAX_TOKENS}; give fewer pictures or shorter "
                "words (a text without pictures is cut into pieces by itself)"
            )
        return tensors


def _pixels(clip: Clip) -> torch.Tensor:
    """uint8 (frames, 3, height, width)."""
    import numpy as np
    import torch

    return torch.from_numpy(np.stack([np.asarray(frame) for frame in clip.frames])).permute(0, 3, 1, 2)


def _metadata(clip: Clip) -> Any:
    from transformers.video_utils import VideoMetadata

    places = [round(time * _MILLISECONDS) for time in clip.times]
    return VideoMetadata(total_num_frames=places[-1] + 1, fps=_MILLISECONDS, frames_indices=places)
