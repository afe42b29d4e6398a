from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from mmrank.mllm.prompt import ImagePart, Message, Part, Picture, Prompt, TextPart

if TYPE_CHECKING:
    from mmrank.mllm.local.backend import LocalMLLM

_MODELS = Path(__file__).parents[1] / "models" / "tiny_vl.py"
SEEING = ["qwen3_vl", "qwen2_5_vl", "qwen2_vl", "internvl", "llava_onevision"]


@pytest.fixture(scope="session")
def tiny_vl() -> ModuleType:
    """The module that writes tiny models."""
    found = importlib.util.spec_from_file_location("tiny_vl", _MODELS)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_folder(tiny_vl: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by family; written once."""

    @cache
    def written(family: str) -> Path:
        folder: Path = tiny_vl.write_tiny(family, tmp_path_factory.mktemp(family))
        return folder

    return written


@pytest.fixture(scope="session")
def tiny(tiny_folder: Callable[[str], Path]) -> Callable[[str], LocalMLLM]:
    """A loaded tiny model by family, shared by all tests: do not change it."""
    from mmrank.mllm.registry import load_mllm

    @cache
    def loaded(family: str) -> Any:
        return load_mllm(str(tiny_folder(family)), device="cpu", threads=1)

    return loaded


@pytest.fixture(scope="session")
def picture() -> Callable[..., Picture]:
    """A picture of noise: another for each seed."""

    def made(seed: int = 0, width: int = 60, height: int = 40) -> Picture:
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        return Picture(
            key=f"noise:{seed}:{width}x{height}", width=width, height=height, open=lambda: Image.fromarray(pixels)
        )

    return made


@pytest.fixture(scope="session")
def ask(picture: Callable[..., Picture]) -> Callable[..., Prompt]:
    """A yes/no prompt: the query's words and, as the document, pictures (by seed) and words."""

    def made(query: str = "red boat", document: str = "", pictures: tuple[int, ...] = (), **more: Any) -> Prompt:
        shown: list[Part] = [
            ImagePart(picture=picture(seed, 40 + 17 * (seed % 5), 40 + 23 * (seed % 3)), mark="document")
            for seed in pictures
        ]
        if document:
            shown.append(TextPart(text=document, data=True, mark="document"))
        user = (
            TextPart(text="Query: "),
            TextPart(text=query, data=True, mark="query"),
            TextPart(text="\nDocument: "),
            *shown,
        )
        system = Message(role="system", parts=(TextPart(text="Judge whether document meets query"),))
        return Prompt(messages=(system, Message(role="user", parts=user)), **more)

    return made
