"""Options that several commands share, declared once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mmrank.types import Kind


class KindName(StrEnum):
    """`mmrank.types.KINDS` as Typer reads them: a repeatable option takes no Literal."""

    TEXT = "text"
    IMAGE = "image"
    PAGE = "page"
    VIDEO = "video"


_RUNNING = "How the model runs"

Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps. Default: the best there is.", rich_help_panel=_RUNNING),
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="float32, bfloat16 or float16. Default: what suits the device.", rich_help_panel=_RUNNING
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="CPU threads of the model. On a busy machine 1 is often fastest.",
        rich_help_panel=_RUNNING,
    ),
]
Kinds = Annotated[
    list[KindName] | None,
    typer.Option("--kind", metavar="KIND", help="Only text, image, page or video items. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback when something goes wrong.")]


def kinds_named(chosen: list[KindName] | None) -> list[Kind] | None:
    """The kinds of a ``--kind`` option; None when it was not given.

    >>> kinds_named([KindName.PAGE]), kinds_named([])
    (['page'], None)
    """
    return [kind.value for kind in chosen] if chosen else None
