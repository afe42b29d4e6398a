from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mmrank.embed.open_clip import OpenClipEmbedder

_MODELS = Path(__file__).parents[1] / "models" / "tiny_clip.py"


@pytest.fixture(scope="session")
def write_tiny_clip() -> Callable[..., Path]:
    found = importlib.util.spec_from_file_location("tiny_clip", _MODELS)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.write_tiny_clip  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def tiny_clip(write_tiny_clip: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model."""
    return write_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))


@pytest.fixture(scope="session")
def embedder(tiny_clip: Path) -> OpenClipEmbedder:
    from mmrank.embed.registry import load_embedder

    return load_embedder(str(tiny_clip), device="cpu", threads=1)  # type: ignore[return-value]


@pytest.fixture(scope="session")
def tiny_vl() -> ModuleType:
    """The module that writes tiny vision-language models."""
    return _module("tiny_vl")


@pytest.fixture(scope="session")
def tiny_late() -> ModuleType:
    """The module that writes tiny late-interaction models."""
    return _module("tiny_late")


def _module(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, _MODELS.with_name(f"{name}.py"))
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_qwen(tiny_vl: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Qwen3-VL whose template shows videos too."""
    image = "{%- if part['type'] == 'image'"
    video = (
        "{%- if part['type'] == 'video' -%}{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}"
        "{%- elif part['type'] == 'image'"
    )
    template = tiny_vl.QWEN_TEMPLATE.replace(image, video)
    return tiny_vl.write_tiny("qwen3_vl", tmp_path_factory.mktemp("tiny-qwen"), template=template)  # type: ignore[no-any-return]
