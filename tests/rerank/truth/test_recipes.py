"""Every recipe against the judge that knows the truth: with no noise the right answer comes first wherever it was.

That catches a label off by one, a slot swapped, a page shown twice, a parser that reads another format than asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

import mmrank as mm
from mmrank.errors import RecipeError
from mmrank.mllm.base import MLLM
from mmrank.rerank.recipe import find_recipe, list_recipes

QUERIES = 4

CASES = [(recipe.name, task) for recipe in list_recipes() if recipe.name != "icr" for task in recipe.tasks]


@pytest.mark.parametrize(("name", "task"), CASES, ids=[f"{name}: {task}" for name, task in CASES])
def test_the_right_answer_comes_first_wherever_it_was(
    name: str, task: str, truth: MLLM, known: Callable[..., list[object]]
) -> None:
    judge = mm.load_reranker(name, model=truth)
    depth = min(judge.depth or 20, find_recipe(name).max_slots or 20, 12)
    given = known(task, count=QUERIES, size=depth)
    after = judge.process([each.ranking for each in given])
    for each, ranking in zip(given, after, strict=True):
        assert ranking.ids[0] == each.right
        assert ranking.outcome in ("ok", "repaired"), ranking.records
        assert sorted(ranking.ids) == sorted(each.ranking.ids)
    assert [ranking.outcome for ranking in after].count("ok") == len(after), [r.records[-1].error for r in after]


def test_what_lies_below_the_depth_keeps_its_order(truth: MLLM, known: Callable[..., list[object]]) -> None:
    (each,) = known("text to image", count=1, size=20)
    (ranking,) = mm.load_reranker("first", model=truth, depth=6).process([each.ranking])
    assert ranking.ids[6:] == each.ranking.ids[6:]


def test_a_recipe_that_needs_attention_is_refused_when_it_is_loaded(truth: MLLM) -> None:
    with pytest.raises(RecipeError, match="attention"):
        mm.load_reranker("icr", model=truth)


@pytest.mark.parametrize(
    ("schedule", "aggregator"),
    [
        ({"kind": "blocks", "size": 6, "repeats": 6}, "win_rate"),
        ({"kind": "blocks", "size": 6, "repeats": 6}, "bradley_terry"),
        ({"kind": "blocks", "size": 6, "repeats": 6}, "elo"),
        ({"kind": "blocks", "size": 6, "repeats": 6}, "pagerank"),
        ({"kind": "shuffles", "times": 3}, "kemeny"),
        ({"kind": "shuffles", "times": 3}, "rrf"),
        ({"kind": "groups", "size": 5, "epochs": 6}, "borda"),
        ({"kind": "sliding", "window": 4, "stride": 2}, "borda"),
        ({"kind": "single", "both_orders": True}, "borda"),
    ],
    ids=str,
)
@pytest.mark.parametrize("ask", ["first", "rankgpt"])
def test_every_schedule_works_with_every_listwise_ask(
    ask: str, schedule: dict[str, object], aggregator: str, truth: MLLM, known: Callable[..., list[object]]
) -> None:
    judge = mm.load_reranker(ask, model=truth, schedule=schedule, aggregator=aggregator)
    given = known("text", count=2, size=10)
    for each, ranking in zip(given, judge.process([each.ranking for each in given]), strict=True):
        assert ranking.ids[0] == each.right
        assert ranking.outcome == "ok", ranking.records
