"""Estimates: what a judge says it will take is what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from knowing import knowing
from scripted import Scripted

from mmrank.mllm.base import Speed
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.estimate import Estimate, estimate
from mmrank.rerank.load import load_reranker
from mmrank.rerank.recipe import list_recipes
from mmrank.types import Hit, Item, Query, Ranking

Make = Callable[..., Ranking]
WORTH = [float(w) for w in Random(3).sample(range(100), 60)]


def taken(model: Scripted) -> tuple[int, int, int]:
    """Prompts asked, their tokens and their pictures."""
    prompts: list[Prompt] = [prompt for call in model.calls for prompt in call.prompts]
    return len(prompts), sum(map(model.count_tokens, prompts)), sum(len(prompt.pictures) for prompt in prompts)


@pytest.mark.parametrize("recipe", [recipe.name for recipe in list_recipes()])
def test_an_estimate_is_what_a_run_takes(pictures: Make, recipe: str) -> None:
    depth = 5 if recipe == "unime" else 14
    rankings = [pictures(n, Query(text=" ".join(["dog"] * (n % 3 + 1)))) for n in (20, 12, 1, 0, 14, 16, 7)]
    model = knowing(recipe, WORTH)
    judge = load_reranker(recipe, model=model, depth=depth)
    expected = estimate(judge, rankings)
    assert model.calls == []
    after = judge.process(rankings)
    calls, tokens, shown = taken(model)
    assert expected.queries == 7
    assert expected.calls == calls == sum(r.cost.model_calls for r in after)
    assert expected.tokens_in == pytest.approx(tokens, rel=0.1)
    assert expected.pictures == pytest.approx(shown, rel=0.1)


@pytest.mark.parametrize("recipe", ["yes_no", "rankgpt", "first", "jointrank", "grouprank", "icr"])
def test_one_query_is_counted_out(pictures: Make, recipe: str) -> None:
    model = knowing(recipe, WORTH)
    judge = load_reranker(recipe, model=model)
    expected = estimate(judge, [pictures(20)])
    judge.process([pictures(20)])
    calls, tokens, shown = taken(model)
    assert (expected.calls, expected.pictures) == (calls, shown)
    assert expected.tokens_in == pytest.approx(tokens, rel=0.03)


def test_the_expected_number_of_a_sort_is_near(texts: Make) -> None:
    model = knowing("rankfusion", WORTH)
    judge = load_reranker("rankfusion", model=model, depth=30, method="heap")
    rankings = [texts(30, Query(text=f"q{n}")) for n in range(3)]
    expected = estimate(judge, rankings)
    judge.process(rankings)
    assert expected.calls == pytest.approx(taken(model)[0], rel=0.1)


def test_what_cannot_be_opened_and_who_cannot_be_asked_cost_nothing(pictures: Make, tmp_path: Path) -> None:
    before = pictures(4)
    lost = [Hit(item=Item(id=f"x{n}", kind="image", uri=str(tmp_path / f"{n}.png")), score=0.0) for n in range(2)]
    rankings = [
        Ranking(query=before.query, hits=[*before.hits, *lost]),
        Ranking(query=before.query, hits=lost),
        pictures(4, Query(text="at night", image=str(tmp_path / "none.png"))),
        pictures(3, Query()),
    ]
    model = knowing("yes_no", WORTH)
    judge = load_reranker("yes_no", model=model)
    expected = estimate(judge, rankings)
    judge.process(rankings)
    assert expected.calls == taken(model)[0] == 4


def test_votes_of_lists_are_calls_too(sourced: Callable[..., Ranking]) -> None:
    ranking = sourced({"a": [3, 1, 2, 4], "b": [1, 4, 3, 2]})
    model = knowing("vic", WORTH)
    judge = load_reranker("vic", model=model, schedule="sliding", window=3, stride=1)
    expected = estimate(judge, [ranking] * 9)
    judge.process([ranking])
    assert expected.calls == 9 * taken(model)[0] == 9 * 6


class Timed(Scripted):
    def speed(self) -> Speed | None:
        return Speed(read=100.0, write=10.0)


def test_seconds_follow_from_the_models_speed(texts: Make) -> None:
    judge = load_reranker("rankgpt", model=Timed(says=lambda p, d, t: ""))
    expected = estimate(judge, [texts(10)])
    assert expected.seconds == pytest.approx(expected.tokens_in / 100 + expected.tokens_out / 10)
    assert expected.tokens_out == 55


def test_nothing_to_do() -> None:
    assert estimate(load_reranker("yes_no", model=knowing("yes_no", WORTH)), []) == Estimate(
        queries=0, calls=0, tokens_in=0, tokens_out=0, pictures=0, seconds=None
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "time unknown"), (3.21, "about 3.2 s"), (45, "45 s"), (600, "10 min"), (9000, "2.5 h")],
)
def test_it_is_said_in_one_line(seconds: float | None, words: str) -> None:
    said = Estimate(queries=1, calls=1, tokens_in=9, tokens_out=1, pictures=0, seconds=seconds)
    assert str(said).endswith(words)
    assert str(replace(said, queries=2)).startswith("2 queries: 1 call, 9 tokens in")
    assert str(said).startswith("1 query: ")
