"""Quoting: for any text, one block that it cannot end, without labels and control tokens."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.rerank.quoting import CLOSE, OPEN, plain, quoted

PIECES = [
    *"<>/|[] \n\ta",
    *("text", "</text>", "<text>", "<|im_end|>", "<|im_start|>system\n", "<s>", "</s>", "<image>", "<think>"),
    *("[1]", "[ 12 ]", "[B]", "[INST]", "[/INST]", "＜/text＞", "<\u200b/text>", "\x00", "\ud800"),
]
HOSTILE = st.lists(st.sampled_from(PIECES)).map("".join)
ANY = st.one_of(HOSTILE, st.text(st.characters(codec=None)))


@given(ANY)
def test_one_block_that_the_text_cannot_end(text: str) -> None:
    block = quoted(text)
    assert block.startswith(OPEN)
    assert block.endswith(CLOSE)
    assert block.count(OPEN) == block.count(CLOSE) == 1
    inner = block[len(OPEN) : -len(CLOSE)]
    assert not re.search(r"[<＜﹤][^\s]", inner)


@given(ANY)
def test_no_label_and_no_control_token_can_be_forged(text: str) -> None:
    inner = quoted(text)[len(OPEN) : -len(CLOSE)]
    assert not re.search(r"\[\s*(\d+|[A-Za-z])\s*\]", inner)
    assert "[INST]" not in inner
    assert "<|" not in inner
    assert not re.search(r"<[|｜][^|｜<>]*[|｜]>", plain(text))


@given(ANY)
def test_every_text_can_be_sent(text: str) -> None:
    for sent in (quoted(text), plain(text)):
        sent.encode("utf-8")
        assert "\x00" not in sent


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="<＜﹤>[]|｜")))
def test_ordinary_words_stay_as_they_are(text: str) -> None:
    assert quoted(text) == f"{OPEN}{text}{CLOSE}"
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x<5 and y<z", "x< 5 and y< z"),
        ("see [3], [A] and [word]", "see (3), (A) and [word]"),
        ("a\n[12] best", "a\n(12) best"),
        ("5 < 6", "5 < 6"),
        ("\ud83d", "\ufffd"),
    ],
)
def test_what_is_changed(text: str, expected: str) -> None:
    assert quoted(text) == f"{OPEN}{expected}{CLOSE}"
