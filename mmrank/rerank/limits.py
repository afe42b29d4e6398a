"""What cannot work is said before a model is asked: parts that do not fit each other, blocks too large for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmrank.errors import RecipeError, UsageError
from mmrank.mllm.base import MLLM
from mmrank.mllm.prompt import Message, Prompt, TextPart
from mmrank.prompts import load_prompt
from mmrank.prompts.file import LabelStyle, PromptFile
from mmrank.rerank.aggregators import Aggregator
from mmrank.rerank.asks import Ask, ChooseOne, Duel, Permutation
from mmrank.rerank.layouts import MAX_LETTERS, label_names
from mmrank.rerank.schedules import Schedule

if TYPE_CHECKING:
    from mmrank.rerank.forms import Form
    from mmrank.rerank.recipe import Recipe

ORDER_ONLY = (Permutation, ChooseOne)
"""Asks that answer with an order and no score for each candidate."""

MANY = 1000
"""Slots by which a schedule's largest block is told apart from one with no limit."""

SMALLER = "take a smaller window=, size=, max_slots= or depth="


def check_parts(recipe: Recipe, ask: Ask, schedule: Schedule) -> None:
    """Raise `RecipeError` when the aggregator does not exist, or when ask, schedule and aggregator do not fit."""
    try:
        aggregator = Aggregator(recipe.aggregator.method, recipe.aggregator.settings)
    except UsageError as error:
        raise RecipeError(f"Recipe {recipe.name!r}: {error}") from None
    order_only = isinstance(ask, ORDER_ONLY) and not getattr(ask, "full_order", False)
    if schedule.needs_scores and order_only:
        raise RecipeError(
            f"Recipe {recipe.name!r}: the schedule {schedule.kind!r} needs a score for each candidate, and the ask "
            f"{ask.name!r} gives an order. Take an ask with scores, such as yes_no, or another schedule."
        )
    # A duel that a model answers in words has a winner and no scores.
    if schedule.needs_aggregator and aggregator.needs_scores and (order_only or isinstance(ask, Duel)):
        raise RecipeError(
            f"Recipe {recipe.name!r}: the aggregator {aggregator.method!r} needs scores, and the ask {ask.name!r} "
            "gives an order; take borda, kemeny, win_rate, pagerank, bradley_terry, elo or rrf."
        )
    most = 2 if isinstance(ask, Duel) else 1 if recipe.layout.kind == "pair" else MANY
    if schedule.largest(MANY) > most:
        what = f"the ask {ask.name!r}" if most == 2 else "the layout 'pair'"
        raise RecipeError(
            f"Recipe {recipe.name!r}: {what} shows {most} at a time, and the schedule {schedule.kind!r} shows more; "
            f"take {'the schedule pairs' if most == 2 else 'the schedule pointwise or early_exit, or another layout'}."
        )


def check_model(recipe: Recipe, ask: Ask, mllm: MLLM, form: Form | None) -> None:
    """Raise `RecipeError` when this model cannot do what the recipe, or the checkpoint's own form, needs."""
    ask.check(mllm)
    if form is not None and form.needs and not set(form.needs) <= mllm.capabilities:
        raise RecipeError(
            f"{mllm.spec} has the form {form.name!r}, whose scores need {' and '.join(form.needs)}, and this backend "
            f"gives {', '.join(sorted(mllm.capabilities))}. {form.warning or ''}".rstrip()
        )
    prefix = next(filter(None, (ask.answer_prefix(prompt.answer_prefix) for prompt in _prompts(recipe))), "")
    if prefix and not mllm.limits.answer_prefix:
        raise RecipeError(
            f"The recipe {recipe.name!r} begins the model's answer with {prefix!r}, and {mllm.spec} takes no beginning "
            "of an answer; run it locally, behind a server that can continue an answer (vLLM), or take another recipe."
        )


def check_block(recipe: Recipe, ask: Ask, mllm: MLLM, form: Form | None, shown: int) -> None:
    """Raise `RecipeError` when this model cannot be shown a block of `shown` candidates: too few letters, too few
    log-probabilities, more than the checkpoint was trained with."""
    if recipe.layout.kind != "pair" and form is not None and form.max_candidates and shown > form.max_candidates:
        raise RecipeError(
            f"The recipe {recipe.name!r} would show {shown} candidates in one prompt, and {mllm.spec} was trained on "
            f"{form.max_candidates} at most; {SMALLER}."
        )
    ask.check(mllm, shown)
    if shown > MAX_LETTERS and any(_label_style(recipe, prompt) == "letters" for prompt in _prompts(recipe)):
        raise RecipeError(
            f"The recipe {recipe.name!r} would show {shown} candidates under letters, and there are "
            f"{MAX_LETTERS}; {SMALLER}."
        )


def check_choices(recipe: Recipe, ask: Ask, mllm: MLLM, shown: int) -> None:
    """Raise `RecipeError` when an answer that the ask reads by its log-probability (yes, no, a label) is not one token
    of this model, for blocks of `shown` candidates."""
    turn = Message(role="user", parts=(TextPart(text="?"),))
    for prompt in _prompts(recipe):
        labels = label_names(shown, _label_style(recipe, prompt))
        if choices := ask.choices(mllm, labels):
            asked = Prompt(messages=(turn,), labels=labels, answer_prefix=ask.answer_prefix(prompt.answer_prefix))
            mllm.check_choices(asked, choices)


def check_pictures(recipe: Recipe, mllm: MLLM, shown: int) -> None:
    """Raise `RecipeError` when blocks of `shown` pictures are more than a prompt of this model holds.

    A model that sees no pictures at all is let through, for a collection may be all texts; `check_prompt` then looks
    at what is really shown.
    """
    limit = mllm.limits.images
    pictures = 1 if recipe.layout.kind == "sheet" else shown
    texts_only = all(recipe.rendering.get(kind) == "text" for kind in ("image", "page", "video"))
    if limit and pictures > limit and not texts_only:
        raise RecipeError(
            f"The recipe {recipe.name!r} shows up to {pictures} pictures in one prompt, and {mllm.spec} takes {limit}; "
            f"{SMALLER}, or start the server with a higher image limit. For texts alone: "
            'image="text", page="text", video="text".'
        )


def check_prompt(mllm: MLLM, prompt: Prompt) -> None:
    """Raise `RecipeError` when a prompt holds more pictures than the model takes."""
    limit, count = mllm.limits.images, len(prompt.pictures)
    if limit is not None and count > limit:
        can = f"takes {limit} in one prompt" if limit else "reads text only"
        advice = f"{SMALLER}, or a higher image limit of the server" if limit else "take a model that sees"
        raise RecipeError(f"The prompt holds {count} pictures, and {mllm.spec} {can}; {advice}.")


def _prompts(recipe: Recipe) -> list[PromptFile]:
    """The prompt files of all kinds of query."""
    named = recipe.layout.prompt
    return [load_prompt(name) for name in ([named] if isinstance(named, str) else dict.fromkeys(named.values()))]


def _label_style(recipe: Recipe, prompt: PromptFile) -> LabelStyle:
    """How candidates are named; a prompt file that is a checkpoint's exact form decides itself."""
    if recipe.layout.kind == "sheet":
        return "numbers"
    return prompt.labels if prompt.exact or recipe.layout.labels is None else recipe.layout.labels
