"""Checkpoint rows: found by name, and nothing in them that the parts do not know."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mmrank.errors import RecipeError
from mmrank.prompts import load_prompt
from mmrank.rerank.forms import Form, find_form, form_for, list_forms
from mmrank.rerank.render_settings import RenderSettings


@pytest.mark.parametrize("form", list_forms(), ids=lambda form: form.name)
def test_rows_fit_the_parts(form: Form) -> None:
    RenderSettings(**form.rendering)  # type: ignore[arg-type]
    for key, name in form.prompts.items():
        prompt = load_prompt(name)
        assert prompt.layout == key.split(".")[0]
        assert prompt.exact or form.name == "setr"
    assert find_form(form.name) is form
    assert form_for(form.name) is form


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("Qwen/Qwen3-VL-Reranker-2B", "qwen3-vl-reranker-2b"),
        ("Qwen/Qwen3-VL-Reranker-2B@a1b2c3", "qwen3-vl-reranker-2b"),
        ("Qwen/Qwen3-VL-Reranker-8B", "qwen3-vl-reranker"),
        ("/data/models/my-qwen3-vl-reranker-8b-lora/", "qwen3-vl-reranker"),
        ("~/.cache/hub/models--Qwen--Qwen3-VL-Reranker-2B/snapshots/0123abcd", "qwen3-vl-reranker-2b"),
        ("openai:http://localhost:8000/v1#Qwen/Qwen3-VL-Reranker-8B", "qwen3-vl-reranker"),
        ("vec-ai/lychee-rerank-mm", "lychee-rerank-mm"),
        ("lightonai/MonoQwen2-VL-v0.1", "monoqwen2-vl"),
        ("openai:http://localhost:8000/v1#jinaai/jina-reranker-m0", "jina-reranker-m0"),
        ("TianchengGu/UniME-V2-reranker-Qwen25VL-7B", "unime-v2-reranker"),
        ("i2vec/MM-R5", "mm-r5"),
        ("toybox-vl", "toybox-vl"),
        ("assets/models/toybox-vl", "toybox-vl"),
    ],
)
def test_a_model_is_known_by_its_name(spec: str, name: str) -> None:
    form = form_for(spec)
    assert form is not None
    assert form.name == name


@pytest.mark.parametrize(
    "spec",
    [
        "Qwen/Qwen3-VL-8B-Instruct",
        "/tests-of-qwen3-vl-reranker-8b/other-model",
        "openai:http://toybox-vl:8000/v1#Qwen3-VL-8B",
        "TianchengGu/UniME-V2-Qwen2VL-2B",
        "",
    ],
)
def test_other_models_have_no_form(spec: str) -> None:
    assert form_for(spec) is None


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(RecipeError, match="Near it: mm-r5"):
        find_form("mmr5")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("prompts", {"pair": "pair"}, "LAYOUT.ASK"),
        ("rendering", {"pixels": 3}, "setting that is none"),
        ("rendering", {"s": 0}, "s is 0"),
        ("ask", {"yes": "yes"}, "positive"),
        ("colour", "red", "Extra inputs"),
        ("needs", ["magic"], "generate"),
    ],
)
def test_wrong_rows_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Form.model_validate({"name": "a", "source": "b", field: value})


def test_the_2b_reranker_warns_of_images() -> None:
    assert "loses to its own 2B embedder" in (find_form("qwen3-vl-reranker-2b").warning or "")
    assert find_form("qwen3-vl-reranker").warning is None
