"""``mmrank``: the command line's front door. Commands import what they need when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrank.cli.command import STOPPED, Command, ResumableCommand
from mmrank.cli.datasets import datasets
from mmrank.cli.demo import demo
from mmrank.cli.doctor import doctor
from mmrank.cli.eval import evaluate
from mmrank.cli.fuse import fuse
from mmrank.cli.index import index
from mmrank.cli.models import models
from mmrank.cli.recipes import recipes
from mmrank.cli.rerank import rerank
from mmrank.cli.search import search
from mmrank.cli.stats import stats
from mmrank.cli.toybox import toybox

_EPILOG = "Exit codes: 0 done, 1 could not do it, 2 wrong usage. Begin with: mmrank demo"

app = typer.Typer(
    name="mmrank",
    help="Search your images, document pages, videos and notes by meaning.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from mmrank import __version__

        typer.echo(f"mmrank {__version__}")
        raise typer.Exit


@app.callback()
def _front(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Search your images, document pages, videos and notes by meaning."""


app.command(cls=ResumableCommand)(index)
app.command(cls=Command)(search)
app.command(cls=Command)(stats)
app.command(cls=Command)(rerank)
app.command("eval", cls=ResumableCommand)(evaluate)
app.command(cls=Command)(fuse)
app.command(cls=Command)(models)
app.command(cls=Command)(recipes)
app.command(cls=Command)(datasets)
app.command(cls=Command)(doctor)
app.command(cls=Command)(demo)
app.command(cls=Command)(toybox)


def main() -> None:
    """What the ``mmrank`` script calls."""
    try:
        app()
    except KeyboardInterrupt:  # before or after a command ran: a command answers it itself
        raise SystemExit(STOPPED) from None
