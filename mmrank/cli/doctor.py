"""``mmrank doctor``: what is installed and works on this machine, or what a server can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmrank.cli.command import COULD_NOT
from mmrank.cli.options import Debug, Json
from mmrank.cli.output import count, out, print_json, printable, stdout_for_json

if TYPE_CHECKING:
    from rich.table import Table

    from mmrank.cli.checks import Check

_MARKS = {"ok": ("✓", "bold green"), "missing": ("·", "dim"), "note": ("!", "bold yellow"), "broken": ("✗", "bold red")}


_Server = Annotated[
    str | None,
    typer.Argument(
        metavar="[SERVER]",
        help="openai:BASE_URL#MODEL, such as openai:http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct: check that "
        "server instead. The model may be left out when only one is served.",
    ),
]


def doctor(server: _Server = None, json: Json = False, debug: Debug = False) -> None:
    """Check what is installed, and try what works on this machine; or try what a server can do.

    Models, pictures, HEIC photos, PDFs, videos, the index, the toybox: everything is really tried on small files made
    on the spot. Of a server: text, pictures and how many, context, log-probabilities, answer prefix, pair scores.
    Exit code 1 when something essential is broken.
    """
    if server is not None:
        _doctor_server(server, json)
        return
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


def _doctor_server(spec: str, json: bool) -> None:
    from mmrank.cli.server_checks import serve_line, server_checks, with_model
    from mmrank.mllm.remote import load_remote

    with stdout_for_json(json):
        # Few tries: the person waits, and what does not work now is what is to be shown.
        mllm = load_remote(with_model(spec), retries=1, read_timeout=60)
        checks = list(server_checks(mllm))
    broken = [check.name for check in checks if check.state == "broken" and check.essential]
    line = serve_line(mllm.server.model)
    if json:
        shown = [check.as_json() for check in checks]
        print_json({"ok": not broken, "server": mllm.spec, "broken": broken, "checks": shown, "serve": line})
    else:
        out().print(_table(mllm.spec, checks))
        out().print("vLLM serves this model for every recipe that fits it with:", markup=False)
        out().print(f"  {printable(line)}", markup=False, soft_wrap=True)
    if broken:
        raise typer.Exit(COULD_NOT)


def _table(title: str, checks: list[Check]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)), box=SIMPLE, title_justify="left")
    for name in ("", "Check", "Seen", "What to do"):
        table.add_column(name, overflow="fold")
    for check in checks:
        table.add_row(
            Text(*_MARKS[check.state]), check.name, Text(printable(check.detail)), Text(printable(check.advice))
        )
    return table


def _print(check: Check) -> None:
    from rich.padding import Padding
    from rich.text import Text

    mark, style = _MARKS[check.state]
    line = Text.assemble((mark, style), " ", f"{check.name:<18} ", (printable(check.detail), "dim"))
    out().print(Padding(line, (0, 0, 0, 2), expand=False))
    if check.advice:
        out().print(Padding(Text(printable(check.advice)), (0, 0, 0, 23), expand=False))
