"""`load_reranker`: from ``RECIPE@MODEL`` to a stage, everything that can be wrong said before the first call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.errors import RecipeError, UsageError
from mmrank.mllm.base import MLLM
from mmrank.prompts import load_prompt
from mmrank.prompts.file import QueryKind
from mmrank.rerank.aggregators import Aggregator
from mmrank.rerank.asks import Ask, ChooseOne, Permutation, ask_class
from mmrank.rerank.forms import Form, find_form, form_for
from mmrank.rerank.layouts import Layout, ListLayout, PairLayout, SheetLayout
from mmrank.rerank.recipe import Recipe, find_recipe, with_options
from mmrank.rerank.render_settings import RenderSettings
from mmrank.rerank.renderings import Renderer
from mmrank.rerank.schedules import Schedule
from mmrank.rerank.schedules import make_schedule as schedule_of

if TYPE_CHECKING:
    from mmrank.rerank.judge import MllmReranker

ORDER_ONLY = (Permutation, ChooseOne)
"""Asks that answer with an order and no score for each candidate."""

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
        deadline: seconds for one batch; rounds not begun by then are not asked and the record says ``partial``.
        strict: raise for a query that is not judged as asked, instead of keeping its order with a record.
        progress: called with (questions answered, questions known of so far).
        **options: settings of the recipe's parts (``window=8``) or whole parts (``schedule="blocks"``); see
            `mmrank.rerank.recipe.with_options`.

    Raises `RecipeError` for an unknown recipe, form or setting, and for a model that cannot do what the recipe needs;
    `MllmError` when the model cannot be loaded or reached.

        judge = mm.load_reranker("yes_no@Qwen/Qwen3-VL-Reranker-8B", depth=50)
        judge.rank("a red boat", ["a.jpg", "b.jpg"])
    """
    from mmrank.rerank.judge import MllmReranker

    name, at, wanted = spec.partition("@")
    recipe = with_options(find_recipe(name), options) if options else find_recipe(name)
    if form is not None:
        find_form(form)  # an unknown form is said before gigabytes are loaded
    machine = {"device": device, "precision": precision, "threads": threads}
    mllm = _model(spec, wanted if at else "", model, replay, machine)
    if transcript is not None:
        from mmrank.mllm.transcript import Recording

        mllm = Recording(mllm, transcript)
    row = find_form(form) if form is not None else form_for(mllm.spec)
    recipe = formed(recipe, row, options)
    ask = make_ask(recipe)
    ask.check(mllm)
    if row is not None and row.needs and not set(row.needs) <= mllm.capabilities:
        raise RecipeError(
            f"{mllm.spec} has the form {row.name!r}, whose scores need {' and '.join(row.needs)}, and this backend "
            f"gives {', '.join(sorted(mllm.capabilities))}. {row.warning or ''}".rstrip()
        )
    schedule = make_schedule(recipe)
    check_aggregator(recipe, ask, schedule)
    renderer = Renderer(render_settings(recipe))
    check_limits(recipe, schedule, mllm, depth or recipe.depth, row)
    return MllmReranker(
        recipe=recipe,
        mllm=mllm,
        layouts={kind: make_layout(recipe, kind, row) for kind in QUERY_KINDS},
        ask=ask,
        schedule=schedule,
        renderer=renderer,
        depth=depth or recipe.depth,
        warning="; ".join(words for words in (mllm.warning, row.warning if row else None) if words) or None,
        seed=seed,
        deadline=deadline,
        strict=strict,
        progress=progress,
    )


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
        )
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
    layout = recipe.layout.model_copy(
        update={
            **(
                {"prompt": form.prompts[key]}
                if (key := prompt_key(recipe)) in form.prompts and "prompt" not in options
                else {}
            ),
            **({"instruction": form.instruction} if form.instruction and recipe.layout.instruction is None else {}),
            **{k: v for k, v in form.layout.items() if k not in options},
        }
    )
    ask_fields = {field.name for field in fields(ask_class(recipe.ask.kind))}
    own_ask: dict[str, Any] = {k: v for k, v in form.ask.items() if k in ask_fields and k not in options}
    ask = recipe.ask.model_copy(update=own_ask) if own_ask else recipe.ask
    rendering = {**recipe.rendering, **{k: v for k, v in form.rendering.items() if k not in options}}
    return recipe.model_copy(update={"layout": layout, "ask": ask, "rendering": rendering})


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


def check_aggregator(recipe: Recipe, ask: Ask, schedule: Schedule) -> None:
    """Raise `RecipeError` for an aggregator that does not exist or cannot read what this ask answers."""
    try:
        aggregator = Aggregator(recipe.aggregator.method, recipe.aggregator.settings)
    except UsageError as error:
        raise RecipeError(f"Recipe {recipe.name!r}: {error}") from None
    if schedule.needs_scores and isinstance(ask, ORDER_ONLY):
        raise RecipeError(
            f"Recipe {recipe.name!r}: the schedule {schedule.kind!r} needs a score for each candidate, and the ask "
            f"{ask.name!r} gives an order. Take an ask with scores, such as yes_no, or another schedule."
        )
    if schedule.needs_aggregator and aggregator.needs_scores and isinstance(ask, ORDER_ONLY):
        raise RecipeError(
            f"Recipe {recipe.name!r}: the aggregator {aggregator.method!r} needs scores, and the ask {ask.name!r} "
            "gives an order; take borda, kemeny, win_rate, pagerank, bradley_terry, elo or rrf."
        )


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
    try:
        return kind(**settings)
    except TypeError:
        allowed = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
        raise RecipeError(
            f"The {part} of recipe {recipe.name!r} was given {', '.join(settings)}; it takes {allowed}."
        ) from None
    except RecipeError:
        raise
    except UsageError as error:
        raise RecipeError(f"The {part} of recipe {recipe.name!r}: {error}") from None


def check_limits(recipe: Recipe, schedule: Schedule, mllm: MLLM, depth: int | None, form: Form | None = None) -> None:
    """Raise `RecipeError` when a block of this schedule cannot be shown to this model at all."""
    largest = schedule.largest(recipe.max_slots or depth or 1)
    if recipe.layout.kind != "pair" and form is not None and form.max_candidates and largest > form.max_candidates:
        raise RecipeError(
            f"The recipe {recipe.name!r} would show {largest} candidates in one prompt, and {mllm.spec} was trained on "
            f"{form.max_candidates} at most; take a smaller window=, size= or depth=."
        )
    make_ask(recipe).check(mllm, largest)
    if recipe.layout.labels == "letters" and largest > 26:
        raise RecipeError(
            f"The recipe {recipe.name!r} would show {largest} candidates under letters, and there are 26; "
            "take a smaller window=, size= or depth=."
        )
    pictures = 1 if recipe.layout.kind == "sheet" else largest
    limit = mllm.limits.images
    if limit is not None and pictures > limit:
        raise RecipeError(
            f"The recipe {recipe.name!r} shows up to {pictures} pictures in one prompt, and {mllm.spec} takes {limit}; "
            "take a smaller window=, size= or depth=, or start the server with a higher image limit."
        )


def replaced(reranker: MllmReranker, **changes: Any) -> MllmReranker:
    """A copy of a reranker with other fields; the model is shared.

    deeper = replaced(judge, depth=100)
    """
    return replace(reranker, **changes)
