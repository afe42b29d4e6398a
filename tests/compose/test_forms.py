"""Each form against a literal loop over the numbers, and what does not change it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.compose import Caption, Form, GivenCaptions, ImageForm, Intersection, Sides, Sqaf, Sum, TextForm, Whole
from mmrank.errors import EmbedderError, UsageError

NONE = GivenCaptions(captions={})
ONE_VECTOR: tuple[Form, ...] = (
    ImageForm(),
    TextForm(),
    Sum(),
    Sum(alpha=0.3),
    Sum(alpha=0.7, arc=True),
    Caption(captioner=NONE),
    Sqaf(captioner=NONE, alpha=0.2, beta=0.9),
    Whole(),
)


def _sides(seed: int, lengths: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)) -> Sides:
    rows = np.random.default_rng(seed).normal(size=(4, 16)).astype(np.float32)
    image, text, caption, whole = (np.float32(length) * row for length, row in zip(lengths, rows, strict=True))
    return Sides(image=image, text=text, caption=caption, whole=whole)


def _unit(vector: list[float]) -> list[float]:
    norm = math.sqrt(sum(x * x for x in vector))
    return [x / norm for x in vector]


def _line(first: list[float], second: list[float], share: float) -> list[float]:
    first, second = _unit(first), _unit(second)
    return _unit([(1 - share) * a + share * b for a, b in zip(first, second, strict=True)])


def _arc(first: list[float], second: list[float], share: float) -> list[float]:
    first, second = _unit(first), _unit(second)
    angle = math.acos(sum(a * b for a, b in zip(first, second, strict=True)))
    one, other = math.sin((1 - share) * angle) / math.sin(angle), math.sin(share * angle) / math.sin(angle)
    return [one * a + other * b for a, b in zip(first, second, strict=True)]


def _literal(form: Form, sides: Sides) -> list[float]:
    said: dict[str, Any] = {name: getattr(sides, name).tolist() for name in ("image", "text", "caption", "whole")}
    if isinstance(form, Sum):
        alpha = 0.5 if form.alpha is None else form.alpha
        return (_arc if form.arc else _line)(said["image"], said["text"], alpha)
    if isinstance(form, Sqaf):
        return _line(_line(said["image"], said["text"], form.alpha), said["caption"], form.beta)
    return _unit(said[form.name])


@pytest.mark.parametrize("form", ONE_VECTOR, ids=repr)
@given(seed=st.integers(0, 999), lengths=st.tuples(*[st.floats(0.01, 100)] * 4))
def test_forms_of_one_vector_by_a_literal_loop_whatever_the_lengths(
    form: Form, seed: int, lengths: tuple[float, ...]
) -> None:
    (vector,) = form.vectors(_sides(seed, lengths))
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(vector, _literal(form, _sides(seed)), atol=2e-5)


@given(seed=st.integers(0, 99), alpha=st.floats(0, 1), arc=st.booleans())
def test_sum_lies_between_its_sides(seed: int, alpha: float, arc: bool) -> None:
    sides = Sides(image=_sides(seed).image, text=_sides(seed).text)
    image, text = ImageForm().vectors(sides)[0], TextForm().vectors(sides)[0]
    (mixed,) = Sum(alpha=alpha, arc=arc).vectors(sides)
    across = float(image @ text)
    assert float(mixed @ image) >= across - 1e-5
    assert float(mixed @ text) >= across - 1e-5


@pytest.mark.parametrize("arc", [False, True])
def test_ends_of_the_weight_are_the_plain_sides(arc: bool) -> None:
    sides = _sides(1)
    for alpha, plain in ((0.0, ImageForm()), (1.0, TextForm())):
        np.testing.assert_allclose(Sum(alpha=alpha, arc=arc).vectors(sides), plain.vectors(sides), atol=1e-6)


def test_the_arc_turns_by_its_share_of_the_angle() -> None:
    sides = Sides(image=np.array([1, 0], np.float32), text=np.array([0, 1], np.float32))
    (third,) = Sum(alpha=1 / 3, arc=True).vectors(sides)
    np.testing.assert_allclose(third, [math.cos(math.pi / 6), math.sin(math.pi / 6)], atol=1e-6)
    same = Sides(image=np.array([0, 2], np.float32), text=np.array([0, 3], np.float32))
    np.testing.assert_allclose(Sum(alpha=0.4, arc=True).vectors(same), [[0, 1]], atol=1e-6)


def test_sqaf_without_one_part_is_the_form_of_the_rest() -> None:
    sides = _sides(2)
    sum_, caption = Sum(alpha=0.4), Caption(captioner=NONE)
    np.testing.assert_allclose(Sqaf(captioner=NONE, alpha=0.4, beta=0).vectors(sides), sum_.vectors(sides), atol=1e-6)
    np.testing.assert_allclose(Sqaf(captioner=NONE, beta=1).vectors(sides), caption.vectors(sides), atol=1e-6)


def test_an_intersection_has_both_sides_each_of_unit_length() -> None:
    sides = _sides(3, (5.0, 0.2, 1.0, 1.0))
    image, text = Intersection().vectors(sides)
    np.testing.assert_allclose(image, ImageForm().vectors(sides)[0], atol=1e-6)
    np.testing.assert_allclose(text, TextForm().vectors(sides)[0], atol=1e-6)


@pytest.mark.parametrize("form", [Sum(), Sum(arc=True), Sum(arc=True, alpha=0.3)], ids=repr)
def test_opposite_sides_have_no_sum(form: Form) -> None:
    vector = np.array([1, 0], np.float32)
    with pytest.raises(EmbedderError, match="cancel out"):
        form.vectors(Sides(image=vector, text=-vector))


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match=r"alpha is 1\.5; it is the text's share"):
        Sum(alpha=1.5)
    with pytest.raises(UsageError, match=r"beta is -1"):
        Sqaf(captioner=NONE, beta=-1)
    with pytest.raises(UsageError, match="alpha is True"):
        Sum(alpha=True)
    with pytest.raises(UsageError, match=r"rule .* 'max'; it must be one of min, product"):
        Intersection(rule="max")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="depth of an intersection is 0"):
        Intersection(depth=0)
    with pytest.raises(UsageError, match=r"captioner is 3; give a model loaded with mmrank\.load_mllm"):
        Caption(captioner=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="The text has no vector"):
        Sum().vectors(Sides(image=np.ones(2, np.float32)))
