"""Where in a text the answer stands."""

from __future__ import annotations

import pytest

from mmrank.rerank.answer_text import after_final, last_fenced, last_tagged, regions, without_reasoning


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("b<think>never closed", "b"),
        ("<think>never closed", ""),
        ("<THINK>a</Think >b", "b"),
        ("<thinking>a</thinking>b", "b"),
        ("<think>a<think>b</think>c<think>d", "c"),
    ],
)
def test_reasoning_is_taken_off(text: str, rest: str) -> None:
    assert without_reasoning(text) == rest


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("<answer>a</answer>", "a"),
        ("<answer>a</answer><answer>b</answer>", "b"),
        ("<answer>a</answer><answer>", "a"),
        ("<answer>a", "a"),
        ("</answer>", None),
        ("none", None),
        ("<answer>a<answer>b</answer>", "b"),
    ],
)
def test_last_tag(text: str, inside: str | None) -> None:
    assert last_tagged(text, "answer") == inside


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```json\n[1]\n```", "[1]\n"),
        ("```[1]```", "[1]"),
        ("```\na\n``` ```\nb\n```", "b\n"),
        ("```\na\n``` ```\nb", "a\n"),
        ("```\na", None),
        ("", None),
    ],
)
def test_last_closed_fence(text: str, inside: str | None) -> None:
    assert last_fenced(text) == inside


@pytest.mark.parametrize("marker", ["Final answer: ", "**Final Answer:** ", "FINAL RANKING\n", "final_answer = "])
def test_final_answer_marker(marker: str) -> None:
    assert after_final("I said final order: [9]. " + marker + "[2]") == "[2]"


def test_places_come_most_certain_first_and_brackets_are_plain() -> None:
    found = regions("<think>x</think>Final answer: y <answer>［２］、【１】</answer>")
    assert [region.meant for region in found] == [True, True, False]
    assert found[0].text == "[２],[１]"
