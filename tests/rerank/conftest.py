"""Tests of the engine import `scripted` and `knowing` by name; importlib mode puts no folder on the path."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from mmrank.types import Hit, Item, Query, Ranking, Source


def _load(name: str, path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


_HERE = Path(__file__).parent
_load("scripted", _HERE / "asks" / "scripted.py")
_load("knowing", _HERE / "knowing.py")


def text_ranking(count: int, query: str | Query = "a dog", stage: str = "first") -> Ranking:
    """Text items doc0, doc1, ... with falling scores."""
    hits = [
        Hit(item=Item(id=f"i{i}", kind="text", text=f"doc{i}."), score=1 - i / 100, stage=stage) for i in range(count)
    ]
    return Ranking(query=query if isinstance(query, Query) else Query(text=query), hits=hits)


@pytest.fixture
def texts() -> Callable[..., Ranking]:
    return text_ranking


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures 0.png, 1.png, ...: number i is 20 + i pixels wide, by which a judge can tell it."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    for i in range(24):
        Image.new("RGB", (20 + i, 16), (10 * i, 90, 255 - 10 * i)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def pictures(picture_folder: Path) -> Callable[..., Ranking]:
    """A Ranking of the first pictures."""

    def made(count: int, query: Query | None = None) -> Ranking:
        hits = [
            Hit(item=Item(id=f"i{i}", kind="image", uri=str(picture_folder / f"{i}.png")), score=1 - i / 100)
            for i in range(count)
        ]
        return Ranking(query=query or Query(text="a dog"), hits=hits)

    return made


@pytest.fixture
def sourced() -> Callable[[dict[str, list[int]]], Ranking]:
    """A merged Ranking of text items from named lists of item numbers, best first in each."""

    def made(lists: dict[str, list[int]]) -> Ranking:
        numbers = list(dict.fromkeys(n for row in zip(*lists.values(), strict=True) for n in row))
        hits = []
        for place, number in enumerate(numbers):
            sources = tuple(
                Source(name=name, rank=row.index(number) + 1, score=0.0) for name, row in lists.items() if number in row
            )
            item = Item(id=f"i{number}", kind="text", text=f"doc{number}.")
            hits.append(Hit(item=item, score=float(-place), sources=sources))
        return Ranking(query=Query(text="a dog"), hits=hits)

    return made


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3-VL on disk."""
    tiny: Any = _load("tiny_vl", _HERE.parent / "models" / "tiny_vl.py")
    folder: Path = tiny.write_tiny("qwen3_vl", tmp_path_factory.mktemp("tiny") / "tiny-qwen3-vl")
    return folder
