"""Prompt files: what is bundled loads, and what is wrong in a file is said by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.errors import RecipeError
from mmrank.prompts import load_prompt, prompt_names

GOOD = """
name = "mine"
layout = "pair"
source = "our own words"
user = "{query} / {document}?"
"""


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", prompt_names())
def test_every_bundled_prompt_loads(name: str) -> None:
    prompt = load_prompt(name)
    assert prompt.name == name
    assert prompt.exact == prompt.source.startswith("exact: ")


@pytest.mark.parametrize("name", prompt_names())
def test_prompts_that_quote_say_what_the_tags_mean(name: str) -> None:
    prompt = load_prompt(name)
    words = (prompt.system or "") + prompt.user
    assert (prompt.quote == "tags") == ("between <text> and </text>" in words)


def test_a_file_of_ones_own_is_given_by_its_path(tmp_path: Path) -> None:
    assert load_prompt(write(tmp_path, GOOD)).user == "{query} / {document}?"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{document}", "{dokument}"), r"user has the slot \{dokument\}"),
        ((" / {document}?", ""), r"user must have the slot \{document\} once"),
        (('layout = "pair"', 'layout = "list"'), r"slot \{document\}"),
        (('layout = "pair"', 'layout = "round"'), "layout"),
        (("user =", 'colour = "red"\nuser ='), "colour"),
        (("user =", 'candidate = "{label} {item}"\nuser ='), "candidate is for layout list"),
        (("user =", 'instruction = "Judge."\nuser ='), "belong together"),
        (("{query} /", "{instruction} {query} /"), "belong together"),
        (("user =", "exact = true\nuser ="), 'quote = "none"'),
        (("user =", 'exact = true\nquote = "none"\nuser ='), "composed, dialogue, image, video"),
        (('{document}?"', '{document}?"\n[query]\ntext = "{turns}"'), r"query.text has the slot \{turns\}"),
        (('{document}?"', '{document}?"\n[query]\ncomposed = "{text}"'), r"query.composed must have the slot"),
        (("user =", "user"), "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(RecipeError, match=message) as caught:
        load_prompt(path)
    assert "mine.toml" in str(caught.value)


def test_unknown_names_are_answered_with_near_ones(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Near it: rankgpt"):
        load_prompt("rangpt")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_prompt(str(tmp_path / "none.toml"))
