"""Batches are prepared beside the model, one ahead and no further, and a fault there is its own prompt's alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from mmrank.errors import MediaError
from mmrank.mllm.base import Choices, Failure
from mmrank.mllm.local.backend import LocalMLLM
from mmrank.mllm.prompt import ImagePart, Message, Picture, Prompt

WAIT = 30.0
YES_NO = ("yes", "no")


def alone(number: int, opener: Callable[[], Image.Image]) -> Prompt:
    shown = ImagePart(picture=Picture(key=f"p{number}", width=64, height=64, open=opener))
    return Prompt(messages=(Message(role="user", parts=(shown,)),))


def test_the_next_batch_is_opened_while_the_model_runs_and_no_batch_after_it(
    fresh: Callable[..., LocalMLLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = [threading.Event() for _ in range(5)]
    ran: list[list[bool]] = []

    def opener(number: int) -> Callable[[], Image.Image]:
        def one() -> Image.Image:
            opened[number].set()
            return Image.new("RGB", (64, 64), (40 * number, 0, 0))

        return one

    mllm = fresh("qwen3_vl", batch_tokens=1)
    inner = mllm.model.model.forward

    def slow(*args: Any, **kwargs: Any) -> Any:
        following = len(ran) + 1
        if following < len(opened):
            assert opened[following].wait(WAIT), "the next batch was not prepared while this one ran"
        ran.append([event.is_set() for event in opened])
        return inner(*args, **kwargs)

    monkeypatch.setattr(mllm.model.model, "forward", slow)
    answers = mllm.choice_logprobs([alone(i, opener(i)) for i in range(5)], [YES_NO] * 5)
    assert all(isinstance(answer, Choices) for answer in answers)
    assert ran == [[number <= turn + 1 for number in range(5)] for turn in range(5)]


def test_a_fault_in_a_batch_that_was_prepared_ahead_is_its_own(fresh: Callable[..., LocalMLLM]) -> None:
    def gone() -> Image.Image:
        raise MediaError("p2 is gone")

    prompts = [alone(i, gone if i == 2 else lambda: Image.new("RGB", (64, 64))) for i in range(5)]
    answers = fresh("qwen3_vl", batch_tokens=1).choice_logprobs([*prompts, prompts[2]], [YES_NO] * 6)
    assert [a.error if isinstance(a, Failure) else "" for a in answers] == ["", "", "p2 is gone", "", "", "p2 is gone"]


def test_the_tower_running_out_of_memory_gives_smaller_batches_and_the_same_answers(
    fresh: Callable[..., LocalMLLM],
    pair: Callable[..., Prompt],
    log_odds: Callable[..., list[float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prompts = [pair("red boat", reference=(1,), pictures=(seed,)) for seed in range(8)]
    expected = log_odds(fresh("qwen2_5_vl"), [replace(prompt, shared=0) for prompt in prompts])
    mllm = fresh("qwen2_5_vl")
    inner = mllm.model.model.visual.forward

    def small_memory(*args: Any, **kwargs: Any) -> Any:
        if len(kwargs["grid_thw"]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return inner(*args, **kwargs)

    monkeypatch.setattr(mllm.model.model.visual, "forward", small_memory)
    assert log_odds(mllm, prompts) == pytest.approx(expected, abs=1e-4)


def test_a_prompt_is_opened_only_when_its_picture_is_not_known(
    fresh: Callable[..., LocalMLLM], pair: Callable[..., Prompt]
) -> None:
    opened: list[int] = []

    def opener(number: int) -> Callable[[], Image.Image]:
        def one() -> Image.Image:
            opened.append(number)
            return Image.new("RGB", (64, 64), (60 * number, 0, 0))

        return one

    mllm = fresh("qwen3_vl", batch_tokens=1)
    prompts = [alone(i % 3, opener(i % 3)) for i in range(9)]
    mllm.choice_logprobs(prompts, [YES_NO] * 9)
    assert sorted(opened) == [0, 1, 2]
    mllm.choice_logprobs(prompts, [YES_NO] * 9)
    assert len(opened) == 3
