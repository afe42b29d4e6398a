"""Recipes: a reranking method written down as data, and how options change a part of it.

A recipe file names a layout, an ask, a schedule, an aggregator and a rendering with their settings; nothing in
`mmrank.rerank` knows a paper's name besides these files. A new method is a recipe file, a prompt file and tests.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from mmrank.errors import RecipeError
from mmrank.prompts.file import QueryKind

Fidelity: TypeAlias = Literal["code", "description", "stand-in"]
"""What a recipe follows: the authors' code, their description, or our stand-in where details are not public."""

PART_NAMES = ("layout", "ask", "schedule", "aggregator", "rendering")

TOP_SETTINGS = frozenset({"slots", "max_slots"})
"""Settings of the recipe itself that an option may change."""

FOLDER_STARTS = ("/", ".", "~")


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LayoutPart(_Config):
    """How candidates are shown: one at a time, in a list, or on one sheet, and with which words.

    `prompt`: a prompt file's name, or one per kind of query (``text`` is the one for kinds not named).
    """

    kind: Literal["pair", "list", "sheet"]
    prompt: str | dict[QueryKind, str]
    labels: Literal["numbers", "letters"] | None = None
    order: Literal["given", "reversed"] | None = None
    instruction: str | None = None
    columns: PositiveInt = 5
    cell: PositiveInt = 336


class Part(BaseModel):
    """An ask or a schedule: its kind, and the settings that its own class checks."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the kind."""
        return dict(self.model_extra or {})


class AggregatorPart(BaseModel):
    """How the answers about several blocks become one order. `blend`: the judge's share when its scores are mixed
    with the first stage's after min-max (None: the judge's alone)."""

    model_config = ConfigDict(extra="allow", frozen=True)
    method: str = "mean"
    blend: float | None = Field(default=None, ge=0, le=1)

    @property
    def settings(self) -> dict[str, Any]:
        """What the aggregator's own function takes."""
        return dict(self.model_extra or {})


class Recipe(_Config):
    """One method as data; see the files in ``mmrank/rerank/recipes``.

    `tasks`: what it is meant for. `slots`: show each candidate once, or once for every list it came from.
    `published`: the paper's own figure, to stand beside ours. `needs`: one line on the model it wants.
    """

    name: str
    title: str
    paper: str
    fidelity: Fidelity
    fidelity_note: str = ""
    published: str = ""
    needs: str
    tasks: tuple[str, ...]
    depth: PositiveInt | None
    slots: Literal["candidates", "sources"] = "candidates"
    max_slots: PositiveInt | None = None
    layout: LayoutPart
    ask: Part
    schedule: Part
    aggregator: AggregatorPart = AggregatorPart()
    rendering: dict[str, Any] = Field(default_factory=dict)

    def prompt_for(self, kind: QueryKind) -> str:
        """The prompt file for a kind of query."""
        prompt = self.layout.prompt
        return prompt if isinstance(prompt, str) else prompt.get(kind, prompt["text"])


@cache
def list_recipes() -> tuple[Recipe, ...]:
    """Every recipe that comes with mmrank, by name.

    >>> "first" in [recipe.name for recipe in list_recipes()]
    True
    """
    folder = resources.files("mmrank.rerank").joinpath("recipes")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return tuple(_parse(file.read_text("utf-8"), file.name) for file in files)


def find_recipe(name: str) -> Recipe:
    """A recipe by name, or a recipe file of one's own by path (begins with ``/``, ``.`` or ``~``).

    Raises `RecipeError` for an unknown name, with the nearest ones, and for a file that does not fit the schema.
    """
    if name.startswith(FOLDER_STARTS):
        path = Path(name).expanduser()
        try:
            return _parse(path.read_text("utf-8"), str(path))
        except OSError as error:
            raise RecipeError(f"The recipe file {name!r} cannot be read: {error.strerror}.") from None
    known = {recipe.name: recipe for recipe in list_recipes()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3)
    meant = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}."
    raise RecipeError(f"No recipe is called {name!r}; {meant} `mmrank recipes` lists them with what they need.")


def with_options(recipe: Recipe, options: Mapping[str, Any]) -> Recipe:
    """The recipe with some settings replaced.

    A part is replaced by its kind (``schedule="blocks"``: its settings go, the new kind's defaults hold) or by a table
    (``schedule={"kind": "blocks", "size": 8}``; a table without a kind changes settings of the part as it is). A
    setting can also be named alone (``window=8``): it goes to the part that has it. Raises `RecipeError` for a name no
    part has, and for values that do not fit.

    >>> with_options(find_recipe("first"), {"window": 8, "stride": 4}).schedule.settings["window"]
    8
    """
    raw = recipe.model_dump(exclude_none=True)
    loose = {key: value for key, value in options.items() if key not in {*PART_NAMES, *TOP_SETTINGS}}
    for key in TOP_SETTINGS & options.keys():
        raw[key] = options[key]
    for name in PART_NAMES:
        if name in options:
            raw[name] = _changed(name, raw.get(name, {}), options[name])
    part_fields(raw)  # an unknown kind is named before its settings are looked for
    for key, value in loose.items():
        part = _part_with(key, raw)
        raw.setdefault(part, {})[key] = value
    return _validated(raw, f"the recipe {recipe.name!r} with options {sorted(options)}")


def _changed(name: str, old: Mapping[str, Any], new: Any) -> dict[str, Any]:
    naming = "method" if name == "aggregator" else "kind"
    if isinstance(new, str):
        return {**(dict(old) if name == "layout" else {}), naming: new}
    if isinstance(new, Mapping):
        return dict(new) if naming in new and name != "layout" else {**old, **new}
    raise RecipeError(f"{name} is {new!r}; give a kind such as {name}='...' or a table of settings.")


def _part_with(key: str, raw: Mapping[str, Any]) -> str:
    """The part a setting belongs to."""
    fields = part_fields(raw)
    owners = [part for part in PART_NAMES if key in fields[part]]
    if len(owners) == 1:
        return owners[0]
    every = sorted({field for names in fields.values() for field in names})
    if owners:
        raise RecipeError(f"Both {' and '.join(owners)} have a setting {key!r}; write {owners[0]}={{{key!r}: ...}}.")
    near = difflib.get_close_matches(key, every, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(every)}."
    raise RecipeError(f"The recipe {raw['name']!r} has no setting {key!r}; {hint}")


def part_fields(raw: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The settings each part of a recipe takes, by part. Raises `RecipeError` for an unknown kind."""
    import inspect
    from dataclasses import fields

    from mmrank.rerank.aggregators import AGGREGATORS
    from mmrank.rerank.asks import ASKS
    from mmrank.rerank.render_settings import RenderSettings
    from mmrank.rerank.schedules import SCHEDULES

    method = raw.get("aggregator", {}).get("method", "mean")
    aggregator = _known("aggregator", method, AGGREGATORS)
    return {
        "layout": tuple(name for name in LayoutPart.model_fields if name != "kind"),
        "ask": tuple(field.name for field in fields(_known("ask", raw["ask"]["kind"], ASKS))),
        "schedule": (
            "both_orders",
            *(field.name for field in fields(_known("schedule", raw["schedule"]["kind"], SCHEDULES))),
        ),
        "aggregator": ("blend", *list(inspect.signature(aggregator).parameters)[3:]),
        "rendering": tuple(field.name for field in fields(RenderSettings)),
    }


def _known(part: str, kind: str, table: Mapping[str, Any]) -> Any:
    if kind not in table:
        near = difflib.get_close_matches(kind, table, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(table)}."
        raise RecipeError(f"No {part} is called {kind!r}; {hint}")
    return table[kind]


def _parse(text: str, place: str) -> Recipe:
    try:
        return _validated(tomllib.loads(text), place)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{place} is not valid TOML: {error}.") from None


def _validated(raw: Mapping[str, Any], place: str) -> Recipe:
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, f['loc'])) or 'the file'}: {f['msg']}" for f in error.errors()]
        raise RecipeError(f"{place} does not fit the recipe schema:\n" + "\n".join(faults)) from None
