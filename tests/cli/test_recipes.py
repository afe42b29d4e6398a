"""`mmrank recipes`: the list, one recipe, JSON."""

from __future__ import annotations

import json

from mmrank.rerank.recipe import list_recipes


def test_each_is_listed_with_calls_and_needs(run) -> None:
    result = run("recipes")
    assert result.exit_code == 0
    for recipe in list_recipes():
        assert any(line.startswith(f"{recipe.name} ") for line in result.stdout.splitlines()), recipe.name
        assert recipe.paper.split(";")[0] in " ".join(result.stdout.split()), recipe.paper
    assert "100 / 100" in result.stdout
    assert "needs log-probabilities" in result.stdout
    assert "RECIPE@MODEL" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 120


def test_json_has_every_recipe_with_its_settings(run) -> None:
    rows = {row["name"]: row for row in json.loads(run("recipes", "--json").stdout)["recipes"]}
    assert set(rows) == {recipe.name for recipe in list_recipes()}
    assert (rows["rankgpt"]["calls"], rows["rankgpt"]["depth"]) == (3, 20)
    assert rows["rankgpt"]["settings"]["schedule"] == {"window": 10, "stride": 5}
    assert (rows["rankgpt"]["aggregator"], rows["psc"]["aggregator"]) == (None, "kemeny")
    assert rows["icr"]["calls"] == 2
    assert rows["first"]["capabilities"] == ["choices"]
    assert rows["square"]["settings"]["layout"]["columns"] == 5
    assert "columns" not in rows["first"]["settings"]["layout"]


def test_one_recipe_in_full(run) -> None:
    words = run("recipes", "vic").stdout
    assert "Vote-in-Context" in words
    assert "prompt=vic_t2v (text)" in words
    assert "video=sgrid" in words
    assert "the authors' code" in words


def test_an_unknown_recipe_is_wrong_usage(run) -> None:
    result = run("recipes", "vix")
    assert result.exit_code == 2
    assert "did you mean vic?" in result.stderr
