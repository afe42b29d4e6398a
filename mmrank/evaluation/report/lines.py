"""The tables' lines, once for the page, the terminal and Markdown, so that all three show the same numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from mmrank.evaluation.dataset import Figures, Task
from mmrank.evaluation.report.words import NONE, amount, chance, number, seconds, signed
from mmrank.evaluation.results import Comparison, Evaluation, SystemTask
from mmrank.types import STATUSES, Cost

Kind: TypeAlias = Literal["system", "first", "gain", "pessimistic"]
Mark: TypeAlias = Literal["", "best", "better", "worse"]

SIGNIFICANT = 0.05
"""A corrected p below this is marked."""

FIRST = "first stage"
GAIN = "gain over first stage"
PESSIMISTIC = "every tie lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: what it is about, a cell and a mark for every column."""

    name: str
    kind: Kind
    cells: tuple[str, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureTable:
    """A table in words and numbers.

    `title`: what it shows. `about`: heading of the lines' names, `columns`: of the cells. `note`: how to read it.
    """

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    note: str = ""
    about: str = "system"


def tables(evaluation: Evaluation) -> Iterator[FigureTable]:
    """Every table of an evaluation, for a terminal: metrics and costs by task, figures over all tasks, significance."""
    for task in evaluation.dataset.tasks:
        yield metric_table(evaluation, task)
        yield cost_table(evaluation, task)
    if evaluation.combined:
        yield combined_table(evaluation)
    if evaluation.comparisons:
        yield from significance_tables(evaluation, chances=False)


def of_task(evaluation: Evaluation, task: Task) -> list[SystemTask]:
    """The systems measured on a task, in the order given."""
    return [each for each in evaluation.systems if each.task == task.name]


def units(evaluation: Evaluation) -> dict[str, str]:
    """Metric name to unit, over all tasks."""
    return {metric.name: metric.unit for task in evaluation.dataset.tasks for metric in task.metrics}


def metric_names(task: Task, systems: Sequence[SystemTask]) -> list[str]:
    """The columns: the task's metrics in their order, then what else the systems have figures for."""
    have = [name for each in systems for name in each.figures]
    wanted = [metric.name for metric in task.metrics if metric.name in have]
    return list(dict.fromkeys([*wanted, *have]))


def metric_table(evaluation: Evaluation, task: Task) -> FigureTable:
    """The figures of every system on a task, with its first stage, the gain over it and pessimistic figures."""
    systems = of_task(evaluation, task)
    names, unit = metric_names(task, systems), units(evaluation)
    best = {name: _best([each.figures for each in systems], name, unit) for name in names}
    lines: list[Line] = []
    shown: list[Figures] = []
    several = len({tuple(sorted(each.first_figures.items())) for each in systems if each.first_figures}) > 1
    for each in systems:
        if each.first_figures and each.first_figures not in shown:
            shown.append(each.first_figures)
            label = f"{FIRST} of {each.system}" if several else FIRST
            lines.append(Line(name=label, kind="first", cells=_numbers(each.first_figures, names)))
        lines += _system_lines(each, names, unit, best if len(systems) > 1 else {})
    return FigureTable(
        title=f"Figures, {task.name}" if task.name else "Figures",
        columns=tuple(names),
        lines=tuple(lines) if names else (),
        note=_reading(names, unit),
    )


def _system_lines(
    each: SystemTask, names: Sequence[str], unit: Mapping[str, str], best: Mapping[str, float]
) -> Iterator[Line]:
    marks = _marked(each.figures, names, best)
    yield Line(name=each.system, kind="system", cells=_numbers(each.figures, names), marks=marks)
    if each.first_figures:
        gains = {name: each.figures[name] - each.first_figures[name] for name in names if name in each.first_figures}
        yield Line(
            name=GAIN,
            kind="gain",
            cells=tuple(signed(gains.get(name)) for name in names),
            marks=tuple(direction(gains.get(name), unit.get(name, "")) for name in names),
        )
    if each.pessimistic:
        lost = {name: value for name, value in each.pessimistic.items() if value != each.figures.get(name)}
        yield Line(
            name=PESSIMISTIC, kind="pessimistic", cells=tuple(number(lost[n]) if n in lost else "" for n in names)
        )


def cost_table(evaluation: Evaluation, task: Task) -> FigureTable:
    """What a task's systems could reach at best, how their queries ended, and what a query cost.

    Columns that nobody has a number for are left out, and so are systems that did not run here (lists, matrices).
    """
    columns = ("recall ceiling", "outcomes", "calls", "tokens in", "tokens out", "images", "cache hits", "time")
    lines = tuple(
        Line(
            name=each.system,
            kind="system",
            cells=(ceiling(each), outcomes(each), *_costs(each.cost, len(task.queries))),
        )
        for each in of_task(evaluation, task)
        if each.ceiling or each.outcomes or each.cost != Cost()
    )
    note = (
        "Recall ceiling: percent of queries whose answer is among the candidates that the reranker looked at. "
        "Costs are per query."
    )
    title = f"Ceiling, outcomes and cost, {task.name}" if task.name else "Ceiling, outcomes and cost"
    return _without_empty(FigureTable(title=title, columns=columns, lines=lines, note=note))


def _without_empty(shown: FigureTable) -> FigureTable:
    kept = [place for place in range(len(shown.columns)) if any(line.cells[place] != NONE for line in shown.lines)]
    lines = tuple(replace(line, cells=tuple(line.cells[place] for place in kept)) for line in shown.lines)
    return replace(shown, columns=tuple(shown.columns[place] for place in kept), lines=lines)


def ceiling(each: SystemTask) -> str:
    """The recall ceiling with its depth."""
    return f"{number(each.ceiling[0])} at {each.ceiling[1]}" if each.ceiling else NONE


def outcomes(each: SystemTask) -> str:
    """How many queries ended how, from best to worst."""
    told = [f"{status} {each.outcomes[status]:,}" for status in STATUSES if each.outcomes.get(status)]
    return ", ".join(told) or NONE


def _costs(cost: Cost, queries: int) -> tuple[str, ...]:
    spent = (cost.model_calls, cost.tokens_in, cost.tokens_out, cost.images_encoded, cost.cache_hits)
    return (*(amount(each / max(1, queries)) for each in spent), seconds(cost.seconds / max(1, queries)))


def combined_table(evaluation: Evaluation) -> FigureTable:
    """The figures over all tasks."""
    names = list(dict.fromkeys(name for figures in evaluation.combined.values() for name in figures))
    unit = units(evaluation)
    best = {name: _best(list(evaluation.combined.values()), name, unit) for name in names}
    if len(evaluation.combined) < 2:
        best = {}
    lines = tuple(
        Line(
            name=system,
            kind="system",
            cells=_numbers(figures, names),
            marks=_marked(figures, names, best),
        )
        for system, figures in evaluation.combined.items()
    )
    return FigureTable(title="Over all tasks", columns=tuple(names), lines=lines, note=_reading(names, unit))


def significance_tables(evaluation: Evaluation, *, chances: bool = True) -> Iterator[FigureTable]:
    """Paired tests, task by task: a line for two systems, a column for a metric. `chances`: every cell tells its p."""
    unit = units(evaluation)
    for task in dict.fromkeys(each.task for each in evaluation.comparisons):
        here = [each for each in evaluation.comparisons if each.task == task]
        names = tuple(dict.fromkeys(each.metric for each in here))
        pairs = dict.fromkeys((each.first, each.second) for each in here)
        lines = []
        for first, second in pairs:
            found = {each.metric: each for each in here if (each.first, each.second) == (first, second)}
            cells = tuple(_tested(found.get(name), chances) for name in names)
            marks = tuple(_verdict(found.get(name), unit) for name in names)
            lines.append(Line(name=f"{first} → {second}", kind="system", cells=cells, marks=marks))
        yield FigureTable(
            title=f"Significance, {task}" if task else "Significance",
            about="first → second",
            columns=names,
            lines=tuple(lines),
            note=f"Second minus first. Marked (*): p below {SIGNIFICANT} in a paired two-sided randomisation test, "
            f"after Holm's correction over all {len(evaluation.comparisons)} comparisons"
            + ("." if chances else "; every p is in the report and in metrics.json."),
        )


def _tested(found: Comparison | None, chances: bool) -> str:
    if found is None:
        return NONE
    star = "*" if found.p_corrected < SIGNIFICANT else ""
    told = f" (p {chance(found.p_corrected)})" if chances else ""
    return f"{signed(found.difference)}{star}{told}"


def _verdict(found: Comparison | None, unit: Mapping[str, str]) -> Mark:
    if found is None or not found.p_corrected < SIGNIFICANT:
        return ""
    return direction(found.difference, unit.get(found.metric, ""))


def direction(difference: float | None, unit: str) -> Mark:
    """Whether a difference is for the better: up for percent, down for ranks."""
    if difference is None or not math.isfinite(difference) or not round(difference, 2):
        return ""
    return "better" if (difference > 0) != (unit == "rank") else "worse"


def _numbers(figures: Figures, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(number(figures.get(name)) for name in names)


def _best(all_figures: Sequence[Figures], name: str, unit: Mapping[str, str]) -> float:
    values = [figures[name] for figures in all_figures if math.isfinite(figures.get(name, math.nan))]
    return min(values, default=math.nan) if unit.get(name) == "rank" else max(values, default=math.nan)


def _marked(figures: Figures, names: Sequence[str], best: Mapping[str, float]) -> tuple[Mark, ...]:
    """Best as it is shown: systems that differ behind the second decimal are both best."""
    known = {name: value for name, value in best.items() if math.isfinite(value)}
    return tuple("best" if n in known and number(figures.get(n)) == number(known[n]) else "" for n in names)


def _reading(names: Sequence[str], unit: Mapping[str, str]) -> str:
    ranks = [name for name in names if unit.get(name) == "rank"]
    if not ranks:
        return "In percent."
    others = "In percent; " if len(ranks) < len(names) else ""
    return f"{others}{' and '.join(ranks)} {'are ranks' if len(ranks) > 1 else 'is a rank'}: lower is better."
