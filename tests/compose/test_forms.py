from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.compose.forms import FORMS, Sides, choose_form, query_text
from mmrank.embed.vectors import unit_rows
from mmrank.errors import EmbedderError, UsageError
from mmrank.types import Query


def _sides(seed: int) -> Sides:
    image, text = unit_rows(np.random.default_rng(seed).normal(size=(2, 16)).astype(np.float32))
    return Sides(image=image, text=text)


@pytest.mark.parametrize(
    ("query", "form"),
    [
        (Query(text="a boat"), "text"),
        (Query(turns=("a boat",)), "text"),
        (Query(image="a.jpg"), "image"),
        (Query(video="a.mp4"), "image"),
        (Query(image="a.jpg", text="  "), "image"),
        (Query(image="a.jpg", text="at night"), "sum"),
        (Query(video="a.mp4", turns=("at night",)), "sum"),
    ],
)
def test_default_forms(query: Query, form: str) -> None:
    assert choose_form(query) is FORMS[form]


def test_forms_that_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match=r"Query 'q' is empty; it needs a text, an image, a video"):
        choose_form(Query(id="q", text=" "))
    with pytest.raises(UsageError, match=r"Query 'q' has no image, which the form 'sum' needs; it has text"):
        choose_form(Query(id="q", text="a"), "sum")
    with pytest.raises(UsageError, match=r"no form 'add'.*image, text, sum"):
        choose_form(Query(text="a"), "add")


def test_turns_come_before_the_text() -> None:
    assert query_text(Query(text=" last ", turns=("first", "", "second"))) == "first\nsecond\nlast"


@given(st.integers(0, 99), st.floats(0, 1))
def test_sum_lies_between_its_sides(seed: int, weight: float) -> None:
    sides = _sides(seed)
    assert sides.image is not None
    assert sides.text is not None
    mixed = FORMS["sum"].combine(sides, weight)
    assert mixed.dtype == np.float32
    assert np.linalg.norm(mixed) == pytest.approx(1, abs=1e-5)
    across = float(sides.image @ sides.text)
    assert float(mixed @ sides.image) >= across - 1e-5
    assert float(mixed @ sides.text) >= across - 1e-5


def test_ends_of_the_weight_are_the_plain_sides() -> None:
    sides = _sides(1)
    np.testing.assert_allclose(FORMS["sum"].combine(sides, 0.0), sides.image, atol=1e-6)
    np.testing.assert_allclose(FORMS["sum"].combine(sides, 1.0), sides.text, atol=1e-6)


def test_opposite_sides_have_no_sum() -> None:
    vector = np.array([1, 0], np.float32)
    with pytest.raises(EmbedderError, match="cancel out"):
        FORMS["sum"].combine(Sides(image=vector, text=-vector), 0.5)
