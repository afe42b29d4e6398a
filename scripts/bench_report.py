"""Put the tables of bench runs into docs/results.md, between the marks that bear the bench's name.

python scripts/bench_report.py images.json memory.json ...
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from _bench import TableText, where_and_when

RESULTS = Path(__file__).parents[1] / "docs" / "results.md"


def report(
    files: Annotated[list[Path], typer.Argument(help="What the bench scripts wrote with --json.")],
    into: Annotated[Path, typer.Option(help="The Markdown file with the marks.")] = RESULTS,
) -> None:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` by the run's tables."""
    text = into.read_text(encoding="utf-8")
    for file in files:
        run = json.loads(file.read_text(encoding="utf-8"))
        marks = re.compile(rf"(<!-- {run['bench']} -->\n).*?(<!-- /{run['bench']} -->)", re.DOTALL)
        if not marks.search(text):
            raise typer.BadParameter(f"{into} has no marks for the bench {run['bench']!r} of {file}")
        text = marks.sub(lambda found, run=run: found[1] + _tables(run) + found[2], text)
    into.write_text(text, encoding="utf-8")


def _tables(run: dict[str, Any]) -> str:
    tables = "\n".join(_markdown(table) for table in run["tables"])
    return f"{tables}\n*{where_and_when(run['environment'])}*\n"


def _markdown(table: TableText) -> str:
    columns = table["columns"]
    rule = ["---", *["---:"] * (len(columns) - 2), "---"]
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, rule, *table["rows"])]
    return f"**{table['title']}**\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(report)
