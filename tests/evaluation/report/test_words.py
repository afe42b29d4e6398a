"""Numbers and strangers' texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmrank.evaluation.report.words import amount, clean, html, number, seconds, signed


@given(st.text())
def test_clean_text_can_be_written_and_reorders_nothing(text: str) -> None:
    said = clean(text)
    said.encode("utf-8")
    assert not set(said) & set("\n\r\t\x1b\u202e\u2067")
    assert clean(said) == said


@given(st.text())
def test_html_holds_no_markup(text: str) -> None:
    assert not set(html(text)) & set("<>\"'")


@given(st.floats(min_value=0, max_value=1e9))
def test_costs_have_few_digits(value: float) -> None:
    assert len(amount(value).replace(",", "").rstrip("0.")) <= 10
    assert (amount(value) == "–") == (value == 0)
    assert (seconds(value) == "–") == (value == 0)


def test_differences_too_small_to_show_have_no_sign() -> None:
    assert signed(-0.004) == "0.00"
    assert signed(None) == signed(float("nan")) == number(None) == "–"
