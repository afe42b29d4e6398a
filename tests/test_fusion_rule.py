"""Every rule against a literal loop over one query, and every setting that means nothing refused."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest

from mmrank.columns import Aligned, Columns, aligned
from mmrank.errors import UsageError
from mmrank.fusion_rule import METHODS, FusionRule

LISTS: list[dict[int, float]] = [{0: 9.0, 3: 6.0, 1: 2.0}, {4: 0.9, 0: 0.4, 3: 0.1, 2: -0.2}, {1: 30.0, 4: 10.0}]
"""Item to score, best first; three lists of one query over five items."""

ITEMS = 5


def side_by_side(rule: FusionRule) -> Aligned:
    lists = [
        Columns(lengths=np.array([len(one)]), codes=np.array(list(one)), scores=np.array(list(one.values())))
        for one in LISTS
    ]
    return aligned(lists, ITEMS, rule)


def fused(rule: FusionRule) -> list[float]:
    table = side_by_side(rule)
    assert table.codes.tolist() == list(range(ITEMS))
    return rule.joined(table.values, table.present).tolist()


def value(one: dict[int, float], item: int, method: str, normalise: str | None) -> float | None:
    """What a list gives an item, straight from the definition; None when it does not have it."""
    if item not in one:
        return None
    scores, rank = list(one.values()), list(one).index(item) + 1
    if method == "rrf":
        return 1 / (60 + rank)
    if method == "borda":
        return ITEMS - rank + 1
    if normalise == "z_score":
        return (one[item] - statistics.fmean(scores)) / statistics.pstdev(scores)
    if normalise == "rank":
        return (len(one) - rank) / (len(one) - 1)
    return (one[item] - min(scores)) / (max(scores) - min(scores))


def floor(one: dict[int, float], normalise: str | None) -> float:
    return min(value(one, i, "", normalise) or 0.0 for i in one) if normalise == "z_score" else 0.0


SETTINGS: list[dict[str, Any]] = [
    *({"method": method} for method in METHODS),
    *({"method": "weighted_sum", "normalise": normalise} for normalise in ("min_max", "z_score", "rank")),
    {"method": "product", "epsilon": 0.5},
]


@pytest.mark.parametrize("weights", [None, (1.0, 0.5, 2.0)])
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_rule_against_a_literal_loop(settings: dict[str, Any], weights: tuple[float, ...] | None) -> None:
    method, normalise = settings["method"], settings.get("normalise")
    for item, score in enumerate(fused(FusionRule(weights=weights, **settings))):
        parts, votes = [], 0
        for one, weight in zip(LISTS, weights or (1, 1, 1), strict=True):
            own = value(one, item, method, normalise)
            own = floor(one, normalise) if own is None else own
            votes += own > 1e-6
            parts.append(weight * (math.log(own + settings.get("epsilon", 0.1)) if method == "product" else own))
        assert score == pytest.approx(sum(parts) * (votes if method == "combmnz" else 1))


@pytest.mark.parametrize("weights", [None, (1.0, 0.5, 2.0)])
@pytest.mark.parametrize("settings", SETTINGS)
def test_groups_are_fused_as_their_means(settings: dict[str, Any], weights: tuple[float, ...] | None) -> None:
    method, normalise = settings["method"], settings.get("normalise")
    groups = ((0, 2), (1,))
    weighed = weights or (1, 1, 1)
    for item, score in enumerate(fused(FusionRule(weights=weights, groups=groups, **settings))):
        parts, votes = [], 0
        for group in groups:
            own = [value(LISTS[at], item, method, normalise) for at in group]
            filled = [floor(LISTS[at], normalise) if v is None else v for at, v in zip(group, own, strict=True)]
            weight = sum(weighed[at] for at in group)
            mean = sum(weighed[at] * v for at, v in zip(group, filled, strict=True)) / weight
            votes += mean > 1e-6
            term = math.log(mean + settings.get("epsilon", 0.1)) if method == "product" else mean
            parts.append(weight / len(group) * term)
        assert score == pytest.approx(sum(parts) * (votes if method == "combmnz" else 1))


@pytest.mark.parametrize("settings", [s for s in SETTINGS if s["method"] != "combmnz"])
def test_a_list_is_left_out_for_an_item_it_does_not_have(settings: dict[str, Any]) -> None:
    method, normalise = settings["method"], settings.get("normalise")
    for item, score in enumerate(fused(FusionRule(absent="left_out", **settings))):
        own = [v for one in LISTS if (v := value(one, item, method, normalise)) is not None]
        terms = [math.log(v + settings.get("epsilon", 0.1)) if method == "product" else v for v in own]
        assert score == pytest.approx(sum(terms) / len(terms))


def test_one_group_each_is_no_groups() -> None:
    for method in METHODS:
        apart = fused(FusionRule(method=method, groups=((0,), (1,), (2,))))
        assert apart == pytest.approx(fused(FusionRule(method=method)))


def test_a_rule_is_plain_data_that_compares_and_prints() -> None:
    rule = FusionRule(weights=[1, 2], groups=[[0, 1]])
    assert rule == FusionRule(weights=(1, 2), groups=((0, 1),))
    assert hash(rule) == hash(FusionRule(weights=(1, 2), groups=((0, 1),)))
    assert repr(rule) == "FusionRule(method='product', weights=(1, 2), groups=((0, 1),))"
    assert repr(FusionRule()) == "FusionRule(method='product')"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "mean"}, "borda, combmnz, combsum, product, rrf, weighted_sum"),
        ({"absent": "zero"}, "floor, left_out"),
        ({"method": "weighted_sum", "normalise": "max"}, "min_max, rank, z_score"),
        ({"normalise": "rank"}, "'product' has its own scale"),
        ({"method": "rrf", "epsilon": 0.1}, "'rrf' has none"),
        ({"epsilon": 0.0}, "above 0"),
        ({"epsilon": math.nan}, "above 0"),
        ({"method": "combmnz", "absent": "left_out"}, "counts the lists"),
        ({"weights": "1,2"}, "one number per list"),
        ({"groups": 3}, "list positions from 0"),
        ({"groups": [0, 1]}, "list positions from 0"),
        ({"groups": [["0"]]}, "list positions from 0"),
        ({"groups": [[0], []]}, "list positions from 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FusionRule(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": (1.0,)}, "There are 2 lists"),
        ({"groups": ((0,),)}, "0 to 1"),
        ({"groups": ((0, 1), (1,))}, "exactly one group"),
        ({"groups": ((0, 2),)}, "exactly one group"),
        ({"groups": ((0, 1),), "weights": (1.0, -1.0)}, "0 or more"),
        ({"absent": "left_out", "weights": (1.0, -1.0)}, "0 or more"),
    ],
)
def test_settings_that_do_not_fit_the_lists_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FusionRule(**settings).check(2)
