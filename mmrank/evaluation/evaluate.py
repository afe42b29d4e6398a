"""`mmrank.evaluate`: systems on a data set under its protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.errors import UsageError
from mmrank.evaluation.candidates import Candidates, first_and_rest, from_candidates
from mmrank.evaluation.checks import check_run
from mmrank.evaluation.dataset import Dataset, Figures, Task
from mmrank.evaluation.journal import Finished
from mmrank.evaluation.judged import Judged, judge_matrix, judge_run
from mmrank.evaluation.post import POST, post_processed
from mmrank.evaluation.ranks import Ties
from mmrank.evaluation.results import Evaluation, Published, SystemTask
from mmrank.evaluation.running import BATCH, cost, outcomes, run_of, run_task
from mmrank.evaluation.significance import compare
from mmrank.pipeline import Pipeline, Stage
from mmrank.rerank.judge import MllmReranker
from mmrank.run import Run

Matrix: TypeAlias = npt.NDArray[np.floating]

System: TypeAlias = Stage | Run | Matrix | Callable[[Task], Stage]
"""A pipeline, finished lists, a score matrix (queries x items in the task's order), or what makes a pipeline for a
task (it may build an index over the task's gallery first)."""

Subset: TypeAlias = Literal["filtered", "separate"]
"""How a subset metric is judged: from the whole list, or by asking about each subset on its own."""

Watch: TypeAlias = Callable[[str, str, int, int], None]
"""Called with (system, task, queries finished, queries in all)."""

MATRIX_DEPTH = 100
"""Hits a query that are kept of a matrix for run files and reports; figures use all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an evaluation is done: the keyword arguments of `evaluate`."""

    candidates: Mapping[str, Run]
    to: Path | None
    ties: Ties
    subset: Subset
    post: tuple[str, ...]
    batch: int
    seed: int
    watch: Watch | None
    lenient: bool
    """The data set is not whole: runs may hold queries and items that it does not have."""


def evaluate(
    dataset: Dataset,
    systems: Mapping[str, System | Mapping[str, System]],
    *,
    candidates: Run | Mapping[str, Run] | None = None,
    to: str | Path | None = None,
    ties: Ties = "averaging",
    subset: Subset = "filtered",
    post: Sequence[str] = (),
    batch: int = BATCH,
    seed: int = 0,
    watch: Watch | None = None,
) -> Evaluation:
    """Measure systems on a data set under its official protocol.

    Args:
        dataset: from `mmrank.load_dataset`.
        systems: name to system; a mapping from task names to systems where a data set has several tasks and a system
            is not the same for each (tasks it leaves out are not measured).
        candidates: frozen first-stage lists (one Run, or one per task) that take the place of every pipeline's own
            first stage, so that rerankers are compared on the same candidates.
        to: a folder for finished queries: run again after a kill, only what is missing is done. None: kept nowhere.
        ties: of equal scores in a matrix: "averaging", "pessimistic" or "optimistic"; lists have none.
        subset: "filtered" measures subset metrics on the whole list, "separate" asks again with each query's own
            subset as the only candidates.
        post: named post-processing of matrices ("dual softmax", "query bank"); never on by default.
        batch: queries that go through a pipeline side by side.
        seed: of the randomisation tests.
        watch: told of progress.

    Returns:
        Figures per system and task, with outcomes, costs, first-stage figures, and paired tests between systems.

    Raises:
        UsageError: a system does not fit the data set, a run names unknown queries or items, a matrix has the wrong
            shape, or `to` holds an evaluation of something else.
        RecipeError: a system's recipe cannot be made.

    >>> from mmrank.evaluation.dataset import Dataset, Task
    >>> from mmrank.evaluation.protocols import PAIRED
    >>> from mmrank.types import Item, Query
    >>> gallery = tuple(Item(id=name, kind="text", text=name) for name in ("cat", "dog"))
    >>> asked = (Query(id="q0", text="a cat"), Query(id="q1", text="a dog"))
    >>> relevant = {"q0": {"cat": 1.0}, "q1": {"dog": 1.0}}
    >>> task = Task(queries=asked, gallery=gallery, relevant=relevant, metrics=PAIRED)
    >>> found = evaluate(Dataset(name="pets", title="Pets", split="test", tasks=(task,)), {"mine": np.eye(2)})
    >>> found.systems[0].figures["R@1"]
    100.0
    """
    if not systems:
        raise UsageError("There is nothing to evaluate; give at least one system.")
    unknown = sorted(set(post) - set(POST))
    if unknown:
        raise UsageError(f"There is no post-processing {unknown[0]!r}; there is {', '.join(map(repr, POST))}.")
    settings = Settings(
        candidates=_by_task(dataset, candidates),
        to=None if to is None else Path(to),
        ties=ties,
        subset=subset,
        post=tuple(post),
        batch=batch,
        seed=seed,
        watch=watch,
        lenient=bool(dataset.sample is not None or dataset.missing or dataset.dropped),
    )
    done = tuple(
        _measured(name, part, task, settings)
        for name, system in systems.items()
        for task, part in _parts(dataset, system)
    )
    evaluation = Evaluation(dataset=dataset, systems=done, ties=ties, post=settings.post)
    return replace(
        evaluation,
        combined=_combined(evaluation),
        comparisons=compare(evaluation, seed=seed) if len(evaluation.names) > 1 else (),
    )


def _parts(dataset: Dataset, system: System | Mapping[str, System]) -> Iterator[tuple[Task, System]]:
    """The tasks a system is measured on, and what is measured there."""
    if isinstance(system, Mapping):
        for name, part in system.items():
            yield dataset.task(name), part
        return
    if len(dataset.tasks) > 1 and (isinstance(system, Stage) or not callable(system)):
        raise UsageError(
            f"{dataset.title} has the tasks {', '.join(repr(t.name) for t in dataset.tasks)}, each with a gallery of "
            "its own; give a mapping from task names to systems."
        )
    for task in dataset.tasks:
        yield task, system


def _by_task(dataset: Dataset, candidates: Run | Mapping[str, Run] | None) -> Mapping[str, Run]:
    if candidates is None:
        return {}
    if isinstance(candidates, Mapping):
        for name in candidates:
            dataset.task(name)
        return candidates
    if len(dataset.tasks) > 1:
        raise UsageError(f"{dataset.title} has several tasks; give candidates as a mapping from task names to Runs.")
    return {dataset.tasks[0].name: candidates}


def _measured(name: str, system: System, task: Task, settings: Settings) -> SystemTask:
    """One system on one task."""
    if isinstance(system, Run):
        return _scored(name, task, judge_run(task, system, lenient=settings.lenient))
    if isinstance(system, np.ndarray):
        return _of_matrix(name, task, system, settings)
    stage = system if isinstance(system, Stage) else system(task)
    if not isinstance(stage, Stage):
        raise UsageError(f"System {name!r} is a {type(stage).__name__}; give a Stage, a Run or a matrix.")
    return _of_stage(name, task, stage, settings)


def _of_matrix(name: str, task: Task, scores: Matrix, settings: Settings) -> SystemTask:
    scores = post_processed(scores, settings.post)
    judged = judge_matrix(task, scores, settings.ties)
    figures = judged.figures()
    if judged.tied is not None and not judged.tied.any() and task.groups is None and task.members is None:
        return _scored(name, task, judged)
    lost = judge_matrix(task, scores, "pessimistic").figures()
    differing = not np.allclose(list(lost.values()), list(figures.values()), rtol=0, atol=0, equal_nan=True)
    return replace(_scored(name, task, judged), pessimistic=lost if differing else {})


def _of_stage(name: str, task: Task, stage: Stage, settings: Settings) -> SystemTask:
    if settings.candidates:
        if task.name not in settings.candidates:
            raise UsageError(f"There are no candidates for task {task.name!r}; give a Run for every task.")
        frozen = settings.candidates[task.name]
        check_run(task, frozen, lenient=settings.lenient)
        stage = from_candidates(stage, Candidates(lists=frozen, items={item.id: item for item in task.gallery}))
    finished = _finished(name, task, stage, settings)
    run = run_of(finished, name)
    members = None
    if settings.subset == "separate" and task.members is not None:
        asked = tuple(replace(query, among=task.members[query.id]) for query in task.queries)
        alone = _finished(f"{name} subset", replace(task, queries=asked), stage, settings)
        members = run_of(alone, name)
    scored = replace(
        _scored(name, task, judge_run(task, run, members=members)),
        subset=members,
        outcomes=outcomes(finished),
        records={each.query: each.records for each in finished},
        cost=cost(finished),
        published=tuple(_published(stage)),
    )
    _, rest = first_and_rest(stage)
    return _with_first(scored, task, finished, rest) if rest else scored


def _finished(name: str, task: Task, stage: Stage, settings: Settings) -> list[Finished]:
    folder = (
        None if settings.to is None else settings.to / "queries" / "-".join(filter(None, (slug(name), slug(task.name))))
    )

    def watch(done: int, total: int) -> None:
        if settings.watch is not None:
            settings.watch(name, task.name, done, total)

    return run_task(stage, task, folder=folder, batch=settings.batch, watch=watch)


def _with_first(scored: SystemTask, task: Task, finished: Sequence[Finished], rest: Sequence[Stage]) -> SystemTask:
    """With the first stage's lists and figures, and the share of queries whose answer the next stage could see."""
    run = run_of(finished, scored.system, first=True)
    judged = judge_run(task, run)
    depths = [depth for stage in rest if isinstance(depth := getattr(stage, "depth", None), int)]
    longest = max((len(each.first_ids) for each in finished), default=0)
    depth = min(max(depths, default=longest), longest)
    counted = judged.ranks.first[judged.counted]
    seen = float(100 * np.mean(counted <= depth)) if len(counted) else float("nan")
    return replace(scored, first=run, first_figures=judged.figures(), ceiling=(seen, depth))


def _scored(name: str, task: Task, judged: Judged) -> SystemTask:
    return SystemTask(
        system=name,
        task=task.name,
        run=judged.run,
        figures=judged.figures(),
        values=judged.values(),
        notes=tuple(judged.notes),
    )


def _published(stage: Stage) -> Iterator[Published]:
    """What the papers report whose recipes are in a pipeline, at its top level and in pipelines inside."""
    stages = stage.stages if isinstance(stage, Pipeline) else (stage,)
    for each in stages:
        if isinstance(each, MllmReranker):
            recipe = each.recipe
            yield Published(recipe=recipe.name, text=recipe.published, paper=recipe.paper, fidelity=recipe.fidelity)


def _combined(evaluation: Evaluation) -> dict[str, Figures]:
    """Figures over all tasks, for the systems that were measured on all of them."""
    dataset = evaluation.dataset
    found: dict[str, Figures] = {}
    for name in evaluation.names:
        tasks = {each.task: each for each in evaluation.systems if each.system == name}
        if len(tasks) < len(dataset.tasks):
            continue
        combined: dict[str, float] = {}
        if dataset.combine is not None:
            combined |= dataset.combine({task: each.figures for task, each in tasks.items()})
        if dataset.combine_values is not None:
            combined |= dataset.combine_values({task: each.values for task, each in tasks.items()})
        if combined:
            found[name] = combined
    return found


def slug(name: str) -> str:
    """A name as part of a file name.

    >>> slug("yes/no, depth 20")
    'yes-no-depth-20'
    """
    return re.sub(r"[^\w.]+", "-", name).strip("-.") or ("" if not name else "system")
