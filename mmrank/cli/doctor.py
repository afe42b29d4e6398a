"""``mmrank doctor``: what is installed and what works on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mmrank.cli.command import COULD_NOT
from mmrank.cli.options import Debug, Json
from mmrank.cli.output import count, out, print_json, printable, stdout_for_json

if TYPE_CHECKING:
    from mmrank.cli.checks import Check

_MARKS = {"ok": ("✓", "bold green"), "missing": ("·", "dim"), "note": ("!", "bold yellow"), "broken": ("✗", "bold red")}


def doctor(json: Json = False, debug: Debug = False) -> None:
    """Check what is installed, and try what works on this machine.

    Models, pictures, HEIC photos, PDFs, videos, the index, the toybox: everything is really tried on small files made
    on the spot. Exit code 1 when something essential is broken.
    """
    from mmrank.cli.checks import all_checks

    with stdout_for_json(json):
        checks = []
        group = ""
        for check in all_checks():
            checks.append(check)
            if not json:
                if check.group != group:
                    group = check.group
                    out().print(f"\n{group}", style="bold", markup=False)
                _print(check)
    broken = [check.name for check in checks if check.state == "broken" and check.essential]
    if json:
        print_json({"ok": not broken, "broken": broken, "checks": [check.as_json() for check in checks]})
    elif broken:
        out().print(f"\n{count(len(broken), 'essential part is', 'essential parts are')} broken: {', '.join(broken)}.")
    else:
        out().print("\nEverything essential works. Try: mmrank demo")
    if broken:
        raise typer.Exit(COULD_NOT)


def _print(check: Check) -> None:
    from rich.padding import Padding
    from rich.text import Text

    mark, style = _MARKS[check.state]
    line = Text.assemble((mark, style), " ", f"{check.name:<18} ", (printable(check.detail), "dim"))
    out().print(Padding(line, (0, 0, 0, 2), expand=False))
    if check.advice:
        out().print(Padding(Text(printable(check.advice)), (0, 0, 0, 23), expand=False))
