"""``mmrank datasets``: what can be named as a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrank.cli.options import Debug, Json
from mmrank.cli.output import out, print_json

if TYPE_CHECKING:
    from mmrank.evaluation.datasets.registry import DatasetRow


def datasets(
    name: Annotated[str | None, typer.Argument(metavar="DATASET", help="Everything about one data set.")] = None,
    *,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the data sets to evaluate on: splits and sizes, protocol, options, where to get them.

    \b
    mmrank datasets
    mmrank datasets cirr
    """
    from mmrank.evaluation.datasets.registry import find_dataset, list_datasets

    rows = [find_dataset(name)] if name else list(list_datasets())
    if json:
        print_json({"datasets": [dataset_json(row) for row in rows]})
    elif name:
        _print_one(rows[0])
    else:
        _print_all(rows)


def dataset_json(row: DatasetRow) -> dict[str, Any]:
    """A data set as one plain row; the first split is the default, and the first value of a choice."""
    return {
        "name": row.name,
        "title": row.title,
        "splits": [
            {
                "name": split.name,
                "size": split.size,
                "tasks": {task: {"queries": n, "gallery": m} for task, (n, m) in split.tasks.items()},
            }
            for split in row.splits
        ],
        "aliases": dict(row.aliases),
        "protocol": row.protocol,
        "media": row.media,
        "source": row.source,
        "licence": row.licence,
        "options": [
            {
                "name": option.name,
                "kind": option.kind,
                "values": list(option.values),
                "default": option.default,
                "help": option.help,
            }
            for option in row.options
        ],
    }


def _print_all(rows: list[DatasetRow]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("data set", no_wrap=True, style="bold")
    table.add_column("splits", ratio=2)
    table.add_column("protocol, and where to get it", ratio=3, overflow="fold")
    for row in rows:
        words = Text(row.protocol)
        words.append(f"\n{row.source}", style="dim")
        splits = Text()
        for number, split in enumerate(row.splits):
            splits.append(f"{'' if number == 0 else chr(10)}{split.name}: ", style="bold")
            splits.append(split.size)
        table.add_row(row.name, splits, words)
    out().print(table)
    out().print(
        "\nThe first split is the default. Evaluate on one: mmrank eval cirr --root DIR --pipeline FILE.toml\n"
        "Options and licence of one: mmrank datasets cirr",
        markup=False,
        soft_wrap=True,
    )


def _print_one(row: DatasetRow) -> None:
    console = out()
    console.print(f"{row.name}: {row.title}", style="bold", markup=False)
    facts = {"protocol": row.protocol, "media": row.media, "from": row.source, "licence": row.licence}
    for label, words in facts.items():
        console.print(f"  {label + ':':<10}{words}", markup=False, soft_wrap=True)
    console.print("\nSplits, the default first", style="bold", markup=False)
    width = max(len(split.name) for split in row.splits) + 2
    for split in row.splits:
        others = [other for other, own in row.aliases.items() if own == split.name]
        also = f" (also: {', '.join(others)})" if others else ""
        console.print(f"  {split.name:<{width}}{split.size}{also}", markup=False, soft_wrap=True)
    if row.options:
        console.print("\nOptions", style="bold", markup=False)
    for option in row.options:
        default = f"; default: {option.default}" if option.default else ""
        console.print(f"  {option.name}: {option.help} ({option.allowed}{default})", markup=False, soft_wrap=True)
