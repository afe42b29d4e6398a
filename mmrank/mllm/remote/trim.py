"""Sizes of prompts in tokens, estimated, and prompts cut to a checkpoint's own limit."""

from __future__ import annotations

import math
from dataclasses import replace

from mmrank.mllm.prompt import ImagePart, Message, Part, Prompt, TextPart

CHARACTERS_PER_TOKEN = 4.0
"""English text in today's vocabularies; a server's own tokenizer is not here."""

PIXELS_PER_TOKEN = 32 * 32
"""Qwen3-VL: patches of 16 x 16, four of them one token (METHODS.md 1.4). Other families lie within a factor two."""

TOKENS_PER_MESSAGE = 5
"""Role, turn start and turn end."""


def estimated_tokens(prompt: Prompt) -> int:
    """Tokens of a prompt: a quarter of its characters, one for 32 x 32 pixels, a few for each message. An estimate."""
    tokens = sum(_part_tokens(part) for part in prompt.parts())
    return math.ceil(tokens + TOKENS_PER_MESSAGE * (len(prompt.messages) + 1) + _text_tokens(prompt.answer_prefix))


def _part_tokens(part: Part) -> float:
    if isinstance(part, ImagePart):
        return part.picture.width * part.picture.height / PIXELS_PER_TOKEN + 2
    return _text_tokens(part.text)


def _text_tokens(text: str) -> float:
    return len(text) / CHARACTERS_PER_TOKEN


def fitted(prompt: Prompt) -> Prompt | None:
    """`prompt` within its `max_tokens_in`, by estimate: words go from the end of the last data text that has any.

    None when it does not fit without losing pictures or mmrank's own words.
    """
    limit = prompt.max_tokens_in
    if limit is None or estimated_tokens(prompt) <= limit:
        return prompt
    over = estimated_tokens(prompt) - limit
    messages = [list(message.parts) for message in prompt.messages]
    for parts in reversed(messages):
        for place in range(len(parts) - 1, -1, -1):
            part = parts[place]
            if over > 0 and isinstance(part, TextPart) and part.data:
                shorter = _shortened(part.text, over)
                over -= math.floor(_text_tokens(part.text) - _text_tokens(shorter))
                parts[place] = replace(part, text=shorter)
    if over > 0:
        return None
    kept = (Message(role=m.role, parts=tuple(p)) for m, p in zip(prompt.messages, messages, strict=True))
    return replace(prompt, messages=tuple(kept))


def _shortened(text: str, tokens: int) -> str:
    """`text` without its last words, at least `tokens` tokens shorter where it is long enough."""
    keep = max(0, math.floor(len(text) - (tokens + 1) * CHARACTERS_PER_TOKEN))
    if keep == 0 or text[keep].isspace():
        return text[:keep].rstrip()
    words = text[:keep].rsplit(maxsplit=1)
    return words[0] if len(words) > 1 else text[:keep]
