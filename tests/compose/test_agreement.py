"""The rules of an intersection, against literal loops; scales and shifts do not matter."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmrank.compose.agreement import agreement
from mmrank.compose.forms import RULES, Rule

scores = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=2, max_size=12)


def _literal(image: list[float], text: list[float], rule: Rule) -> list[float]:
    if rule == "min":
        z = [[(x - statistics.fmean(s)) / statistics.pstdev(s) for x in s] for s in (image, text)]
        return [min(a, b) for a, b in zip(*z, strict=True)]
    m = [[(x - min(s)) / (max(s) - min(s)) for x in s] for s in (image, text)]
    return [a * b for a, b in zip(*m, strict=True)]


@pytest.mark.parametrize("rule", RULES)
@given(pairs=scores, scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_by_a_literal_loop_whatever_the_scale_and_the_shift(
    rule: Rule, pairs: list[tuple[int, int]], scale: float, shift: float
) -> None:
    image, text = ([float(x) for x in side] for side in zip(*pairs, strict=True))
    assume(len(set(image)) > 1 and len(set(text)) > 1)
    wanted = _literal(image, text, rule)
    np.testing.assert_allclose(agreement(image, text, rule), wanted, atol=1e-9)
    moved = [scale * x + shift for x in image]
    np.testing.assert_allclose(agreement(moved, text, rule), wanted, atol=1e-6)
    np.testing.assert_allclose(agreement(text, moved, rule), wanted, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_side_that_scores_all_alike_has_no_say(rule: Rule) -> None:
    order = np.argsort(-agreement([0.3, 0.3, 0.3], [0.1, 0.9, 0.5], rule))
    assert order.tolist() == [1, 2, 0]
    assert len(set(agreement([0.3, 0.3], [0.2, 0.2], rule).tolist())) == 1
    assert agreement([], [], rule).shape == (0,)
    assert len(agreement([0.5], [0.1], rule)) == 1


def test_the_weaker_side_counts() -> None:
    both, only_image, only_text = 0, 1, 2
    image, text = [0.7, 0.9, 0.1, 0.2], [0.7, 0.1, 0.9, 0.2]
    for rule in RULES:
        found = agreement(image, text, rule)
        assert found[both] > max(found[only_image], found[only_text])
