"""An evaluation for the terminal (Rich), for a draft (Markdown) and for programs (JSON), with the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from mmrank.evaluation.dataset import Figures
from mmrank.evaluation.report.lines import FigureTable, Line, tables
from mmrank.evaluation.report.words import clean, warnings
from mmrank.evaluation.results import Evaluation, SystemTask
from mmrank.types import STATUSES, Cost

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

V = TypeVar("V")

STYLES = {"best": "bold", "better": "green", "worse": "red", "": ""}
"""How Rich shows a mark."""


def protocol_lines(evaluation: Evaluation) -> list[str]:
    """The protocol, its tie rule and post-processing, and what makes it another thing than the official one."""
    dataset = evaluation.dataset
    post = ", ".join(evaluation.post) or "none"
    said = [clean(dataset.protocol), f"ties: {evaluation.ties}, post-processing: {clean(post)}"]
    return said + [f"{loud}: {clean(why)}" for loud, why in warnings(dataset, evaluation.post)]


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader of the figures should know: the data set's oddities, each system's warnings, published figures."""
    said = [clean(note) for note in evaluation.dataset.notes]
    for each in evaluation.systems:
        about = " ".join(part for part in (each.system, each.task) if part)
        said += [clean(f"{about}: {note}") for note in each.notes]
    for each in evaluation.systems:
        for one in each.published:
            figures = one.text or "no figure known"
            elsewhere = f"published elsewhere, not of this run: {figures} ({one.paper})"
            said.append(clean(f"{each.system}: {one.recipe} ({one.fidelity}); {elsewhere}"))
    return list(dict.fromkeys(said))


def terminal(evaluation: Evaluation) -> Iterator[RenderableType]:
    """What `mmrank eval` prints: the protocol, a table per task and sort of number, and the notes.

    Names are a stranger's text: nothing in them is taken for Rich's markup or a terminal's escapes.
    """
    from rich.text import Text

    heading, *more = protocol_lines(evaluation)
    yield Text(heading, style="bold")
    loud = tuple(name for name, _ in warnings(evaluation.dataset, evaluation.post))
    for line in more:
        yield Text(line, style="bold red" if line.startswith(loud) else "dim")
    for shown in tables(evaluation):
        if shown.lines:
            yield Text(f"\n{clean(shown.title)}", style="bold")
            yield rich_table(shown)
            yield Text(clean(shown.note), style="dim")
    said = notes(evaluation)
    if said:
        yield Text("")
    for note in said:
        yield Text(f"Note: {note}", style="dim")


def rich_table(shown: FigureTable) -> Table:
    """One table for the terminal, without its title and note."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(Text(clean(shown.about)), overflow="fold", min_width=8)
    for column in shown.columns:
        table.add_column(Text(clean(column)), justify="right", overflow="fold")
    for line in shown.lines:
        table.add_row(_name(line), *(_cell(line, place) for place in range(len(line.cells))))
    return table


def _name(line: Line) -> Text:
    from rich.text import Text

    below = line.kind in ("gain", "pessimistic")
    return Text(("  " if below else "") + clean(line.name), style="" if line.kind == "system" else "dim")


def _cell(line: Line, place: int) -> Text:
    from rich.text import Text

    mark = line.marks[place] if line.marks else ""
    return Text(line.cells[place], style=STYLES[mark] or ("" if line.kind == "system" else "dim"))


def markdown_table(evaluation: Evaluation) -> str:
    """Every table as Markdown (GitHub's form), under the protocol's name, with the notes behind. Best figures are bold.

    >>> from mmrank.evaluation.dataset import Dataset, Task
    >>> from mmrank.types import Item, Query
    >>> task = Task(queries=(Query(text="a cat", id="q"),), gallery=(Item(id="cat", kind="text", text="cat"),),
    ...     relevant={}, metrics=())
    >>> empty = Evaluation(dataset=Dataset(name="pets", title="Pets", split="test", tasks=(task,)), systems=())
    >>> print(markdown_table(empty))
    **Pets test, 1 gallery**
    <BLANKLINE>
    ties: averaging, post-processing: none
    <BLANKLINE>
    """
    heading, *more = protocol_lines(evaluation)
    parts = [f"**{_escaped(heading)}**\n", *(f"{_escaped(line)}\n" for line in more)]
    for shown in tables(evaluation):
        if shown.lines:
            parts.append(f"### {_escaped(shown.title)}\n")
            parts += [_row([shown.about, *shown.columns]), "|---" + "|--:" * len(shown.columns) + "|"]
            parts += [_row([line.name, *_bold(line)]) for line in shown.lines]
            parts.append(f"\n{shown.note}\n" if shown.note else "")
    parts += [f"* {_escaped(note)}" for note in notes(evaluation)]
    return "\n".join(parts)


def _bold(line: Line) -> Sequence[str]:
    marks = line.marks or ("",) * len(line.cells)
    return [f"**{cell}**" if mark == "best" else cell for cell, mark in zip(line.cells, marks, strict=True)]


def _row(cells: Sequence[str]) -> str:
    # Cells are made here, but for the names: those are a stranger's.
    return f"| {' | '.join([_escaped(cells[0]), *(_escaped(cell, stars=True) for cell in cells[1:])])} |"


def _escaped(text: str, *, stars: bool = False) -> str:
    """`text` without what Markdown would take for markup. `stars`: asterisks are ours."""
    safe = clean(text).replace("\\", "\\\\")
    for character in "|`<[_" if stars else "|`<[_*":
        safe = safe.replace(character, f"\\{character}")
    return safe


def as_json(evaluation: Evaluation) -> dict[str, Any] | list[dict[str, Any]]:
    """What `mmrank eval --json` prints: one object, or a list of them for several systems.

    ``{"system", "dataset", "split", "variant", "protocol", "ties", "post", "queries", "gallery", "metrics",
    "outcomes", "cost", ...}``. Metrics are in percent, ranks are ranks. With several tasks, ``metrics`` and every other
    part that is measured by task is an object with the tasks' names (``{"t2v": {...}, "v2t": {...}}``); ``queries`` and
    ``gallery`` are too, unless all tasks have the same; ``outcomes`` and ``cost`` are sums over the tasks. What is not
    known is null.

    With one system ``comparisons`` is absent; else each object holds those that its system takes part in.
    """
    found = [_system(evaluation, name) for name in evaluation.names]
    return found[0] if len(found) == 1 else found


def _system(evaluation: Evaluation, name: str) -> dict[str, Any]:
    dataset = evaluation.dataset
    tasks = [each for each in evaluation.systems if each.system == name]
    own = [dataset.task(each.task) for each in tasks]

    def by_task(of: Callable[[SystemTask], V]) -> V | dict[str, V]:
        return {each.task: of(each) for each in tasks} if len(dataset.tasks) > 1 else of(tasks[0])

    def sizes(each: Sequence[int]) -> int | dict[str, int]:
        same = len(set(each)) == 1
        return each[0] if same else {task.name: size for task, size in zip(own, each, strict=True)}

    compared = [asdict(each) for each in evaluation.comparisons if name in (each.first, each.second)]
    told = {
        "system": name,
        "dataset": dataset.name,
        "split": dataset.split,
        "variant": dataset.variant,
        "protocol": dataset.protocol,
        "official": not (dataset.missing or dataset.dropped or dataset.sample is not None or evaluation.post),
        "ties": evaluation.ties,
        "post": evaluation.post,
        "queries": sizes([len(task.queries) for task in own]),
        "gallery": sizes([len(task.gallery) for task in own]),
        "metrics": by_task(lambda each: dict(each.figures)),
        "combined": dict(evaluation.combined.get(name, {})),
        "pessimistic": by_task(lambda each: dict(each.pessimistic)),
        "first_stage": by_task(lambda each: dict(each.first_figures or {})),
        "gain": by_task(_gain),
        "ceiling": by_task(lambda each: dict(zip(("percent", "depth"), each.ceiling or (), strict=False))),
        "outcomes": _outcomes(tasks),
        "cost": asdict(sum((each.cost for each in tasks), Cost())),
        "missing": len(dataset.missing),
        "dropped": len(dataset.dropped),
        "sample": dataset.sample,
        "notes": [*dataset.notes, *(note for each in tasks for note in each.notes)],
        "published": [asdict(one) for one in dict.fromkeys(one for each in tasks for one in each.published)],
        **({"comparisons": compared} if len(evaluation.names) > 1 else {}),
    }
    plain: dict[str, Any] = _plain(told)
    return plain


def _gain(each: SystemTask) -> Figures:
    first = each.first_figures or {}
    return {name: value - first[name] for name, value in each.figures.items() if name in first}


def _outcomes(tasks: Sequence[SystemTask]) -> dict[str, int]:
    counted = {status: sum(each.outcomes.get(status, 0) for each in tasks) for status in STATUSES}
    return {status: number for status, number in counted.items() if number}


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: a figure that is not known is null."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
