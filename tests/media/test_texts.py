from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import MediaError
from mmrank.media import texts
from mmrank.media.texts import chunk_text, read_text

WORDS = st.text(st.sampled_from("ab .\n!。é"), max_size=300)


@given(WORDS, st.integers(1, 60))
def test_chunks_are_bounded_and_lose_only_white_space(text: str, limit: int) -> None:
    chunks = chunk_text(text, limit)
    assert all(0 < len(chunk) <= limit for chunk in chunks)
    assert all(chunk == chunk.strip() for chunk in chunks)
    assert "".join("".join(chunks).split()) == "".join(text.split())


def test_paragraphs_stay_together_as_long_as_they_fit() -> None:
    assert chunk_text("one\n\ntwo\n\nthree", 7) == ["one", "two", "three"]
    assert chunk_text("one\n\ntwo\n\nthree", 10) == ["one\n\ntwo", "three"]
    assert chunk_text("one\n\ntwo\n\nthree", 100) == ["one\n\ntwo\n\nthree"]


def test_long_paragraphs_are_cut_at_sentences_then_at_words() -> None:
    assert chunk_text("A first one. A second one. A third.", 30) == ["A first one. A second one.", "A third."]
    assert chunk_text("word " * 5 + "word", 12) == ["word word", "word word", "word word"]
    assert chunk_text("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_and_line_ends_are_evened(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("naïve\r\n猫\r".encode(encoding))
    assert read_text(file) == "naïve\n猫\n"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b" \n\t\n", "only white space"),
        ("café".encode("latin-1"), r"not UTF-8 text \(byte 0xe9 at 3\)"),
        (b"abc\x00def", "binary"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8", "not UTF-8"),
    ],
)
def test_what_is_no_text_is_named(data: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(data)
    with pytest.raises(MediaError, match=why):
        read_text(file)


def test_huge_texts_are_refused_before_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    with file.open("wb") as out:
        out.truncate(texts.MAX_TEXT_BYTES + 1)
    with pytest.raises(MediaError, match="larger than 64 MiB"):
        read_text(file)
