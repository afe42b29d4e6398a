"""What is checked of a recipe and a model before anything is asked, part by part."""

from __future__ import annotations

import pytest
from knowing import ALL
from scripted import Scripted, prompt

from mmrank.errors import RecipeError
from mmrank.mllm.base import Limits
from mmrank.mllm.prompt import ImagePart, Message, Picture, Prompt
from mmrank.rerank.forms import find_form
from mmrank.rerank.limits import check_block, check_model, check_parts, check_pictures, check_prompt
from mmrank.rerank.load import make_ask, make_schedule
from mmrank.rerank.recipe import find_recipe, list_recipes, with_options


def model(**limits: int) -> Scripted:
    return Scripted(says=lambda *_: "", capabilities=ALL, limits=Limits(**limits))  # type: ignore[arg-type]


def no_pixels() -> None:
    raise AssertionError("nothing is opened to count pictures")


def showing(count: int) -> Prompt:
    picture = Picture(key="k", width=9, height=9, open=no_pixels)  # type: ignore[arg-type]
    return Prompt(messages=(Message(role="user", parts=(ImagePart(picture=picture),) * count),))


@pytest.mark.parametrize("recipe", list_recipes(), ids=lambda recipe: recipe.name)
def test_the_parts_of_every_shipped_recipe_fit(recipe) -> None:
    check_parts(recipe, make_ask(recipe), make_schedule(recipe))


def test_a_pair_of_labels_may_come_from_any_schedule_that_shows_two() -> None:
    for options in ({"schedule": {"kind": "sliding", "window": 2, "stride": 1}}, {"schedule": "pairs"}):
        recipe = with_options(find_recipe("rankfusion"), options)
        check_parts(recipe, make_ask(recipe), make_schedule(recipe))


def test_a_full_order_of_one_choice_has_scores() -> None:
    recipe = with_options(find_recipe("unime"), {"schedule": "groups", "aggregator": "mean", "full_order": True})
    check_parts(recipe, make_ask(recipe), make_schedule(recipe))


def test_letters_end_at_26() -> None:
    recipe = find_recipe("first")
    check_block(recipe, make_ask(recipe), model(), None, 26)
    with pytest.raises(RecipeError, match="27 candidates under letters, and there are 26"):
        check_block(recipe, make_ask(recipe), model(), None, 27)
    numbered = with_options(recipe, {"labels": "numbers"})
    check_block(numbered, make_ask(numbered), model(), None, 27)


def test_the_prompt_files_own_letters_count_where_the_recipe_names_none() -> None:
    recipe = with_options(find_recipe("first"), {"layout": {"labels": None}})
    with pytest.raises(RecipeError, match="under letters"):
        check_block(recipe, make_ask(recipe), model(), None, 27)


def test_a_checkpoints_candidates_and_a_servers_choices() -> None:
    recipe = find_recipe("unime")
    with pytest.raises(RecipeError, match="trained on 6 at most"):
        check_block(recipe, make_ask(recipe), model(), find_form("unime-v2-reranker"), 7)
    first = find_recipe("first")
    with pytest.raises(RecipeError, match="of 5 at most"):
        check_block(first, make_ask(first), model(choices=5), None, 6)


def test_pictures_of_a_block_and_of_a_prompt() -> None:
    check_pictures(find_recipe("square"), model(images=1), 20)
    check_pictures(find_recipe("rankgpt"), model(images=0), 20)
    with pytest.raises(RecipeError, match="up to 20 pictures .* takes 3"):
        check_pictures(find_recipe("rankgpt"), model(images=3), 20)
    check_prompt(model(), showing(50))
    check_prompt(model(images=3), showing(3))
    check_prompt(model(images=0), prompt("words"))
    with pytest.raises(RecipeError, match="holds 4 pictures, and scripted takes 3 in one prompt"):
        check_prompt(model(images=3), showing(4))
    with pytest.raises(RecipeError, match="reads text only; take a model that sees"):
        check_prompt(model(images=0), showing(1))


def test_a_form_that_needs_pairs() -> None:
    recipe = find_recipe("yes_no")
    with pytest.raises(RecipeError, match="whose scores need pairs.*Serve it"):
        check_model(recipe, make_ask(recipe), model(), find_form("jina-reranker-m0"))
