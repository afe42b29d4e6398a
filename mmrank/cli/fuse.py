"""``mmrank fuse``: several runs into one."""

from __future__ import annotations

import json as json_text
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrank.cli.options import Debug, Json
from mmrank.cli.output import count, duration, out, print_json, say, stdout_for_json, warn
from mmrank.errors import UsageError

if TYPE_CHECKING:
    from mmrank.aggregate import Groups, Table
    from mmrank.run import Run

MATRIX_SUFFIX = ".npy"


class MethodName(StrEnum):
    """`mmrank.aggregate.Method` as Typer reads it: an option takes no Literal."""

    PRODUCT = "product"
    COMBSUM = "combsum"
    COMBMNZ = "combmnz"
    WEIGHTED_SUM = "weighted_sum"
    RRF = "rrf"
    BORDA = "borda"


class NormaliseName(StrEnum):
    """`mmrank.aggregate.Normalise` as Typer reads it."""

    MIN_MAX = "min_max"
    Z_SCORE = "z_score"
    RANK = "rank"


class AbsentName(StrEnum):
    """`mmrank.fusion_rule.Absent` as Typer reads it."""

    FLOOR = "floor"
    LEFT_OUT = "left_out"


def fuse(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="TREC runs, or score matrices (.npy).")],
    *,
    to: Annotated[Path, typer.Option("--to", metavar="OUT", help="The TREC run to write; gzip when it ends in .gz.")],
    method: Annotated[MethodName, typer.Option(help="How scores or ranks are joined.")] = MethodName.PRODUCT,
    weights: Annotated[str | None, typer.Option(metavar="W,W,...", help="One number per run, such as 1,0.5.")] = None,
    kin: Annotated[bool, typer.Option("--kin", help="Runs that score alike are joined by their mean first.")] = False,
    threshold: Annotated[
        float | None, typer.Option(metavar="R", help="With --kin: the correlation above which runs are kin. [0.5]")
    ] = None,
    groups: Annotated[
        str | None, typer.Option(metavar="GROUPS", help="Kin groups fitted before, such as '[[0,1],[2]]'.")
    ] = None,
    normalise: Annotated[
        NormaliseName | None, typer.Option(help="The scale of weighted_sum. [default: min_max]", show_default=False)
    ] = None,
    absent: Annotated[
        AbsentName,
        typer.Option(help="An item that a run does not have is at its floor, or the run is left out for it."),
    ] = AbsentName.FLOOR,
    k: Annotated[int | None, typer.Option("-k", min=1, metavar="N", help="Keep the best N of each query.")] = None,
    query_ids: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ids of a matrix's rows, one a line. [0, 1, ... with zeros]")
    ] = None,
    item_ids: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ids of a matrix's columns, one a line. [0, 1, ... with zeros]")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Fuse several runs of the same queries into one.

    \b
    mmrank fuse clip.trec bm25.trec --to fused.trec
    mmrank fuse a.trec b.trec c.trec --method product --kin --to fused.trec
    mmrank fuse a.npy b.npy --method weighted_sum --normalise z_score --weights 1,0.5 --to fused.trec.gz
    """
    from mmrank.run_fusion import fuse_runs

    _check_places(runs, to)
    if groups is not None and kin:
        raise UsageError("--kin fits the groups and --groups gives them; leave one of the two out.")
    if threshold is not None and not kin:
        raise UsageError("--threshold is for --kin; add it or leave --threshold out.")
    started = time.perf_counter()
    with stdout_for_json(json):
        loaded = [_load(path, query_ids, item_ids) for path in runs]
        given = None if groups is None else _groups(groups)
        alike, chosen = _fitted(loaded, threshold) if kin else (None, given)
        fused = fuse_runs(
            loaded,
            method.value,
            weights=None if weights is None else _weights(weights),
            groups=chosen,
            normalise=None if normalise is None else normalise.value,
            absent=absent.value,
            k=k,
        )
        for path, run in zip(runs, loaded, strict=True):
            if missing := len(fused) - len(run):
                warn(f"{path} has no list for {count(missing, 'query', 'queries')} of {len(fused):,}; it adds nothing.")
        fused.write(to)
    seconds = time.perf_counter() - started
    if json:
        print_json(
            {
                "to": str(to),
                "method": method.value,
                "queries": len(fused),
                "items": len(fused.items),
                "hits": len(fused.codes),
                "runs": [{"path": str(path), "queries": len(run)} for path, run in zip(runs, loaded, strict=True)],
                "groups": chosen,
                "kinship": None if alike is None else alike.tolist(),
                "seconds": seconds,
            }
        )
        return
    if alike is not None and chosen is not None:
        _print_kin(runs, alike, chosen)
    lists = f"{count(len(runs), 'run')} of {count(len(fused), 'query', 'queries')}"
    say(f"{lists} fused by {method.value} in {duration(seconds)}: {to}")


def _check_places(runs: list[Path], to: Path) -> None:
    """What can be refused before any work is done."""
    if not to.resolve().parent.is_dir():
        raise UsageError(f"There is no folder {str(to.parent)!r} to write {to.name!r} into; make it first.")
    if to.is_dir():
        raise UsageError(f"--to {str(to)!r} is a folder; name a file in it.")
    if to.suffix == MATRIX_SUFFIX:
        raise UsageError(
            f"--to {str(to)!r}: a TREC run is written, not a matrix; choose another ending, such as .trec."
        )
    for path in runs:
        if path.resolve() == to.resolve():
            raise UsageError(f"--to {str(to)!r} is one of the runs; it would be overwritten. Write to another file.")
        if not path.is_file():
            raise UsageError(f"There is no run {str(path)!r}.")


def _load(path: Path, query_ids: Path | None, item_ids: Path | None) -> Run:
    from mmrank.run import Run

    if path.suffix != MATRIX_SUFFIX:
        return Run.read(path)
    import numpy as np

    try:
        matrix = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UsageError(f"{path} is no score matrix: {error}. Write one with numpy.save, as plain numbers.") from None
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise UsageError(
            f"{path} has shape {matrix.shape} and type {matrix.dtype}; a score matrix has rows for queries, columns "
            "for items, and numbers in it."
        )
    rows, columns = matrix.shape
    scores = matrix.astype(np.float64, copy=False)
    try:
        return Run.from_matrix(scores, _ids(query_ids, rows), _ids(item_ids, columns), name=path.stem)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _ids(path: Path | None, length: int) -> list[str]:
    """The lines of a file; without one the numbers from 0, with zeros in front so that they sort as they count."""
    if path is None:
        return [str(number).zfill(len(str(max(length - 1, 0)))) for number in range(length)]
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; give one id a line.") from None


def _weights(given: str) -> list[float]:
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise UsageError(f"--weights is {given!r}; give one number per run, such as 1,0.5.") from None


def _groups(given: str) -> Any:
    """What ``--groups`` says; whether it fits the runs is for the fusion to check."""
    try:
        return json_text.loads(given)
    except ValueError:
        raise UsageError(
            f"--groups is {given!r}; give each run's position from 0 in one group, such as '[[0,1],[2]]'."
        ) from None


def _fitted(runs: list[Run], threshold: float | None) -> tuple[Table, Groups]:
    from mmrank.kinship import KIN_THRESHOLD, groups_above, kinship

    wanted = KIN_THRESHOLD if threshold is None else threshold
    if not -1 <= wanted <= 1:
        raise UsageError(f"--threshold is {wanted}; it must be a correlation, -1 to 1.")
    alike = kinship(runs)
    return alike, groups_above(alike, wanted)


def _print_kin(paths: list[Path], alike: Table, groups: Groups) -> None:
    from rich import box
    from rich.table import Table as Shown

    from mmrank.cli.output import one_line

    table = Shown(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("kinship")
    for number in range(len(paths)):
        table.add_column(str(number), justify="right", no_wrap=True)
    for number, (path, row) in enumerate(zip(paths, alike, strict=True)):
        table.add_row(f"{number} {one_line(path.name)}", *(f"{value:.2f}" for value in row))
    out().print(table)
    shown = json_text.dumps([list(group) for group in groups])
    out().print(
        f"\ngroups = {shown}\nThe same groups again: --groups '{shown.replace(' ', '')}', or that line in the fuse "
        "stage of a pipeline file.",
        markup=False,
        soft_wrap=True,
    )
