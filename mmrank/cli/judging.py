"""A reranker for a command: loaded with a message, estimated before it runs, with progress while it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrank.cli.output import count, err, say, warn
from mmrank.errors import UsageError
from mmrank.types import Record, Status

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


WORDS = {"true": True, "false": False, "none": None}
"""Values of ``--set`` that are neither numbers nor words."""

MEANINGS: dict[Status, str] = {
    "ok": "ok",
    "repaired": "repaired (something was mended or left out)",
    "partial": "partial (it ran out of time)",
    "fell_back": "fell_back (the previous order was kept)",
    "failed": "failed",
}
"""How a status is said to a person."""


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
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def load_judge(spec: str, *, replay: Path | None = None, **options: Any) -> MllmReranker:
    """`mmrank.load_reranker` with a word to the person who waits, and the model's warning when it has one."""
    from mmrank.rerank.load import load_reranker
    from mmrank.rerank.recipe import find_recipe

    if replay is None and not spec.partition("@")[2]:
        name = find_recipe(spec.removesuffix("@")).name
        raise UsageError(
            f"{spec!r} names a recipe and no model. Write RECIPE@MODEL, such as {name}@Qwen/Qwen3-VL-8B-Instruct, "
            f"{name}@./FOLDER or {name}@openai:http://localhost:8000/v1#MODEL; `mmrank models` lists models."
        )
    with err().status("Loading the judge ..."):
        judge = load_reranker(spec, replay=replay, **options)
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
        if words := _plainly(record):
            say(f"{record.stage}: {words}")
    judged = [record.stage for record in ranking.records if record.calls and record.status != "fell_back"]
    behind = sum(hit.stage != judged[-1] for hit in ranking.hits) if judged else 0
    if behind:
        one, many = "hit was not judged: its score is", "hits were not judged: their scores are"
        say(f"{count(behind, one, many)} of an earlier stage.")


def _plainly(record: Record) -> str:
    """A record in words; empty when all went as it should."""
    counts = (
        *([f"{count(record.dropped, 'label')} dropped"] if record.dropped else []),
        *([f"{record.appended} appended"] if record.appended else []),
        *([f"asked again {count(record.retries, 'time')}"] if record.retries else []),
    )
    words = (
        *([MEANINGS[record.status]] if record.status not in ("ok", "failed") else []),
        *([", ".join(counts)] if counts else []),
        *([record.error] if record.error and record.status != "failed" else []),
        *([record.note] if record.note else []),
    )
    return "; ".join(words)
