"""Choices, scores and duels read from what models write."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.rerank.parse_values import read_choice, read_duel, read_score, read_scores
from mmrank.rerank.repair import Labels

FOUR = Labels(4)
AB = Labels(("A", "B"))


@pytest.mark.parametrize(
    "text",
    [
        "(3)",
        "Answer: (3)",
        "Ans: (3",
        "The best is (3), then (1).",
        "[3]",
        "3",
        "3.",
        "The answer is 3.",
        "<answer>3</answer>",
        "<think>(1) or (2)?</think>(3)",
        "Image 3 fits best",
        "（３）",
        "(03)",
        "Final answer: (3)",
        "best: **3**",
    ],
)
def test_one_choice(text: str) -> None:
    assert read_choice(text, FOUR) == (2, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(7) or rather (2)", (1, 1)),
        ("none of them", (None, 0)),
        ("", (None, 0)),
        ("I cannot tell 3 dogs apart", (None, 0)),
        ("(9)", (None, 1)),
        ("(" + "9" * 5000 + ")", (None, 1)),
    ],
)
def test_no_choice_or_a_wrong_one(text: str, found: tuple[int | None, int]) -> None:
    assert read_choice(text, FOUR) == found


def test_a_choice_cut_in_the_middle_of_its_number_is_none() -> None:
    assert read_choice("The answer is 1", Labels(12), cut=True).position is None


@pytest.mark.parametrize(
    "text",
    [
        '{"[1]": 5, "[2]": 8.5, "[3]": 0}',
        '{"1": 5, "2": 8.5, "3": 0}',
        "{1: 5, 2: 8.5, 3: 0}",
        '{"Image 1": 5, "Image 2": 8.5, "Image 3": 0}',
        '<answer>{"[1]": 5, "[2]": 8.5, "[3]": 0}</answer>',
        '<answer>\n```json\n{"[1]": 5, "[2]": 8.5, "[3]": 0}\n```\n</answer>',
        '<reason>[1]: 3</reason>```json\n{"[1]]": 5, "[2]": 8.5, "[3]": 0',
        'so {"[1]": 1} was wrong: {"scores": {"[1]": "5", "[2]": "8.5", "[3]": 0}}',
        "[1]: 5\n[2]: 8.5\n[3]: 0\n",
    ],
)
def test_a_number_for_each_label(text: str) -> None:
    assert read_scores(text, FOUR).scores == (5.0, 8.5, 0.0, None)


def test_entries_that_cannot_count_are_dropped_and_counted() -> None:
    read = read_scores('{"[1]": 11, "[2]": -1, "[3]": 4, "[3]": 9, "[9]": 2}', FOUR)
    assert read.scores == (None, None, 4.0, None)
    assert read.dropped == 4


@pytest.mark.parametrize("text", ["", "no", "at 10:30 it was 3:5", "{}", '{"[1]": null}', '{"[1]": "high"}', "{" * 100])
def test_no_scores(text: str) -> None:
    assert read_scores(text, FOUR).named == 0


def test_a_score_cut_off_is_not_read() -> None:
    assert read_scores('{"[1]": 5, "[2]": 1', FOUR, cut=True).scores == (5.0, None, None, None)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("<score>85</score>", 85),
        ("<score> 85 </score>", 85),
        ("<score>**85**/100</score>", 85),
        ("<score>85", 85),
        ("<score>10</score> no: <score>85</score>", 85),
        ("<think><score>10</score></think>Score: 85", 85),
        ("The score is 85.0", 85),
        ("**Score:** 85/100", 85),
        ("<score>0</score>", 0),
        ("<score>100</score>", 100),
        ("<score>101</score>", None),
        ("<score>-1</score>", None),
        ("<score>8.5</score>", None),
        ("<score>high</score>", None),
        ("<score>" + "9" * 5000, None),
        ("85", None),
        ("", None),
    ],
)
def test_rubric_score(text: str, score: int | None) -> None:
    assert read_score(text) == score


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("A", 0),
        ("B.", 1),
        ("b", 1),
        ("(B)", 1),
        ("Answer: B", 1),
        ("Image B is better because of a dog.", 1),
        ("The better one is B", 1),
        ("I prefer A", 0),
        ("<answer>B</answer>", 1),
        ("<think>A? A. [A]</think> B", 1),
        ("**B**", 1),
        ("A is better than B", 0),
        ("B matches better, it shows both.", 1),
        ("I choose image B", 1),
        ("Image A is worse", None),
        ("Neither", "tie"),
        ("Neither (A) nor (B)", "tie"),
        ("Both are similar", "tie"),
        ("I cannot tell", "tie"),
        ("A dog is there", None),
        ("[A] or [B]", None),
        ("", None),
        ("C", None),
    ],
)
def test_duel(text: str, winner: object) -> None:
    assert read_duel(text, AB) == winner


def test_duel_of_numbers() -> None:
    assert read_duel("Image 2", Labels(2)) == 1


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=200),
        st.binary(max_size=200).map(lambda raw: raw.decode("utf-8", "replace")),
        st.lists(st.sampled_from([*'()[]{}:"129AB,', "score", "<score>", "<answer>", "answer", "1e9", "-3", ".5"])).map(
            " ".join
        ),
    ),
    st.booleans(),
)
def test_any_text_is_read_without_an_error(text: str, cut: bool) -> None:
    choice = read_choice(text, FOUR, cut=cut)
    assert choice.position is None or 0 <= choice.position < 4
    scores = read_scores(text, FOUR, cut=cut)
    assert len(scores.scores) == 4
    assert all(score is None or 0 <= score <= 10 for score in scores.scores)
    score = read_score(text, cut=cut)
    assert score is None or 0 <= score <= 100
    assert read_duel(text, AB) in (0, 1, "tie", None)


@pytest.mark.parametrize(
    "unit",
    ["1", "(", "[", "{", '"', ":", " ", "a", "(1", "[1]:", "<score>", "score ", "answer ", "-", "1.", "A ", "*A"],
)
def test_time_is_in_proportion_to_the_text(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    start = time.process_time()
    for labels in (FOUR, AB):
        read_choice(text, labels)
        read_scores(text, labels)
        read_duel(text, AB)
    read_score(text)
    assert time.process_time() - start < 10.0
