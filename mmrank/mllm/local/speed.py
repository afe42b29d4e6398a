"""Tokens a second of a model on this machine, from made-up prompts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mmrank.errors import MllmError
from mmrank.mllm.base import Failure, Generated, Speed
from mmrank.mllm.local.drafts import blank_picture
from mmrank.mllm.prompt import ImagePart, Message, Part, Prompt, TextPart

if TYPE_CHECKING:
    from mmrank.mllm.local.backend import LocalMLLM

LONG_ENOUGH = 0.2
"""Seconds after which a measurement is trusted; until then it is repeated with four times the work."""

_PICTURE_SIDE = 224


def measure(mllm: LocalMLLM, write: Callable[[Prompt, int], Generated | Failure]) -> Speed:
    """Read and write speed, one prompt at a time, pictures and words mixed where the model sees pictures.

    `write` gives a text of exactly so many tokens. The work grows from one picture and 8 words until it takes
    `LONG_ENOUGH`, so that a small model answers within a second or two and a large one is not kept busy for longer than
    one prompt. Raises `MllmError` when the model cannot answer a made-up prompt.
    """
    short = _prompt(mllm, 1)
    _timed(write, short, 1)  # the first call pays for kernels and caches
    size, seconds, tokens = 1, 0.0, 0
    while seconds < LONG_ENOUGH and size <= 64:
        prompt = _prompt(mllm, size)
        limit = mllm.limits.tokens_in
        if limit is not None and mllm.count_tokens(prompt) >= limit:
            break
        seconds, tokens = _timed(write, prompt, 1)
        size *= 4
    count, reading, writing = 2, 0.0, 0.0
    while writing - reading < LONG_ENOUGH / 2 and count < 128:
        count *= 4
        reading, _ = _timed(write, short, 1)
        writing, _ = _timed(write, short, 1 + count)
    return Speed(read=tokens / max(seconds, 1e-6), write=count / max(writing - reading, 1e-3))


def _prompt(mllm: LocalMLLM, size: int) -> Prompt:
    words = TextPart(text=" ".join(f"word {i}" for i in range(8 * size)))
    blank = blank_picture(_PICTURE_SIDE, _PICTURE_SIDE)
    shown = [ImagePart(picture=replace(blank, key=f"{blank.key}-{i}")) for i in range(size)]  # each passes the tower
    parts: tuple[Part, ...] = (words,) if mllm.limits.images == 0 else (words, *shown)
    return Prompt(messages=(Message(role="user", parts=parts),))


def _timed(write: Callable[[Prompt, int], Generated | Failure], prompt: Prompt, tokens: int) -> tuple[float, int]:
    """Seconds it took, and how many tokens were read."""
    start = time.perf_counter()
    answer = write(prompt, tokens)
    if isinstance(answer, Failure):
        raise MllmError(f"The model cannot answer a made-up prompt: {answer.error}")
    return time.perf_counter() - start, answer.cost.tokens_in
