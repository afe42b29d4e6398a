from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mmrank.mllm.base import Choices
from mmrank.mllm.local.backend import LocalMLLM
from mmrank.mllm.prompt import ImagePart, Message, Part, Picture, Prompt, TextPart


@pytest.fixture
def fresh(tiny: Callable[[str], LocalMLLM]) -> Callable[..., LocalMLLM]:
    """The weights of a tiny model by family, with nothing kept yet, and any options."""

    def made(family: str, **options: Any) -> LocalMLLM:
        shared = tiny(family)
        return LocalMLLM(shared.model, shared.processor, spec="fresh", **options)

    return made


@pytest.fixture(scope="session")
def pair(picture: Callable[..., Picture]) -> Callable[..., Prompt]:
    """A yes/no prompt as the pair layout makes it: query (words and pictures) first, its shared parts counted.

    Pictures by seed; several of a document stand for frames, each behind its time.
    """

    def shown(seed: int) -> ImagePart:
        return ImagePart(picture=picture(seed, 40 + 17 * (seed % 5), 40 + 23 * (seed % 3)))

    def made(
        query: str = "red boat",
        document: str = "",
        *,
        reference: tuple[int, ...] = (),
        pictures: tuple[int, ...] = (),
        shared: bool = True,
    ) -> Prompt:
        asked: list[Part] = [TextPart(text="Query: "), *map(shown, reference), TextPart(text=query, data=True)]
        asked.append(TextPart(text="\nDocument: "))
        parts = list(asked)
        for number, seed in enumerate(pictures):
            parts += [TextPart(text=f"\nAt {number} s: ")] if len(pictures) > 1 else []
            parts.append(shown(seed))
        if document:
            parts.append(TextPart(text=document, data=True))
        system = Message(role="system", parts=(TextPart(text="Judge whether document meets query"),))
        messages = (system, Message(role="user", parts=tuple(parts)))
        return Prompt(messages=messages, shared=1 + len(asked) if shared else 0)

    return made


@pytest.fixture(scope="session")
def log_odds() -> Callable[..., list[float]]:
    """yes against no of prompts asked in one call."""

    def asked(mllm: LocalMLLM, prompts: list[Prompt]) -> list[float]:
        answers = mllm.choice_logprobs(prompts, [("yes", "no")] * len(prompts))
        assert all(isinstance(answer, Choices) for answer in answers), answers
        return [a.logprobs[0] - a.logprobs[1] for a in answers]  # type: ignore[union-attr, operator]

    return asked


@pytest.fixture
def counted() -> Callable[[LocalMLLM], Any]:
    """What passes through a model inside a ``with``: pictures through the tower, and tokens through the layers."""

    @contextmanager
    def counting(mllm: LocalMLLM) -> Iterator[dict[str, int]]:
        seen = {"pictures": 0, "tokens": 0}
        base = mllm.model.model

        def tower(_module: Any, args: Any, kwargs: Any) -> None:
            seen["pictures"] += len(kwargs["grid_thw"])

        def layer(_module: Any, args: Any, kwargs: Any) -> None:
            states = args[0] if args else kwargs["hidden_states"]
            seen["tokens"] += states.shape[0] * states.shape[1]

        text = getattr(base, "language_model", base)
        hooks = [text.layers[0].register_forward_pre_hook(layer, with_kwargs=True)]
        if hasattr(base, "visual"):
            hooks.append(base.visual.register_forward_pre_hook(tower, with_kwargs=True))
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    return counting
