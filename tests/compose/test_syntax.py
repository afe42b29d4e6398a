"""Weights and negation in a text: what is read, what stays text, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.compose.syntax import NEGATIVE, Term, read_terms
from mmrank.errors import UsageError


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("beach -people", [("beach", 1), ("people", -NEGATIVE)]),
        ("dog^2 cat", [("cat", 1), ("dog", 2)]),
        ('"red car"^1.5 street -"parked cars"^1', [("street", 1), ("red car", 1.5), ("parked cars", -1)]),
        ("a dog -cat on grass", [("a dog on grass", 1), ("cat", -NEGATIVE)]),
        ("a t-shirt - and a well-known logo", [("a t-shirt - and a well-known logo", 1)]),
        ("e^x or ^2", [("e^x or ^2", 1)]),
        ('"-5 degrees" snow', [("snow", 1), ("-5 degrees", 1)]),
        ("-people beach", [("beach", 1), ("people", -NEGATIVE)]),
        ("a\nb -c", [("a b", 1), ("c", -NEGATIVE)]),
    ],
)
def test_what_is_read(text: str, terms: list[tuple[str, float]]) -> None:
    assert read_terms(text) == tuple(Term(said, weight) for said, weight in terms)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-people", "seeks nothing"),
        ("", "seeks nothing"),
        ("dog^0", r"weight 0; it must be above 0 and at most 10\. To take a term away, write -dog"),
        ("dog^11", "weight 11"),
        ('"red car', "a quotation mark must open"),
        ('red" car"', "a quotation mark must open"),
        ('"" car', "empty quotation marks"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_terms(text)


@given(st.lists(st.from_regex(r"[a-z]{1,6}(-[a-z]{1,4})?", fullmatch=True), min_size=1, max_size=6))
def test_ordinary_words_stay_one_phrase_in_their_order(words: list[str]) -> None:
    assert read_terms("  ".join(words)) == (Term(" ".join(words)),)


@given(st.text(alphabet='ab -"^2.', max_size=30))
def test_any_text_is_read_or_refused_by_name_and_weights_stay_in_range(text: str) -> None:
    try:
        terms = read_terms(text)
    except UsageError:
        return
    assert all(term.text and 0 < abs(term.weight) <= 10 for term in terms)
