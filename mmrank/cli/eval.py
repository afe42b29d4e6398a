"""``mmrank eval``: systems on a data set under its official protocol."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrank.cli.eval_options import OrderName, SubsetName, TiesName
from mmrank.cli.fuse import MethodName
from mmrank.cli.options import Debug, Device, Json, Precision, Threads
from mmrank.cli.output import count, duration, out, print_json, say, stdout_for_json, warn
from mmrank.cli.values import named_values
from mmrank.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmrank.evaluation.dataset import Dataset, Media
    from mmrank.evaluation.evaluate import System
    from mmrank.evaluation.results import Evaluation

DEFAULT_TO = "evaluations"
"""Folder under the working directory for evaluations without ``--to``."""


def evaluate(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Its name; `mmrank datasets` lists them.")],
    *,
    root: Annotated[Path, typer.Option(metavar="DIR", help="Where the download lies, unmodified.")],
    split: Annotated[str | None, typer.Option(metavar="NAME", help="Default: the one papers report.")] = None,
    variant: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the data set, such as labels=soft.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this task, such as t2v. Repeatable.")
    ] = None,
    pipeline: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.toml", help="A pipeline file to run; FILE.toml?NAME=VALUE sets a name. Repeatable."),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option(metavar="[TASK=]RUN", help="A TREC run to score. Repeatable.")
    ] = None,
    scores: Annotated[
        list[str] | None,
        typer.Option(metavar="[TASK=]FILE.npy", help="A matrix to score, queries x items. Repeatable."),
    ] = None,
    fuse: Annotated[MethodName | None, typer.Option(help="Fuse all --run and --scores into one system.")] = None,
    candidates: Annotated[
        list[str] | None,
        typer.Option(metavar="[TASK=]RUN", help="Frozen first-stage lists in place of every pipeline's own."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A name of the pipeline files, such as judge=MODEL."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]SPEC", help="The embedder of gallery indexes, or of the one a file calls NAME."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N queries of each task: a sample.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out what has no media, and say so in the protocol's name.")
    ] = False,
    ties: Annotated[TiesName, typer.Option(help="Equal scores of matrices.")] = TiesName.AVERAGING,
    order: Annotated[
        OrderName, typer.Option(help="Rows and columns of --scores: as in the data set, or ids sorted.")
    ] = OrderName.TASK,
    transpose: Annotated[bool, typer.Option("--transpose", help="The rows of --scores are the items.")] = False,
    subset: Annotated[
        SubsetName, typer.Option(help="CIRR's subset: from the whole list, or asked about on its own.")
    ] = SubsetName.FILTERED,
    post: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Post-processing of --scores: 'dual softmax', ...")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Queries side by side.")] = 64,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where everything goes. [evaluations/DATASET-SPLIT]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the judges would take; ask them nothing.")
    ] = False,
    json: Json = False,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Evaluate pipelines, runs or score matrices on a data set, as papers do.

    Finished queries are kept: stop it whenever you like, the same command goes on where it stopped.

    \b
    mmrank eval cirr --root data/cirr --pipeline indexes/cirr_first.toml --pipeline indexes/square.toml
    mmrank eval msrvtt --root data/MSRVTT --scores a.npy --scores b.npy --fuse product
    mmrank eval cirr --root data/cirr --run mine.trec
    """
    from mmrank.cli.eval_systems import Galleries, candidate_runs, lists, models_named, pipelines
    from mmrank.evaluation.datasets.registry import load_dataset

    if not (pipeline or run or scores):
        raise UsageError("Nothing to evaluate: give --pipeline FILE.toml, --run RUN or --scores FILE.npy.")
    media: Media = "none" if not pipeline else "allow_missing" if allow_missing else "required"
    started = time.perf_counter()
    with stdout_for_json(json):
        data = load_dataset(dataset, root, split, media=media, limit=limit, **named_values(variant, "--variant"))
        data = data.only(task) if task else data
        _tell(data)
        place = to or Path(DEFAULT_TO) / f"{data.name}-{data.split}"
        machine = {"device": device, "precision": precision, "threads": threads}
        galleries = Galleries(folder=place / "indexes", models=models_named(model or ()), machine=machine)
        systems: dict[str, Any] = {
            **lists(
                run or (), scores or (), fuse.value if fuse else None, data, transpose=transpose, order=order.value
            ),
            **pipelines(pipeline or (), set_, data, galleries),
        }
        if dry_run:
            expected = _expected(data, systems)
        else:
            found = _evaluated(
                data,
                systems,
                candidates=candidate_runs(candidates or (), data),
                to=place,
                ties=ties.value,
                subset=subset.value,
                post=tuple(post or ()),
                batch=batch,
            )
    if dry_run:
        if json:
            print_json(expected)
        return
    _print(found, place, json=json, seconds=time.perf_counter() - started)


def _tell(data: Dataset) -> None:
    """The protocol, the sizes, and what a reader should know, before anything runs."""
    queries = sum(len(task.queries) for task in data.tasks)
    say(f"{data.protocol}: {count(queries, 'query', 'queries')} in {count(len(data.tasks), 'task')}")
    if data.missing:
        shown = ", ".join(data.missing[:3])
        warn(f"{count(len(data.missing), 'media file')} missing ({shown} ...): this is not the official protocol.")
    for note in data.notes:
        say(f"  {note}")


def _evaluated(data: Dataset, systems: Mapping[str, System], **how: Any) -> Evaluation:
    """The evaluation, with progress on stderr, and everything written to its folder."""
    from mmrank.cli.eval_progress import QueryProgress
    from mmrank.evaluation.evaluate import evaluate as measure
    from mmrank.evaluation.outputs import write_all

    with QueryProgress() as progress:
        found = measure(data, systems, watch=progress, **how)
        written = write_all(found, how["to"], watch=lambda done, total: progress("Report", "", done, total))
    for why in written.refused:
        warn(why)
    return found


def _expected(data: Dataset, systems: Mapping[str, Any]) -> dict[str, Any]:
    """What every judge would take, on the candidates it would get; first stages run, models are asked nothing."""
    from dataclasses import asdict

    from mmrank.evaluation.candidates import first_and_rest
    from mmrank.rerank.estimate import estimate
    from mmrank.rerank.judge import MllmReranker

    told: dict[str, Any] = {"dataset": data.name, "split": data.split, "protocol": data.protocol, "systems": {}}
    for name, system in systems.items():
        for task in data.tasks if callable(system) else ():
            first, rest = first_and_rest(system(task))
            found = first.run(task.queries)
            for stage in rest:
                if isinstance(stage, MllmReranker):
                    expected = estimate(stage, found)
                    say(f"{name} {task.name}: {expected}")
                    told["systems"].setdefault(name, []).append({"task": task.name, **asdict(expected)})
                else:
                    found = stage.process(found)
    return told


def _print(found: Evaluation, place: Path, *, json: bool, seconds: float) -> None:
    from mmrank.evaluation.outputs import REPORT
    from mmrank.evaluation.tables import as_json, terminal

    if json:
        print_json(as_json(found))
    else:
        for part in terminal(found):
            out().print(part)
    say(f"Done in {duration(seconds)}. Report: {place / REPORT}")
