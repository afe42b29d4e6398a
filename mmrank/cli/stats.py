"""``mmrank stats``: what an index holds, and how well it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from mmrank.cli.options import Debug, Json
from mmrank.cli.output import count, one_line, out, print_json, shorten_end, shorten_middle

CAUSES = 5
"""Failures shown without ``--failures``."""

LABEL = 12
VALUES = 44
"""Columns of a line's label, and of the values of a metadata column: 80 in all."""


def stats(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The index.")],
    *,
    failures: Annotated[bool, typer.Option("--failures", help="List everything that could not be indexed.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what an index holds: items, metadata columns, size, indexes, failures.

    No model is loaded.

    \b
    mmrank stats pictures.index
    mmrank stats pictures.index --failures
    """
    from mmrank.index.index import Index

    index = Index.open(folder)
    told, failed = index.stats(), index.failures()
    if json:
        print_json({**told, "failed": failed})
        return
    if failures:
        _print_failures(failed, len(failed), whole=True)
        if not failed:
            out().print("Nothing failed.", markup=False)
        return
    _print_rows(told)
    _print_metadata(told["metadata"])
    _print_indexes(told)
    if failed:
        out().print()
        _print_failures(failed, CAUSES)


def size(number: int) -> str:
    """Bytes as a person says them.

    >>> size(512), size(1_500_000), size(410_000_000_000)
    ('512 B', '1.5 MB', '410 GB')
    """
    amount = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 9.95 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _line(label: str, words: str) -> None:
    out().print(f"{label:<{LABEL}}{words}", markup=False, soft_wrap=True)


def _print_rows(told: Mapping[str, Any]) -> None:
    kinds = ", ".join(count(n, kind) for kind, n in sorted(told["kinds"].items(), key=lambda pair: -pair[1]))
    _line("Items", f"{told['rows']:,}" + (f" ({kinds})" if told["kinds"] else ""))
    _line("Model", f"{shorten_middle(told['embedder'], 50)}, {told['dimension']} dimensions")
    _line(
        "Built", f"first {told['created'][:10]}; version {told['version']:,}, {count(told['versions'], 'version')} kept"
    )
    tables = {name: table for name, table in told["tables"].items() if table["rows"]}
    _line("On disk", size(sum(table["bytes"] for table in tables.values())))
    for name, table in tables.items():
        _line("", f"{name:<12}{size(table['bytes']):>8}  {count(table['rows'], 'row')}")


def _print_metadata(columns: Sequence[Mapping[str, Any]]) -> None:
    from rich import box
    from rich.table import Table

    out().print()
    if not columns:
        _line("Metadata", "none")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("metadata", no_wrap=True, style="bold")
    table.add_column("type", no_wrap=True)
    table.add_column("filled", no_wrap=True, justify="right")
    table.add_column("values", no_wrap=True)
    for column in columns:
        name = shorten_middle(column["name"], 18)
        table.add_row(name, column["type"], share(column["filled"]), shorten_end(_values(column), VALUES - 8))
    out().print(table)


def share(part: float) -> str:
    """A share in percent; one that is not all never says 100, and one that is something never 0.

    >>> share(1.0), share(0.9999), share(0.00001), share(0.0)
    ('100 %', '>99 %', '<1 %', '0 %')
    """
    if part in (0.0, 1.0):
        return f"{100 * part:.0f} %"
    return "<1 %" if part < 0.01 else ">99 %" if part > 0.99 else f"{100 * part:.0f} %"


def _values(column: Mapping[str, Any]) -> str:
    if "least" in column:
        return f"{_plain(column['least'])} to {_plain(column['most'])}"
    examples = column.get("examples", [])
    if isinstance(examples, Mapping):
        return ", ".join(f"{n:,} {word}" for word, n in examples.items())
    return ", ".join(one_line(str(example)) for example in examples)


def _plain(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print_indexes(told: Mapping[str, Any]) -> None:
    out().print()
    if told["search"] == "approximate":
        found = f", finds {100 * told['recall']:.1f} % of the ten nearest (measured)" if told["recall"] else ""
        _line("Search", f"approximate{found}")
    else:
        _line("Search", f"exact, {size(told['matrix_bytes'])} of vectors in memory")
    if tokens := told["token_vectors"]:
        _line("", f"{count(tokens['vectors'], 'token vector')} of {count(tokens['contents'], 'content')}")
    names = [", ".join(index["columns"]) + _outside(index["unindexed_rows"]) for index in told["indexes"]]
    _line("Indexed", ", ".join(sorted(names)) or "nothing")


def _outside(rows: int | None) -> str:
    return f" ({rows:,} rows not yet)" if rows else ""


def _print_failures(failed: Sequence[Mapping[str, str]], most: int, *, whole: bool = False) -> None:
    """Two lines for each: what, and since when and why. They are cut to the terminal unless the `whole` is wanted."""
    if not failed:
        return
    console = out()
    width, cut = console.width, False
    console.print(f"{count(len(failed), 'failure')}:", markup=False)
    for one in failed[:most]:
        uri = f"  {one_line(one['uri'])}"
        why = one_line(one["why"].removeprefix(one["uri"]).strip())
        since = f"    {one['at'][:16].replace('T', ' ')}  {why}"
        shown = (uri, since) if whole else (shorten_middle(uri, width), shorten_end(since, width))
        cut = cut or shown != (uri, since)
        for line in shown:
            console.print(line, markup=False, soft_wrap=True)
    if len(failed) > most:
        console.print(f"  and {len(failed) - most:,} more: --failures lists all", markup=False)
    elif cut:
        console.print("  --failures shows them whole", markup=False)
