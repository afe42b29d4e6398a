"""Recipes: each shipped one does what its paper does, and options change what they say they change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from knowing import ALL, knowing, shown
from scripted import Scripted

from mmrank.errors import RecipeError
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.load import load_reranker
from mmrank.rerank.recipe import find_recipe, list_recipes, with_options
from mmrank.types import Query, Ranking

Make = Callable[..., Ranking]
WORTH = [float(w) for w in Random(7).sample(range(100), 50)]


def best(ids: Any, count: int | None = None) -> list[str]:
    """Ids in the hidden order."""
    return sorted(ids, key=lambda i: -WORTH[int(i[1:])])[:count]


def judged(recipe: str, before: Ranking, model: Scripted | None = None, **options: Any) -> tuple[Ranking, Scripted]:
    model = model or knowing(recipe, WORTH)
    (after,) = load_reranker(recipe, model=model, **options).process([before])
    assert after.outcome == "ok", after.records
    return after, model


@pytest.mark.parametrize(
    "recipe",
    [
        "yes_no",
        "first",
        "full",
        "rankgpt",
        "insertrank",
        "cotrr",
        "mm_r5",
        "psc",
        "grouprank",
        "retro",
        "icr",
        "rankfusion",
    ],
)
def test_a_judge_that_knows_finds_the_whole_order(texts: Make, recipe: str) -> None:
    after, _ = judged(recipe, texts(8))
    if recipe == "grouprank":  # 0.6 of the judge and 0.4 of the first stage
        after, _ = judged(recipe, texts(8), blend=None)
    assert list(after.ids) == best(after.ids)


@pytest.mark.parametrize("recipe", ["rankgpt", "first", "insertrank"])
def test_windows_carry_the_best_from_the_bottom_to_the_top(texts: Make, recipe: str) -> None:
    after, model = judged(recipe, texts(20))
    assert list(after.ids[:5]) == best(texts(20).ids, 5)
    assert shown(model.calls[0].prompts[0]) == list(range(10, 20))
    assert len(model.calls) == 3


def test_jointrank_asks_overlapping_blocks_in_one_round_and_the_best_of_them_once_more(texts: Make) -> None:
    after, model = judged("jointrank", texts(50))
    call, last = model.calls
    (final,) = last.prompts
    assert len(shown(final)) == 10
    places = [number for prompt in call.prompts for number in shown(prompt)]
    assert all(places.count(n) == 2 for n in range(50))
    assert {len(prompt.labels) for prompt in call.prompts} == {10}
    assert list(after.ids[:1]) == best(texts(50).ids, 1)


def test_psc_shuffles_and_its_centre_outvotes_one_bad_copy(texts: Make) -> None:
    said = knowing("psc", WORTH).says
    asked: list[list[int]] = []

    def says(prompt: Prompt, detail: Any, times: int) -> object:
        asked.append(shown(prompt))
        return "[1] > [2] > [3] > [4] > [5] > [6]" if len(asked) == 2 else said(prompt, detail, times)

    after, _ = judged("psc", texts(6), Scripted(says=says))
    assert list(after.ids) == best(after.ids)
    assert len({tuple(order) for order in asked}) == len(asked) == 3


def test_grouprank_shuffles_groups_and_takes_the_mean_of_two_epochs(texts: Make) -> None:
    model = knowing("grouprank", WORTH)
    after, _ = judged("grouprank", texts(20), model, blend=None)
    (call,) = model.calls
    assert sorted(len(prompt.labels) for prompt in call.prompts) == [10] * 4
    assert [hit.score for hit in after.hits] == pytest.approx(sorted((w / 100 for w in WORTH[:20]), reverse=True))
    mixed, _ = judged("grouprank", texts(20))
    assert mixed.ids != after.ids
    assert mixed.hits[0].score <= 1


def test_retro_is_the_mean_of_samples_that_are_drawn_apart(texts: Make) -> None:
    scores = {0: [10, 90, 80], 1: [70, 50, 30], 2: [100, 100, 91]}

    def says(prompt: Prompt, _detail: Any, times: int) -> object:
        return f"<score>{scores[shown(prompt)[0]][times]}</score>"

    model = Scripted(says=says)
    after, _ = judged("retro", texts(3), model, samples=3)
    assert [(hit.id, hit.score) for hit in after.hits] == [("i2", 97.0), ("i0", 60.0), ("i1", 50.0)]
    seeds = model.calls[0].detail.seeds
    assert len(set(seeds)) == 9


def test_unime_moves_the_chosen_one_to_the_top(texts: Make) -> None:
    after, model = judged("unime", texts(7))
    top = best(texts(5).ids, 1)
    assert list(after.ids) == top + [i for i in texts(7).ids if i not in top]
    assert model.calls[0].prompts[0].answer_prefix.endswith("(")


def test_vic_shows_each_list_and_collapses_repeats_to_their_best_place(sourced: Callable[..., Ranking]) -> None:
    before = sourced({"a": [3, 1, 2], "b": [1, 4, 3]})
    after, model = judged("vic", before)
    assert shown(model.calls[0].prompts[0]) == [3, 1, 1, 4, 2, 3]
    assert model.calls[0].prompts[0].labels == ("1", "2", "3", "4", "5", "6")
    assert list(after.ids) == best(before.ids)


def test_vic_stops_at_its_number_of_slots(sourced: Callable[..., Ranking]) -> None:
    lists = {"a": list(range(12)), "b": list(range(12, 24))}
    after, model = judged("vic", sourced(lists))
    assert len(model.calls[0].prompts[0].labels) == 14
    assert list(after.ids[:14]) == best([f"i{n}" for n in [*range(7), *range(12, 19)]])
    assert list(after.ids[14:16]) == ["i7", "i19"]


def test_icr_shows_the_best_last_and_reads_its_labels_back(texts: Make) -> None:
    after, model = judged("icr", texts(5))
    real, empty = model.calls[0].prompts
    words = real.text
    assert [words.index(f"doc{i}.") for i in range(5)] == sorted(
        (words.index(f"doc{i}.") for i in range(5)), reverse=True
    )
    assert words.index("doc0.") < words.rindex("a dog")
    assert "N/A" in empty.text
    assert list(after.ids) == best(after.ids)


def test_square_numbers_the_cells_of_one_sheet(pictures: Make, picture_folder: Path) -> None:
    query = Query(text="at night", image=str(picture_folder / "23.png"))
    after, model = judged("square", pictures(12, query))
    (prompt,) = model.calls[0].prompts
    assert len(prompt.pictures) == 2
    assert (prompt.pictures[1].width, prompt.pictures[1].height) == (5 * 336, 3 * 336)
    assert list(after.ids) == best(after.ids)


def test_rankfusion_asks_each_pair_in_both_orders_and_reads_words_too(texts: Make) -> None:
    after, model = judged("rankfusion", texts(6))
    assert len(model.calls[0].prompts) == 30
    spoken, _ = judged("rankfusion", texts(6), knowing("rankfusion", WORTH, frozenset({"generate"})))
    assert spoken.ids == after.ids


def test_rankfusion_is_not_moved_by_a_liking_for_the_first_place(texts: Make) -> None:
    def says(prompt: Prompt, _detail: Any, _times: int) -> object:
        first, second = (WORTH[n] / 100 for n in shown(prompt))
        return [first + 5.0, second]

    after, _ = judged("rankfusion", texts(6), Scripted(says=says, capabilities=ALL))
    assert list(after.ids) == best(after.ids)
    assert after.records[0].note == "both orders agree on 0% of pairs"


def test_insertrank_shows_the_first_stages_scores(texts: Make) -> None:
    _, model = judged("insertrank", texts(3))
    assert "0.98" in model.calls[0].prompts[0].text
    _, model = judged("rankgpt", texts(3))
    assert "0.98" not in model.calls[0].prompts[0].text


def test_first_labels_are_letters_and_one_choice_each(texts: Make) -> None:
    _, model = judged("first", texts(4))
    assert model.calls[0].detail == [("A", "B", "C", "D")]


def test_every_shipped_recipe_is_whole() -> None:
    for recipe in list_recipes():
        assert load_reranker(recipe.name, model=knowing(recipe.name, WORTH)).depth == recipe.depth
        assert recipe.fidelity == "code" or recipe.fidelity_note or recipe.name == "insertrank"


@pytest.mark.parametrize(("said", "meant"), [("rankgtp", "rankgpt"), ("frist", "first"), ("zzzz", "`mmrank recipes`")])
def test_an_unknown_recipe_names_its_neighbours(said: str, meant: str) -> None:
    with pytest.raises(RecipeError, match=meant):
        find_recipe(said)


def test_a_setting_goes_to_the_part_that_has_it() -> None:
    changed = with_options(find_recipe("rankgpt"), {"window": 8, "stride": 4, "temperature": 0.2, "max_pixels": 9000})
    assert changed.schedule.settings == {"window": 8, "stride": 4}
    assert changed.ask.settings["temperature"] == 0.2
    assert changed.rendering == {"max_words": 300, "max_pixels": 9000}
    assert find_recipe("rankgpt").schedule.settings["window"] == 10


def test_a_part_is_replaced_by_kind_or_by_table() -> None:
    recipe = find_recipe("rankgpt")
    assert with_options(recipe, {"schedule": "blocks"}).schedule.settings == {}
    assert with_options(recipe, {"schedule": "blocks", "size": 6}).schedule.settings == {"size": 6}
    assert with_options(recipe, {"schedule": {"kind": "blocks", "size": 8}}).schedule.settings == {"size": 8}
    assert with_options(recipe, {"schedule": {"window": 6}}).schedule.settings == {"window": 6, "stride": 5}
    changed = with_options(find_recipe("grouprank"), {"aggregator": "borda"})
    assert (changed.aggregator.method, changed.aggregator.blend) == ("borda", None)
    assert with_options(find_recipe("grouprank"), {"blend": None}).aggregator.blend is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windw": 8}, "did you mean window"),
        ({"zzz": 8}, "no setting 'zzz'; it has"),
        ({"top_k": 3, "schedule": "pairs"}, "Both ask and schedule have a setting 'top_k'"),
        ({"schedule": "slidng"}, "did you mean sliding"),
        ({"schedule": 8}, "give a kind such as schedule="),
        ({"aggregator": "bord", "omitted": "below"}, "did you mean borda"),
        ({"columns": "many"}, "layout.columns"),
        ({"blend": 2}, "aggregator.blend"),
        ({"slots": "none"}, "slots"),
    ],
)
def test_an_option_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        with_options(find_recipe("rankgpt"), options)


def test_a_recipe_file_of_ones_own(tmp_path: Path, texts: Make) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\ntitle = "t"\npaper = "none"\nfidelity = "stand-in"\nneeds = "text"\ntasks = ["text"]\n'
        "depth = 4\n"
        '[layout]\nkind = "list"\nprompt = "rankgpt"\n[ask]\nkind = "permutation"\n[schedule]\nkind = "single"\n'
    )
    after, model = judged(str(path), texts(6), knowing("rankgpt", WORTH))
    assert list(after.ids) == [*best(texts(4).ids), "i4", "i5"]
    own = path.read_text()
    path.write_text("more = 1\n" + own)
    with pytest.raises(RecipeError, match="mine.toml does not fit the recipe schema:\n  more: Extra"):
        find_recipe(str(path))
    path.write_text(own + "more = 1\n")
    with pytest.raises(RecipeError, match="'single' has no setting 'more'; it takes no settings"):
        load_reranker(str(path), model=model)
    with pytest.raises(RecipeError, match="cannot be read: No such file"):
        find_recipe(str(tmp_path / "none.toml"))
    path.write_text("x = [")
    with pytest.raises(RecipeError, match="not valid TOML"):
        find_recipe(str(path))
