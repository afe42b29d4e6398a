"""A reranker for a command: loaded with a message, estimated before it runs, with progress while it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrank.cli.output import count, err, say, warn
from mmrank.cli.progress import LINE_EVERY, Rate, numbers
from mmrank.cli.values import named_values
from mmrank.errors import UsageError
from mmrank.mllm.base import Speed
from mmrank.types import Record, Status

if TYPE_CHECKING:
    from mmrank.rerank.judge import MllmReranker
    from mmrank.types import Ranking

LONG_RUN = 20.0
"""Seconds; a run expected to take longer says so before it begins."""

SLOWEST = Speed(read=100.0, write=5.0)
"""About a model of 2 billion parameters on two CPU cores. A run that is not long even so is not worth measuring the
speed of the model at hand for, which takes seconds itself."""

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


ELSEWHERE = {
    **{
        name: f"give --{name} instead"
        for name in ("depth", "form", "transcript", "replay", "device", "precision", "threads")
    },
    "model": "name the model behind the @ of RECIPE@MODEL",
    "progress": "it is for Python callers",
}
"""Options of `load_reranker` that ``--set`` does not give, and where they go."""

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
    found = named_values(pairs)
    if wrong := next((name for name in found if name in ELSEWHERE), None):
        raise UsageError(f"--set {wrong}={found[wrong]} is no setting of a recipe: {ELSEWHERE[wrong]}.")
    return found


class JudgeProgress:
    """What `load_reranker(progress=)` calls: a line now and then in a long run, how far, how fast, how long yet."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._said = clock()
        self._rate = Rate(clock)
        self._done = 0

    def __call__(self, done: int, known: int) -> None:
        if done < self._done:  # another batch of queries
            self._rate, self._said = Rate(self._clock), self._clock()
        self._done = done
        rate = self._rate.at(done)
        if self._clock() - self._said >= LINE_EVERY:
            self._said = self._clock()
            say(f"Judging: {numbers(done, known, rate, 0)}")


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
        judge = load_reranker(spec, replay=replay, progress=JudgeProgress(), **options)
    if judge.warning:
        warn(judge.warning)
    return judge


def announce(judge: MllmReranker, rankings: Sequence[Ranking], *, always: bool = False) -> dict[str, Any]:
    """Say what the judge will take when that is long (or `always`), and give it back for JSON."""
    from mmrank.rerank.estimate import estimate

    expected = estimate(judge, rankings, timed=False)
    if always or (expected.at(SLOWEST).seconds or 0) > LONG_RUN:
        expected = expected.at(judge.mllm.speed())
        if always or expected.seconds is None or expected.seconds > LONG_RUN:
            say(f"The judge will take: {expected}")
    return asdict(expected)


def told(ranking: Ranking) -> None:
    """What stages did that was not plain, one line each."""
    from mmrank.rerank.base import GIVEN

    for record in ranking.records:
        if words := _plainly(record):
            say(f"{record.stage}: {words}")
    judged = [record.stage for record in ranking.records if record.calls and record.status != "fell_back"]
    behind = [hit.stage for hit in ranking.hits if hit.stage != judged[-1]] if judged else []
    if GIVEN in behind:
        say(f"{count(len(behind), 'hit was not judged and has', 'hits were not judged and have')} no score.")
    elif behind:
        one, many = "hit was not judged: its score is", "hits were not judged: their scores are"
        say(f"{count(len(behind), one, many)} of an earlier stage.")


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
