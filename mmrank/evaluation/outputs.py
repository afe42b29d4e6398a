"""What an evaluation leaves in its folder: metrics, TREC runs and qrels, submission files, the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Dataset, Task
from mmrank.evaluation.evaluate import slug
from mmrank.evaluation.report import write_report
from mmrank.evaluation.results import Evaluation
from mmrank.evaluation.submissions.cirr import SUBSET_RUN
from mmrank.evaluation.tables import as_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """`files`: what was written, the report first. `refused`: why a system has no submission files."""

    files: tuple[Path, ...]
    refused: tuple[str, ...] = ()


METRICS = "metrics.json"
REPORT = "report.html"


def write_all(evaluation: Evaluation, folder: Path, *, watch: Callable[[int, int], None] | None = None) -> Written:
    """Write everything. `watch`: told (pictures done, in all) of the report.

    ``runs/SYSTEM[-TASK].trec`` with native scores beside it, ``qrels[-TASK].trec``, ``metrics.json`` (what
    ``mmrank eval --json`` prints), ``submissions/SYSTEM/...`` where the data set has a server, ``report.html``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = [_metrics(evaluation, folder / METRICS), *_runs(evaluation, folder / "runs")]
    made += [_qrels(task, folder) for task in evaluation.dataset.tasks if task.relevant]
    refused: list[str] = []
    made += _submissions(evaluation, folder / "submissions", refused)
    write_report(evaluation, folder / REPORT, progress=watch)
    return Written(files=(folder / REPORT, *made), refused=tuple(refused))


def _metrics(evaluation: Evaluation, path: Path) -> Path:
    path.write_text(json.dumps(as_json(evaluation), indent=1, allow_nan=False), encoding="utf-8")
    return path


def _runs(evaluation: Evaluation, folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    made: list[Path] = []
    for each in evaluation.systems:
        for run, stage in ((each.run, ""), (each.first, "first")):
            if run is not None:
                path = folder / f"{_named(slug(each.system), each.task, stage)}.trec"
                run.write(path)
                made.append(path)
    return made


def _qrels(task: Task, folder: Path) -> Path:
    """``query 0 item gain``, gains as whole numbers where they are (soft labels are not)."""
    path = folder / f"{_named('qrels', task.name)}.trec"
    lines = (f"{query} 0 {item} {gain:g}\n" for query, gains in task.relevant.items() for item, gain in gains.items())
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _submissions(evaluation: Evaluation, folder: Path, refused: list[str]) -> list[Path]:
    """The official files of every system that has all tasks; why there are none goes to `refused`."""
    dataset: Dataset = evaluation.dataset
    if dataset.submit is None:
        return []
    made: list[Path] = []
    for name in evaluation.names:
        mine = [each for each in evaluation.systems if each.system == name]
        if len(mine) < len(dataset.tasks):
            continue
        runs = {each.task: each.run for each in mine}
        if mine[0].subset is not None:
            runs[SUBSET_RUN] = mine[0].subset
        place = folder / slug(name)
        place.mkdir(parents=True, exist_ok=True)
        try:
            made += dataset.submit(runs, place)
        except UsageError as error:  # lists too short for the server: the figures and the report stand all the same
            refused.append(f"{name} has no submission files: {error}")
    return made


def _named(*parts: str) -> str:
    return "-".join(slug(part) for part in parts if part)
