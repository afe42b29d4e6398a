"""Pages in docs/: their examples run, and what they say exists does."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import get_args

import pytest

import mmrank.rerank.vectors as room
from mmrank.compose import FORMS
from mmrank.compose.syntax import MAX_WEIGHT, NEGATIVE
from mmrank.pipeline_file import _STAGES
from mmrank.pipeline_vectors import Settings

DOCS = Path(__file__).parents[1] / "docs"
COMMON = {"index", "embedder", "depth", "compose"}
"""Keys of vector stages that are told of once for all."""

PAGES = sorted(page.name for page in DOCS.glob("*.md"))


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_examples_run(page: str) -> None:
    result = doctest.testfile(str(DOCS / page), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted == text_of(page).count("\n>>> ")


def test_the_pages_with_examples_are_run() -> None:
    assert {page for page in PAGES if "\n>>> " in text_of(page)} >= {"composing.md", "rescoring.md"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+?)\)", text_of(page)):
        if "://" not in link:
            assert (DOCS / link).exists(), link


def test_every_form_is_described() -> None:
    described = re.findall(r"^\| `([\w:@]+)` \|", text_of("composing.md"), re.M)
    assert set(FORMS) == set(described)
    assert f"with weight {NEGATIVE:g}" in text_of("composing.md")
    assert f"at most {MAX_WEIGHT:g}" in text_of("composing.md")


def test_every_vector_stage_is_described() -> None:
    made = {name for name in room.__all__ if name[0].islower() and name != "vector_stage"}
    rows = " ".join(line.split(" | ")[0] for line in text_of("rescoring.md").splitlines() if line.startswith("| `"))
    assert made <= set(re.findall(r"`(\w+)`", rows))


def test_every_type_of_stage_has_a_row_with_its_keys() -> None:
    rows = dict(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+?) \|$", text_of("pipelines.md"), re.M))
    keys = {
        name: set(re.findall(r"`(\w+)`", said)) for names, said in rows.items() for name in re.findall(r"\w+", names)
    }
    for config in get_args(_STAGES):
        (name,) = get_args(config.model_fields["type"].annotation)
        said_of_all = COMMON if issubclass(config, Settings) else set()
        assert set(config.model_fields) - {"type"} - said_of_all <= keys[name], name
