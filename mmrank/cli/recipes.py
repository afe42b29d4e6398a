"""``mmrank recipes``: what can be named as a reranking recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrank.cli.options import Debug, Json
from mmrank.cli.output import out, print_json

if TYPE_CHECKING:
    from mmrank.rerank.recipe import Recipe


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="RECIPE", help="Everything about one recipe.")] = None,
    *,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the reranking recipes: paper, what they follow, calls per query, what they need.

    \b
    mmrank recipes
    mmrank recipes jointrank
    """
    from mmrank.rerank.recipe import find_recipe, list_recipes

    chosen = [find_recipe(name)] if name else list(list_recipes())
    rows = [recipe_json(recipe) for recipe in chosen]
    if json:
        print_json({"recipes": rows})
    elif name:
        _print_one(rows[0])
    else:
        _print_all(rows)


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as one plain row: what it is, what it follows, what it needs, and its calls at its own depth."""
    from mmrank.rerank.load import make_ask, make_schedule

    ask, schedule = make_ask(recipe), make_schedule(recipe)
    layout = recipe.layout.model_dump(
        exclude_none=True, exclude=set() if recipe.layout.kind == "sheet" else {"columns", "cell"}
    )
    # A schedule that ends with an order of its own leaves an aggregator nothing to do.
    aggregator = recipe.aggregator.model_dump(exclude_none=True) if schedule.needs_aggregator else {}
    return {
        "name": recipe.name,
        "title": recipe.title,
        "paper": recipe.paper,
        "fidelity": recipe.fidelity,
        "fidelity_note": recipe.fidelity_note,
        "published": recipe.published,
        "needs": recipe.needs,
        "capabilities": sorted(ask.needs),
        "tasks": list(recipe.tasks),
        "depth": recipe.depth,
        "calls": schedule.calls(recipe.max_slots or recipe.depth or 1) * ask.calls,
        "layout": recipe.layout.kind,
        "ask": recipe.ask.kind,
        "schedule": recipe.schedule.kind,
        "aggregator": aggregator.get("method"),
        "settings": {
            "layout": layout,
            "ask": recipe.ask.settings,
            "schedule": recipe.schedule.settings,
            "aggregator": aggregator,
            "rendering": recipe.rendering,
        },
    }


def _print_all(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("recipe", no_wrap=True, style="bold")
    table.add_column("calls / depth", justify="right", no_wrap=True)
    table.add_column("follows", no_wrap=True)
    table.add_column("what it does, and what it needs", ratio=1)
    for row in rows:
        words = Text(row["title"])
        words.append(f"\n{row['paper']}; needs {row['needs']}", style="dim")
        table.add_row(row["name"], f"{row['calls']} / {row['depth']}", row["fidelity"], words)
    out().print(table)
    out().print(
        "\ncalls: of the model for one query, at the recipe's own depth (how many hits it looks at).\n"
        "follows: the authors' code, their description, or a stand-in of ours where details are not public.\n"
        'Use one as RECIPE@MODEL: mmrank rerank "a red boat" *.jpg --with first@Qwen/Qwen3-VL-8B-Instruct\n'
        "All about one: mmrank recipes first",
        markup=False,
        soft_wrap=True,
    )


def _print_one(row: dict[str, Any]) -> None:
    console = out()
    console.print(f"{row['name']}: {row['title']}", style="bold", markup=False)
    follows = {"code": "the authors' code", "description": "the authors' description", "stand-in": "our stand-in"}
    facts = {
        "paper": row["paper"],
        "follows": follows[row["fidelity"]] + (f"; {row['fidelity_note']}" if row["fidelity_note"] else ""),
        "published": row["published"],
        "needs": row["needs"],
        "for": ", ".join(row["tasks"]),
        "depth": str(row["depth"]),
        "calls": f"{row['calls']} for one query at that depth",
        **{p: _settings(row[p] or "", row["settings"][p]) for p in ("layout", "ask", "schedule", "aggregator")},
        "rendering": _settings("", row["settings"]["rendering"]),
    }
    for label, words in facts.items():
        if words:
            console.print(f"  {label + ':':<12}{words}", markup=False, soft_wrap=True)


def _settings(kind: str, settings: dict[str, Any]) -> str:
    shown = ", ".join(f"{key}={_value(value)}" for key, value in settings.items() if key not in ("kind", "method"))
    return ": ".join(part for part in (kind, shown) if part)


def _value(value: Any) -> str:
    """A setting as ``--set`` takes it; the prompt for each kind of query as a list."""
    if isinstance(value, dict):
        return " ".join(f"{word} ({kind})" for kind, word in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)
