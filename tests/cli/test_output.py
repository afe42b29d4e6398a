"""What is printed is safe to print, fits, and is JSON where JSON was promised."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mmrank.cli.output import count, duration, one_line, print_json, printable, shorten_end, shorten_middle

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)


@given(ANY_TEXT)
def test_printable_text_holds_nothing_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in shown)
    shown.encode("utf-8")


def test_printable_text_keeps_letters_of_any_script() -> None:
    assert printable("Größe 学习 🐶") == "Größe 学习 🐶"


def test_escape_sequences_and_overrides_are_replaced() -> None:
    assert printable("\x1b[2J\u202efdp.exe") == "\ufffd[2J\ufffdfdp.exe"


def test_newlines_stay_only_where_wanted() -> None:
    assert printable("a\nb", keep_newlines=True) == "a\nb"
    assert printable("a\nb") == "a b"


@given(ANY_TEXT.map(one_line), st.integers(1, 40))
def test_shortened_text_fits(text: str, width: int) -> None:
    for shorten in (shorten_middle, shorten_end):
        short = shorten(text, width)
        assert cell_len(short) <= width
        assert short == text or "…" in short


def test_the_middle_gives_way_not_the_suffix() -> None:
    short = shorten_middle("a-very-long-name-of-a-photograph.jpg", 20)
    assert short.startswith("a-very")
    assert short.endswith(".jpg")


def test_json_knows_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"score": float("nan"), "nested": [float("inf"), 1.5], "name": "\udcff"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"score": None, "nested": [None, 1.5], "name": "\udcff"}
    assert text.isascii()
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 ms"),
        (0.25, "250 ms"),
        (8.24, "8.2 s"),
        (59.2, "59 s"),
        (59.9, "1 min 00 s"),
        (61, "1 min 01 s"),
        (7325, "2 h 02 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_counts_agree_with_their_noun() -> None:
    assert [count(0, "hit"), count(1, "hit"), count(1200, "hit")] == ["0 hits", "1 hit", "1,200 hits"]
