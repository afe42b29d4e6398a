from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.embed.chunks import split_text
from mmrank.errors import UsageError


def test_a_text_that_fits_is_left_alone() -> None:
    assert split_text("Two cats. One dog.", lambda piece: True) == ["Two cats. One dog."]


def test_empty_text_has_no_chunks() -> None:
    assert split_text(" \n\t ", lambda piece: True) == []


def test_sentences_stay_whole_when_they_can() -> None:
    text = "One two three. Four five six. Seven eight nine."
    assert split_text(text, lambda piece: len(piece.split()) <= 6) == [
        "One two three. Four five six.",
        "Seven eight nine.",
    ]


def test_a_long_sentence_is_cut_at_words() -> None:
    chunks = split_text("a b c d e f g. h i.", lambda piece: len(piece.split()) <= 3)
    assert chunks == ["a b c", "d e f", "g.", "h i."]


def test_text_without_spaces_is_cut_at_characters() -> None:
    assert split_text("狗在滑板上", lambda piece: len(piece) <= 2) == ["狗在", "滑板", "上"]


def test_cjk_sentences_are_borders() -> None:
    assert split_text("狗在滑板上。猫在睡觉。", lambda piece: len(piece) <= 7) == ["狗在滑板上。", "猫在睡觉。"]


def test_a_character_that_never_fits_is_an_error() -> None:
    with pytest.raises(UsageError, match="too short"):
        split_text("ab", lambda piece: False)


@given(st.text(alphabet="ab .!?\n。é", max_size=200), st.integers(1, 30))
def test_nothing_is_lost_and_everything_fits(text: str, limit: int) -> None:
    chunks = split_text(text, lambda piece: len(piece) <= limit)
    assert all(0 < len(chunk) <= limit and chunk == chunk.strip() for chunk in chunks)
    assert re.sub(r"\s", "", "".join(chunks)) == re.sub(r"\s", "", text)


@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=6), max_size=60), st.integers(6, 40))
def test_words_are_not_cut_when_they_fit(words: list[str], limit: int) -> None:
    chunks = split_text(" ".join(words), lambda piece: len(piece) <= limit)
    assert " ".join(chunks).split() == words
    # Greedy: no chunk could have taken the first word of the next one as well.
    assert all(len(f"{now} {after.split()[0]}") > limit for now, after in pairwise(chunks))


def test_borders_are_searched_not_walked() -> None:
    asked = 0

    def fits(piece: str) -> bool:
        nonlocal asked
        asked += 1
        return len(piece.split()) <= 60

    chunks = split_text("word " * 6000, fits)
    assert len(chunks) == 100
    assert asked < 100 * 20
