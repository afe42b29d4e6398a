"""What ``mmrank eval`` measures: pipeline files, runs and matrices named on the command line, as systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.cli.output import say, warn
from mmrank.cli.values import named_values
from mmrank.errors import UsageError

if TYPE_CHECKING:
    from mmrank.aggregate import Method
    from mmrank.evaluation.dataset import Dataset, Task
    from mmrank.evaluation.evaluate import Matrix, System
    from mmrank.evaluation.file_names import FileNames
    from mmrank.evaluation.matrices import Order
    from mmrank.pipeline import Stage
    from mmrank.run import Run


EMBEDDER = "embedder"
"""The name in a pipeline file's ``[names]`` that says what its index is built with, where there is one."""


@dataclass(frozen=True, kw_only=True)
class Galleries:
    """Where the indexes of galleries are kept, and what they are built with.

    `models`: embedder specs by the name of an index in a pipeline file's ``[names]``; "" for all that are not named.
    """

    folder: Path
    models: Mapping[str, str]
    machine: Mapping[str, Any] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def place(self, task: Task, dataset: Dataset, name: str = "", embedder: str | None = None) -> Path:
        """The folder of the index of the task's gallery, built now when it is not there.

        `name`: what a pipeline file calls the index. `embedder`: what it is to be built with when ``--model`` does not
        say.
        """
        from mmrank.cli.progress import BuildProgress
        from mmrank.embed.registry import default_model, load_embedder
        from mmrank.evaluation.galleries import gallery_index

        spec = self.models.get(name) or self.models.get("") or embedder or default_model().spec
        model = load_embedder(spec, **self.machine)
        if model.warning and spec not in self.told:
            warn(f"{spec}: {model.warning}.")
        with BuildProgress(f"Indexing the gallery of {len(task.gallery):,}", task.gallery) as progress:
            gallery = gallery_index(task, self.folder, model, name=f"{dataset.name}-{dataset.split}", watch=progress)
        if gallery.failed and gallery.index.uri not in self.told:
            uri, why = gallery.failed[0]
            warn(
                f"{len(gallery.failed):,} of {len(task.gallery):,} items of the gallery could not be embedded and "
                f"cannot be found; the first is {uri}: {why}"
            )
        self.told.update((spec, gallery.index.uri))
        return Path(gallery.index.uri)


def models_named(texts: Sequence[str]) -> dict[str, str]:
    """``--model SPEC`` for every gallery index, ``--model NAME=SPEC`` for the one a pipeline file calls NAME.

    >>> models_named(["vit-b-32", "strong=qwen3_vl:Qwen/Qwen3-VL-Embedding-2B?dimension=1024"])["strong"]
    'qwen3_vl:Qwen/Qwen3-VL-Embedding-2B?dimension=1024'
    """
    named: dict[str, str] = {}
    for text in texts:
        name, equals, spec = text.partition("=")
        if equals and name.isidentifier():
            named[name] = spec
        else:
            named[""] = text
    return named


def pipelines(
    texts: Sequence[str], names: Sequence[str] | None, dataset: Dataset, galleries: Galleries
) -> dict[str, Callable[[Task], Stage]]:
    """Each pipeline file as a system: loaded when its turn comes, over the index of the task's gallery.

    `texts`: ``FILE.toml`` or ``FILE.toml?NAME=VALUE&NAME=VALUE``, so that one file gives several systems. `names`:
    ``NAME=VALUE`` for the ``[names]`` of all files; a file takes those that it has. What a file calls an index and
    nobody names is the index of the task's gallery.
    """
    given = named_values(names)
    files = [_parsed(text) for text in texts]  # a file that is wrong is said before anything is built
    if unknown := set(given) - {name for each in files for name in each.known.values}:
        raise UsageError(f"--set {min(unknown)}: none of the pipeline files has that in its [names].")
    if unknown := set(galleries.models) - {"", *(name for each in files for name in each.known.indexes)}:
        raise UsageError(f"--model {min(unknown)}=...: none of the pipeline files has an index of that name.")
    systems: dict[str, Callable[[Task], Stage]] = {}
    for each in files:
        shared = {name: value for name, value in given.items() if name in each.known.values}
        chosen = {name: _from_here(name, value, each.known) for name, value in {**shared, **each.own}.items()}
        systems[_unused(each.title, systems)] = _maker(each, chosen, dataset, galleries)
    return systems


def _from_here(name: str, value: Any, known: FileNames) -> Any:
    """An index named on the command line is a path from the working directory, not from the pipeline file's folder."""
    return Path(value) if name in known.indexes and isinstance(value, str) and "://" not in value else value


@dataclass(frozen=True, kw_only=True)
class _File:
    """A pipeline file, what it lets a caller choose, and what was chosen for it alone."""

    path: Path
    known: FileNames
    own: Mapping[str, Any]

    @property
    def title(self) -> str:
        return ", ".join([self.known.title, *(f"{name} {value}" for name, value in self.own.items())])


def _parsed(text: str) -> _File:
    from mmrank.evaluation.file_names import file_names

    path, mark, chosen = text.partition("?")
    known = file_names(Path(path))
    own = named_values(chosen.split("&") if mark else None, f"{path}?")
    if unknown := set(own) - set(known.values):
        there = ", ".join(known.values) or "none"
        raise UsageError(f"{text}: the file has no name {min(unknown)!r} in its [names]; it has {there}.")
    return _File(path=Path(path), known=known, own=own)


def _maker(file: _File, given: Mapping[str, Any], dataset: Dataset, galleries: Galleries) -> Callable[[Task], Stage]:
    """What loads a file for a task, with an index of the task's gallery for each that nobody named."""
    from mmrank.pipeline_file import load_pipeline

    def make(task: Task) -> Stage:
        embedder = {**file.known.values, **given}.get(EMBEDDER)
        missing = [name for name in file.known.indexes if name not in given]
        places = {name: galleries.place(task, dataset, name, embedder) for name in missing}
        say(f"Loading {file.title} ...")
        return load_pipeline(file.path, **given, **places)

    return make


def lists(
    runs: Sequence[str],
    matrices: Sequence[str],
    fuse: Method | None,
    dataset: Dataset,
    *,
    transpose: bool,
    order: Order,
) -> dict[str, Mapping[str, System]]:
    """Runs and matrices as systems, by task; with `fuse` all of them as one.

    ``TASK=FILE`` names the task where a data set has several; a matrix without one serves both directions.
    """
    parts: list[tuple[str, str, System]] = []
    for text in runs:
        task, path = _task_and_path(text, dataset)
        parts.append((path.stem, (task or _only(dataset, text)).name, _read_run(path)))
    for text in matrices:
        task, path = _task_and_path(text, dataset)
        parts += [
            (path.stem, each.name, scores)
            for each, scores in _matrix(path, task, dataset, transpose=transpose, order=order)
        ]
    if fuse is not None and parts:
        return {f"fused ({fuse})": _fused(parts, fuse, dataset)}
    systems: dict[str, dict[str, System]] = {}
    for name, task_name, system in parts:
        known = systems.get(name)
        systems.setdefault(name if known is None or task_name not in known else _unused(name, systems), {})[
            task_name
        ] = system
    return dict(systems)


def candidate_runs(texts: Sequence[str], dataset: Dataset) -> dict[str, Run] | None:
    """``--candidates [TASK=]RUN`` by task; None when there are none."""
    found: dict[str, Run] = {}
    for text in texts:
        task, path = _task_and_path(text, dataset)
        found[(task or _only(dataset, text)).name] = _read_run(path)
    return found or None


def _fused(parts: Sequence[tuple[str, str, System]], method: Method, dataset: Dataset) -> dict[str, System]:
    from mmrank.run import Run
    from mmrank.run_fusion import fuse_runs

    fused: dict[str, System] = {}
    for task in dataset.tasks:
        runs: list[Run] = []
        for _, name, system in parts:
            if name == task.name:
                as_run = system if isinstance(system, Run) else _as_run(system, task)
                runs.append(as_run)
        if runs:
            fused[task.name] = fuse_runs(runs, method)
    return fused


def _as_run(scores: Any, task: Task) -> Run:
    from mmrank.run import Run

    return Run.from_matrix(scores, [query.id for query in task.queries], [item.id for item in task.gallery])


def _matrix(
    path: Path, task: Task | None, dataset: Dataset, *, transpose: bool, order: Order
) -> list[tuple[Task, Matrix]]:
    """A matrix for its task, or for both directions of a paired data set: rows are the first task's queries."""
    from mmrank.evaluation.matrices import load_matrix

    if task is not None or len(dataset.tasks) == 1:
        only = task or dataset.tasks[0]
        return [(only, load_matrix(path, only, transpose=transpose or None, order=order))]
    there, back = dataset.tasks[:2]
    if len(dataset.tasks) > 2 or (len(there.queries), len(there.gallery)) != (len(back.gallery), len(back.queries)):
        raise UsageError(f"{path}: {dataset.title} has several tasks; say which with TASK={path}.")
    scores = load_matrix(path, there, transpose=transpose or None, order=order)
    return [(there, scores), (back, scores.T)]


def _task_and_path(text: str, dataset: Dataset) -> tuple[Task | None, Path]:
    """``TASK=FILE`` or ``FILE``."""
    name, equals, rest = text.partition("=")
    if equals and name in {task.name for task in dataset.tasks}:
        return dataset.task(name), Path(rest)
    return None, Path(text)


def _only(dataset: Dataset, text: str) -> Task:
    if len(dataset.tasks) > 1:
        names = ", ".join(task.name for task in dataset.tasks)
        raise UsageError(
            f"{text}: {dataset.title} has the tasks {names}; say which one, as in {dataset.tasks[0].name}={text}."
        )
    return dataset.tasks[0]


def _read_run(path: Path) -> Run:
    from mmrank.run import Run

    if not path.is_file():
        raise UsageError(f"There is no run file {path}.")
    return Run.read(path)


def _unused(name: str, taken: Mapping[str, object]) -> str:
    """`name`, or `name 2`, `name 3` ... where it is taken."""
    number, chosen = 2, name
    while chosen in taken:
        chosen, number = f"{name} {number}", number + 1
    return chosen
