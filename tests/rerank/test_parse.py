"""Orders read from what models write: the papers' forms, their usual variations, and any text at all."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.rerank.parse import ORDER_FORMATS, OrderFormat, read_order, says_none
from mmrank.rerank.repair import repair

LETTERS = ("A", "B", "C", "D")


def positions(text: str, form: OrderFormat, labels: int | tuple[str, ...] = 3, **options: bool) -> tuple[int, ...]:
    """The positions a text names, best first."""
    found = read_order(text, form, labels, **options)
    repaired = repair(found.labels, labels)
    return repaired.order[: repaired.named]


WANTED = (2, 0, 1)


@pytest.mark.parametrize("form", ORDER_FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        "[3] > [1] > [2]",
        "[3]>[1]>[2]",
        "[3], [1], [2]",
        "[3] [1] [2]",
        "3 > 1 > 2",
        "Image 3 > Image 1 > Image 2",
        "**[3] > [1] > [2]**",
        "[3, 1, 2]",
        "[3,1,2]\n",
        '["3", "1", "2"]',
        '["Image 3", "Image 1", "Image 2"]',
        "[Image 3, Image 1, Image 2]",
        '["[3]", "[1]", "[2]"]',
        "3 1 2",
        "3, 1, 2",
        "3\n1\n2",
        "Ranking: 3, 1, 2",
        "Order: [3] > [1] > [2].",
        "The order is [3, 1, 2].",
        "```json\n[3, 1, 2]\n```",
        '```json\n{"top_3_indices": [3, 1, 2]}\n```',
        '{"CoT": "Image 1 [1, 2, 3] fits", "top_3_indices": [3, 1, 2]}',
        '{"top_10_indices": [3, 1, 2]',
        '{"ranking": [3, 1, 2]}',
        "<answer>[3, 1, 2]</answer>",
        "<answer>3 > 1 > 2",
        "<think>[1, 2, 3]? [1] > [2] > [3]</think>\n<answer>[3] > [1] > [2]</answer>",
        "<think>[1, 2, 3]? no</think> [3, 1, 2]",
        "[1, 2, 3] perhaps.\nFinal answer: [3, 1, 2]",
        "［3］＞［1］＞［2］",
        "【3】>【1】>【2】",
        "[３] > [１] > [２]",
        "[03] > [01] > [02]",
        "Use the form [1, 2]. So: [3, 1, 2]",
        "1. Image 3\n2. Image 1\n3. Image 2",
        "1. [3]\n2. [1]\n3. [2]",
        "1) 3\n2) 1\n3) 2",
    ],
)
def test_every_form_is_understood_whatever_was_asked_for(text: str, form: OrderFormat) -> None:
    assert positions(text, form) == WANTED


@pytest.mark.parametrize(
    "text", ["[C] > [A] > [B]", "C > A > B", "[C, A, B]", "C A B", "<answer>[C, A, B]</answer>", "Image C > A > B"]
)
def test_letters_as_labels(text: str) -> None:
    assert positions(text, "brackets", LETTERS) == WANTED


def test_names_as_labels() -> None:
    names = ("img", "img_1", "left one")
    assert positions("[img_1] > [left one] > [img]", "brackets", names) == (1, 2, 0)
    assert positions('{"top_3_indices": ["left one", "img", "img_1"]}', "json", names) == (2, 0, 1)


def test_letters_are_capitals_so_that_words_are_no_labels() -> None:
    assert positions("a > b, I see a dog and a cat", "brackets", LETTERS) == ()


@pytest.mark.parametrize("form", ORDER_FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "I'm sorry, but I cannot help with ranking these 3 images.",
        "Je ne peux pas classer ces images.",
        "我无法对这些图片进行排序。",
        "The year 2024 had 12 months and 3.5 seasons.",
        "[7] > [8] > [9]",
        "[0, -1, 4]",
        "<think>[1] > [2] > [3]",
        "[]",
        "{}",
        "<answer></answer>",
        "9" * 5000,
    ],
)
def test_nothing_is_read_where_nothing_is_said(text: str, form: OrderFormat) -> None:
    assert positions(text, form) == ()


def test_wrong_labels_are_given_back_to_be_counted() -> None:
    assert read_order("[3, 9, 1, 3, -1, 2.5, dog]", "list", 3).labels == ("3", "9", "1", "3", "-1", "2.5", "dog")
    assert read_order("[2] > [9] > [2] > [1]", "brackets", 3).labels == ("2", "9", "2", "1")


def test_two_digit_labels_are_not_split() -> None:
    assert positions("[12] > [2] > [10] > [1]", "brackets", 12) == (11, 1, 9, 0)
    assert positions("12 2 10 1", "spaces", 12) == (11, 1, 9, 0)


def test_json_key_wins_over_any_other_list() -> None:
    text = '{"top_3_indices": [3, 1, 2], "CoT": "so [1, 2, 3]", "scores": [1, 2, 3]}'
    assert positions(text, "json") == WANTED


def test_open_text_is_read_only_where_allowed_and_said_to_be_loose() -> None:
    text = "Image 3 fits best, image 1 a little, [2] not at all."
    found = read_order(text, "brackets", 3)
    assert found.loose
    assert positions(text, "brackets") == WANTED
    assert positions(text, "brackets", prose=False) == ()
    assert positions(text, "brackets", cut=True) == ()
    assert positions("Final answer: image 3, because of the dog.", "list", prose=False) == (2,)


def test_evaluation_lists_in_open_reasoning_are_no_order() -> None:
    text = "1. Image 1: a cat, partial.\n2. Image 2: a dog, strong.\n3. Image 3: both, perfect.\n"
    assert positions(text, "json", prose=False) == ()
    assert positions(text + '{"top_3_indices": [3, 2, 1]}', "json", prose=False) == (2, 1, 0)


def test_a_number_at_the_cut_is_not_read() -> None:
    assert positions("[3, 12, 1", "list", 12) == (2, 11, 0)
    assert positions("[3, 12, 1", "list", 12, cut=True) == (2, 11)
    assert positions("[3] > [12] > [1", "brackets", 12, cut=True) == (2, 11)


def test_one_label_is_enough_for_one_slot_and_where_it_is_meant() -> None:
    assert positions("[1]", "brackets", 1) == (0,)
    assert positions("7", "spaces", 9) == (6,)
    assert positions("<answer>[2]</answer>", "answer_tag") == (1,)
    assert positions("I count 2 dogs", "spaces", 9) == ()


def test_none_of_them() -> None:
    assert says_none("NONE", "none")
    assert says_none("<think>2 1</think>\n None.", "none")
    assert not says_none("none of the first three", "none")
    assert not says_none("", "none")


parts = st.one_of(
    st.text(max_size=20),
    st.binary(max_size=20).map(lambda b: b.decode("utf-8", "replace")),
    st.integers().map(str),
    st.sampled_from([*'[]{}:">A \n', "[1]", "[2,1]", " > ", "1. ", "2) ", "(2)", "٣", "none", "9" * 5000]),
    st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "```", "Final answer:", "Image 3"]),
    st.just('"top_3_indices"'),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(parts, max_size=25).map("".join),
    st.sampled_from(ORDER_FORMATS),
    st.one_of(st.integers(0, 25), st.just(LETTERS)),
    st.booleans(),
    st.booleans(),
)
def test_any_text_at_all_makes_a_permutation(
    text: str, form: OrderFormat, labels: int | tuple[str, ...], prose: bool, cut: bool
) -> None:
    found = read_order(text, form, labels, prose=prose, cut=cut)
    repaired = repair(found.labels, labels)
    assert sorted(repaired.order) == list(range(labels if isinstance(labels, int) else len(labels)))
    assert bool(repaired.named) == bool(found.how)


SIZE = 200_000
LONG: dict[str, str] = {
    "digits": "1" * SIZE,
    "numbers": " ".join(str(i % 40) for i in range(SIZE // 3)),
    "chain": " > ".join(f"[{i % 40}]" for i in range(SIZE // 7)),
    "open brackets": "[" * SIZE,
    "open braces": "{" * SIZE,
    "nested": "[" * (SIZE // 2) + "]" * (SIZE // 2),
    "nested objects": '{"a":' * (SIZE // 10) + "}" * (SIZE // 2),
    "keys": '"top_3_indices": [' * (SIZE // 18),
    "open tags": "<answer>" * (SIZE // 8),
    "think tags": "<think>" * (SIZE // 7),
    "closing tags": "</think></answer>" * (SIZE // 17),
    "fences": "```a\n" * (SIZE // 5),
    "spaces": " " * SIZE,
    "lines": "1. \n" * (SIZE // 4),
    "ordinals": "\n".join(f"{i}. Image {i}" for i in range(1, SIZE // 14)),
    "letters": "a" * SIZE,
    "images": "image " * (SIZE // 6),
    "final": "final answer " * (SIZE // 13),
    "commas": "[" + "," * SIZE,
    "quotes": "\"'" * (SIZE // 2),
    "arrows": ">" * SIZE,
    "list of words": "[" + "dog, " * (SIZE // 5) + "]",
    "dotted": "1." * (SIZE // 2),
    "minus": "-1" * (SIZE // 2),
    "colons": "a:[" * (SIZE // 3),
    "blank list": "[" + " " * SIZE + "1",
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("labels", [40, LETTERS], ids=["numbers", "letters"])
def test_time_is_in_proportion_to_the_text(name: str, labels: int | tuple[str, ...]) -> None:
    """200,000 characters take some tenths of a second; quadratic time would take minutes."""
    start = time.process_time()
    forms: tuple[OrderFormat, ...] = ("json", "spaces")
    for form in forms:
        read_order(LONG[name], form, labels)
        says_none(LONG[name], "none")
    assert time.process_time() - start < 10.0
