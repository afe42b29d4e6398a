"""A reranker for a command: loaded with a message, estimated before it runs, with progress while it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrank.cli.output import err, say, warn
from mmrank.errors import UsageError

if TYPE_CHECKING:
    from mmrank.rerank.judge import MllmReranker
    from mmrank.types import Ranking

LONG_RUN = 20.0
"""Seconds; a run expected to take longer says so before it begins."""

_JUDGE = "How the judge works"

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the recipe, such as window=8 or schedule=blocks. Repeatable.",
        rich_help_panel=_JUDGE,
    ),
]
FormName = Annotated[
    str | None,
    typer.Option(
        "--form", metavar="NAME", help="The prompt form of a local fine-tune's base checkpoint.", rich_help_panel=_JUDGE
    ),
]
Transcript = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write every call to the judge as JSON lines.", rich_help_panel=_JUDGE),
]
ReplayFile = Annotated[
    Path | None,
    typer.Option("--replay", metavar="FILE", help="Answer from such a file, without a model.", rich_help_panel=_JUDGE),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say how many calls and tokens the judge would take; ask it nothing."),
]


class Part(StrEnum):
    """Words that are no numbers in ``--set``."""

    TRUE = "true"
    FALSE = "false"
    NONE = "none"


def settings(pairs: Sequence[str] | None) -> dict[str, Any]:
    """``--set NAME=VALUE`` pairs as options of `load_reranker`: numbers, true, false and none are read as such.

    >>> settings(["window=8", "alpha=0.5", "schedule=blocks"])
    {'window': 8, 'alpha': 0.5, 'schedule': 'blocks'}
    """
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {pair!r} is not NAME=VALUE, such as --set window=8.")
        found[name.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    words = {Part.TRUE: True, Part.FALSE: False, Part.NONE: None}
    if text.lower() in words:
        return words[Part(text.lower())]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def load_judge(spec: str, **options: Any) -> MllmReranker:
    """`mmrank.load_reranker` with a word to the person who waits, and the model's warning when it has one."""
    from mmrank.rerank.load import load_reranker

    with err().status("Loading the judge ..."):
        judge = load_reranker(spec, **options)
    if judge.warning:
        warn(judge.warning)
    return judge


def announce(judge: MllmReranker, rankings: Sequence[Ranking], *, always: bool = False) -> dict[str, Any]:
    """Say what the judge will take when that is long (or `always`), and give it back for JSON."""
    from mmrank.rerank.estimate import estimate

    expected = estimate(judge, rankings)
    if always or expected.seconds is None or expected.seconds > LONG_RUN:
        say(f"The judge will take: {expected}")
    return asdict(expected)


def told(ranking: Ranking) -> None:
    """What stages did that was not plain, one line each."""
    for record in ranking.records:
        words = [
            *([record.status] if record.status not in ("ok", "failed") else []),
            *([record.error] if record.error and record.status != "failed" else []),
            *([record.note] if record.note else []),
        ]
        if words:
            say(f"{record.stage}: {', '.join(words)}")
