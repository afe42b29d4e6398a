"""`load_reranker`: from ``RECIPE@MODEL`` to a stage, everything that can be wrong said before the first call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.errors import RecipeError, UsageError
from mmrank.mllm.base import MLLM
from mmrank.pipeline import check_depth
from mmrank.prompts import load_prompt
from mmrank.prompts.file import QueryKind
from mmrank.rerank.asks import Ask, ask_class
from mmrank.rerank.forms import Form, find_form, form_for
from mmrank.rerank.layouts import Layout, ListLayout, PairLayout, SheetLayout
from mmrank.rerank.limits import check_block, check_choices, check_model, check_parts, check_pictures
from mmrank.rerank.recipe import PART_NAMES, Recipe, find_recipe, with_options
from mmrank.rerank.render_settings import RenderSettings
from mmrank.rerank.renderings import Renderer
from mmrank.rerank.schedules import Schedule
from mmrank.rerank.schedules import make_schedule as schedule_of

if TYPE_CHECKING:
    from mmrank.rerank.judge import MllmReranker

LOCAL_OPTIONS = ("batch_tokens", "feature_cache", "feature_memory", "feature_precision", "prefix_memory")
SERVER_OPTIONS = ("concurrency", "lossless", "pictures_once")
MODEL_OPTIONS = (*LOCAL_OPTIONS, *SERVER_OPTIONS)
"""Options that are the model's: what it keeps between calls (`mmrank.mllm.local.backend.LocalMLLM`), and how a server
is spoken to (`mmrank.mllm.remote.load_remote`)."""

QUERY_KINDS: tuple[QueryKind, ...] = ("text", "composed", "image", "video", "dialogue")


def load_reranker(
    spec: str,
    *,
    depth: int | None = None,
    model: MLLM | None = None,
    form: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    transcript: str | Path | None = None,
    replay: str | Path | None = None,
    seed: int = 0,
    deadline: float | None = None,
    deadline_ms: float | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> MllmReranker:
    """A reranker by recipe and model, as a Stage.

    Args:
        spec: ``RECIPE@MODEL``, split at the first ``@``. `mmrank recipes` lists recipes; MODEL is what
            `mmrank.load_mllm` takes: a hub id, a folder, an alias or ``openai:BASE_URL#MODEL``. With `model` or
            `replay`, the recipe alone.
        depth: how many hits it looks at; the recipe's own number when None. The rest keep their order behind.
        model: a loaded MLLM, so that two recipes share one.
        form: the checkpoint row (prompt form, tokens, pixel limits) for a local fine-tune; by default the row whose
            models match the model's name, or the recipe's own zero-shot words.
        device, precision, threads: as in `mmrank.load_mllm`.
        transcript: a JSONL file to which every call is written: messages, answer, how it was read, cost.
        replay: a transcript to answer from, without any model.
        seed: of all shuffles and samples, together with the query's id.
        deadline: seconds for one batch of rankings. What is scored by then comes first, the rest keeps its previous
            order behind, and the record says ``partial``. A question that is not likely to be answered in time is not
            asked; one under way is waited for.
        deadline_ms: the same in milliseconds; give one of the two.
        strict: raise for a query that is not judged as asked, instead of keeping its order with a record.
        progress: called with (questions answered, questions known of so far) after every round, and within long ones
            where the backend says how much it takes at a time.
        **options: settings of the recipe's parts (``window=8``) or whole parts (``schedule="blocks"``); see
            `mmrank.rerank.recipe.with_options`. Also the model's own (`MODEL_OPTIONS`): of one that runs here such as
            ``feature_cache="FOLDER"``, where what it made of pictures is kept for later runs; of a server such as
            ``concurrency=32``.

    Raises `RecipeError` for an unknown recipe, form or setting, and for a model that cannot do what the recipe needs;
    `MllmError` when the model cannot be loaded or reached.

        judge = mm.load_reranker("yes_no@Qwen/Qwen3-VL-Reranker-8B", depth=50)
        judge.rank("a red boat", ["a.jpg", "b.jpg"])
    """
    from mmrank.rerank.judge import MllmReranker

    name, at, wanted = spec.partition("@")
    keeping = {key: options.pop(key) for key in MODEL_OPTIONS if key in options}
    recipe = with_options(find_recipe(name), options) if options else find_recipe(name)
    if form is not None:
        find_form(form)
    _parts(recipe)  # a wrong form or setting is said before gigabytes are loaded
    depth = recipe.depth if depth is None else depth
    check_depth(depth)
    deadline = seconds_of(deadline, deadline_ms)
    machine = {"device": device, "precision": precision, "threads": threads, **keeping}
    mllm = _model(spec, wanted if at else "", model, replay, machine)
    row = find_form(form) if form is not None else form_for(mllm.spec)
    recipe = formed(recipe, row, options)
    ask, schedule, rendering = _parts(recipe)
    _check_model(recipe, ask, schedule, mllm, form=row, depth=depth)
    layouts: dict[str, Layout] = {kind: make_layout(recipe, kind, row) for kind in QUERY_KINDS}
    if transcript is not None:
        from mmrank.mllm.transcript import Recording

        mllm = Recording(mllm, transcript)
    return MllmReranker(
        recipe=recipe,
        mllm=mllm,
        layouts=layouts,
        ask=ask,
        schedule=schedule,
        renderer=Renderer(rendering),
        form=row,
        depth=depth,
        seed=seed,
        deadline=deadline,
        strict=strict,
        progress=progress,
    )


def _check_model(
    recipe: Recipe, ask: Ask, schedule: Schedule, mllm: MLLM, *, form: Form | None, depth: int | None
) -> None:
    """Everything that can be known of a model and a recipe before anything is asked."""
    check_model(recipe, ask, mllm, form)
    largest = 2  # without a depth the largest block is known when the list is
    if depth is not None:
        most = recipe.max_slots or depth
        largest = schedule.largest(most if recipe.slots == "sources" else min(most, depth))
        check_block(recipe, ask, mllm, form, largest)
        check_pictures(recipe, mllm, largest)
    check_choices(recipe, ask, mllm, max(1, largest))


def _model(
    spec: str,
    wanted: str,
    model: MLLM | None,
    replay: str | Path | None,
    machine: Mapping[str, Any],
) -> MLLM:
    given = [name for name, here in (("@MODEL", wanted), ("model=", model), ("replay=", replay)) if here]
    if len(given) != 1:
        raise RecipeError(
            f"The reranker {spec!r} has {' and '.join(given) if given else 'no model'}; give exactly one of: a model "
            "after the @ (such as first@Qwen/Qwen3-VL-8B-Instruct), model=, or replay=."
            + (f" To replay a transcript name the recipe alone: {spec.partition('@')[0]}." if replay else "")
        )
    if not wanted and (unused := [key for key in MODEL_OPTIONS if key in machine]):
        raise UsageError(f"{', '.join(unused)}: for a model that is loaded by its name; it came by model= or replay=.")
    if model is not None:
        return model
    if replay is not None:
        from mmrank.mllm.transcript import Replay

        return Replay(replay)
    from mmrank.mllm.registry import load_mllm

    return load_mllm(wanted, **machine)


def formed(recipe: Recipe, form: Form | None, options: Mapping[str, Any]) -> Recipe:
    """The recipe with a checkpoint's own settings; what the caller named in `options` stays as he named it."""
    if form is None:
        return recipe
    named = _named(options)
    layout: dict[str, Any] = {str(key): value for key, value in form.layout.items()}
    if prompt_key(recipe) in form.prompts:
        layout["prompt"] = form.prompts[prompt_key(recipe)]
    if form.instruction and recipe.layout.instruction is None:
        layout["instruction"] = form.instruction
    ask_fields = {field.name for field in fields(ask_class(recipe.ask.kind))}
    ask: dict[str, Any] = {key: value for key, value in form.ask.items() if key in ask_fields}
    if "pairs" in form.needs and "by" in ask_fields:
        ask["by"] = "pairs"
    return recipe.model_copy(
        update={
            "layout": recipe.layout.model_copy(update=_without(layout, named)),
            "ask": recipe.ask.model_copy(update=_without(ask, named)),
            "rendering": {**recipe.rendering, **_without(form.rendering, named)},
        }
    )


def _named(options: Mapping[str, Any]) -> set[str]:
    """The settings that options name, alone (``cell=64``) or in a table (``layout={"cell": 64}``)."""
    tables = [value for key, value in options.items() if key in PART_NAMES and isinstance(value, Mapping)]
    return {*options, *(key for table in tables for key in table)}


def _without(settings: Mapping[str, Any], named: set[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in named}


def prompt_key(recipe: Recipe) -> str:
    """What a form names a prompt by: layout and ask.

    >>> prompt_key(find_recipe("first"))
    'list.first_token'
    """
    return f"{recipe.layout.kind}.{recipe.ask.kind}"


def make_ask(recipe: Recipe) -> Ask:
    """The recipe's ask, its settings checked."""
    made: Ask = _made("ask", recipe, ask_class(recipe.ask.kind), recipe.ask.settings)
    return made


def make_schedule(recipe: Recipe) -> Schedule:
    """The recipe's schedule, its settings checked."""
    try:
        return schedule_of(recipe.schedule.kind, **recipe.schedule.settings)
    except UsageError as error:
        raise RecipeError(f"Recipe {recipe.name!r}: {error}") from None


def seconds_of(deadline: float | None, deadline_ms: float | None) -> float | None:
    """The one deadline in seconds. Raises `UsageError` for one that is no number above 0, and for two.

    >>> seconds_of(None, 250)
    0.25
    """
    for name, value, unit in (("deadline", deadline, "seconds"), ("deadline_ms", deadline_ms, "milliseconds")):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
            raise UsageError(f"{name} is {value!r}; it must be a number of {unit} above 0, or None for no limit.")
    if deadline is not None and deadline_ms is not None:
        raise UsageError(
            f"deadline={deadline:g} (seconds) and deadline_ms={deadline_ms:g} (milliseconds) both came; give one."
        )
    return deadline if deadline_ms is None else deadline_ms / 1000


def _parts(recipe: Recipe) -> tuple[Ask, Schedule, RenderSettings]:
    """Ask, schedule and rendering, each made and all held against each other."""
    ask, schedule = make_ask(recipe), make_schedule(recipe)
    check_parts(recipe, ask, schedule)
    return ask, schedule, render_settings(recipe)


def render_settings(recipe: Recipe) -> RenderSettings:
    """The recipe's rendering, its settings checked."""
    made: RenderSettings = _made("rendering", recipe, RenderSettings, recipe.rendering)
    return made


def make_layout(recipe: Recipe, kind: QueryKind, form: Form | None) -> Layout:
    """The layout for one kind of query."""
    part = recipe.layout
    prompt = load_prompt(recipe.prompt_for(kind))
    limit = None if form is None else form.max_tokens_in
    if part.kind == "pair":
        return PairLayout(prompt=prompt, instruction=part.instruction, max_tokens_in=limit)
    if part.kind == "sheet":
        return SheetLayout(
            prompt=prompt, instruction=part.instruction, columns=part.columns, cell=part.cell, max_tokens_in=limit
        )
    return ListLayout(
        prompt=prompt, instruction=part.instruction, labels=part.labels, order=part.order, max_tokens_in=limit
    )


def _made(part: str, recipe: Recipe, kind: Callable[..., Any], settings: Mapping[str, Any]) -> Any:
    allowed = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(set(settings) - set(allowed)):
        raise RecipeError(
            f"The {part} of recipe {recipe.name!r} was given {', '.join(unknown)}; it takes {', '.join(allowed)}."
        )
    try:
        return kind(**settings)
    except TypeError:  # a word compared with a number
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        raise RecipeError(f"The {part} of recipe {recipe.name!r} was given {given}; one is not of its type.") from None
    except RecipeError:
        raise
    except UsageError as error:
        raise RecipeError(f"The {part} of recipe {recipe.name!r}: {error}") from None
