"""Names in a pipeline file: what a caller may change, and what stages share."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from mmrank.compose.forms import Sqaf
from mmrank.errors import UsageError
from mmrank.index.index import Index
from mmrank.pipeline import Cutoff
from mmrank.pipeline_file import load_pipeline, read_pipeline
from mmrank.pipeline_names import JudgeWrites, filled
from mmrank.types import Item

NAMED = '[names]\nk = 9\n[[stage]]\ntype = "cutoff"\nk = "{k}"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    return path


def test_a_name_stands_for_its_value_or_the_callers(tmp_path: Path) -> None:
    path = written(tmp_path, NAMED)
    assert load_pipeline(path) == Cutoff(k=9)
    assert load_pipeline(path, k=3) == Cutoff(k=3)


def test_a_name_within_a_text_and_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    raw = {"names": {"a": "x", "n": [1, 2]}, "one": ["{a}-{a}", {"two": "{n}"}]}
    assert filled(raw, {}) == {"one": ["x-x", {"two": [1, 2]}]}
    assert filled(raw, {"a": Path("here")})["one"][0] == f"{tmp_path}/here-{tmp_path}/here"
    assert filled({"one": "{not a name}", "two": "{b}"}, {}) == {"one": "{not a name}", "two": "{b}"}


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        (NAMED, {"kk": 3}, "has no name 'kk'; it has k"),
        ('[[stage]]\ntype = "cutoff"\nk = 1', {"k": 3}, "has no table .names."),
        (NAMED, {"k": "three"}, "stage.0.cutoff.k: .*'three'"),
        (NAMED + 'type = "{other}"', {}, "not valid TOML"),
        ('[names]\na = 1\n[[stage]]\ntype = "{b}"', {}, "{b} stands for nothing; the names of the file are a"),
        ('[names]\na = 1\nk = 2\n[[stage]]\ntype = "cutoff"\nk = "{k}"', {}, "names.a is used nowhere"),
        ('names = 3\n[[stage]]\ntype = "cutoff"\nk = 1', {}, "must be a table"),
    ],
)
def test_a_name_that_cannot_be_meant_is_named(tmp_path: Path, text: str, given: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_pipeline(written(tmp_path, text), **given)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP."""
    found = importlib.util.spec_from_file_location("tiny_clip", Path(__file__).parent / "models" / "tiny_clip.py")
    assert found is not None
    assert found.loader is not None
    tiny = importlib.util.module_from_spec(found)
    found.loader.exec_module(tiny)
    folder: Path = tiny.write_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))
    return folder


@pytest.fixture
def photos(clip: Path, tmp_path: Path) -> Path:
    """An index of three pictures."""
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "green")):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{name}.png")
    index = Index.create(tmp_path / "photos", str(clip))
    index.add(Item(id=name, kind="image", uri=str(tmp_path / f"{name}.png")) for name in "abc")
    return tmp_path / "photos"


SHARED = """
[[stage]]
type = "retriever"
index = "photos"
compose = "sqaf@./judge"
[[stage]]
type = "super_global"
index = "photos"
[[stage]]
type = "rerank"
judge = "yes_no@./judge"
depth = 5
[[stage]]
type = "rerank"
judge = "yes_no@./judge"
depth = 2
[[stage]]
type = "rerank"
judge = "yes_no@./judge"
options = { precision = "float32" }
"""


def test_stages_share_an_index_and_a_judge(photos: Path, tmp_path: Path) -> None:
    found = importlib.util.spec_from_file_location("tiny_vl", Path(__file__).parent / "models" / "tiny_vl.py")
    assert found is not None
    assert found.loader is not None
    tiny = importlib.util.module_from_spec(found)
    found.loader.exec_module(tiny)
    tiny.write_tiny("qwen3_vl", tmp_path / "judge")
    first, second, judge, again, other = load_pipeline(written(tmp_path, SHARED)).stages  # type: ignore[attr-defined]
    assert first.index is second.source
    assert judge.mllm is again.mllm
    assert judge.mllm is not other.mllm
    assert isinstance(first.options.compose, Sqaf)
    writer = first.options.compose.captioner
    assert isinstance(writer, JudgeWrites)
    writer.write([])
    assert writer._captions._model is judge.mllm
