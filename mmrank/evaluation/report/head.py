"""The upper part of the page: what was measured and how, the tables, the plots, the notes. Needs no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mmrank.evaluation.dataset import Dataset, Task
from mmrank.evaluation.report.lines import (
    FigureTable,
    Line,
    combined_table,
    cost_table,
    metric_table,
    of_task,
    significance_tables,
)
from mmrank.evaluation.report.plots import curve, drawn, histogram, legend
from mmrank.evaluation.report.sides import Side
from mmrank.evaluation.report.words import count, html, warnings
from mmrank.evaluation.results import Evaluation

NAMED = 200
"""Missing files and left-out queries that the page names; the rest is counted."""


def head(evaluation: Evaluation, sides: Mapping[str, Sequence[Side]]) -> Iterator[str]:
    """Everything above the rows, as HTML. `sides`: task name to its sides."""
    yield from _title(evaluation)
    if evaluation.combined:
        yield f'<section id="combined">\n<h2>Over all tasks</h2>\n{table(combined_table(evaluation))}</section>'
    for task in evaluation.dataset.tasks:
        yield from _task(evaluation, task, sides[task.name])
    for each in significance_tables(evaluation):
        yield f"<section>\n<h2>{html(each.title)}</h2>\n{table(each)}</section>"
    yield from _notes(evaluation)


def _title(evaluation: Evaluation) -> Iterator[str]:
    dataset = evaluation.dataset
    yield f"<header>\n<h1>{html(dataset.title)} <span>{html(dataset.split)}</span></h1>"
    yield f'<p class="protocol">{html(dataset.protocol)}</p>'
    for loud, why in warnings(dataset, evaluation.post):
        yield f'<p class="loud" role="note"><strong>{html(loud)}</strong> {html(why)}</p>'
    yield '<dl class="facts">'
    for name, value in _facts(evaluation):
        yield f"<div><dt>{html(name)}</dt><dd>{html(value)}</dd></div>"
    yield "</dl>\n</header>"


def _facts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    dataset = evaluation.dataset
    yield "data set", f"{dataset.title} ({dataset.name})"
    yield "split", dataset.split
    yield "variant", dataset.variant or "the standard one"
    yield "queries", _sizes(dataset, [len(task.queries) for task in dataset.tasks])
    yield "gallery", _sizes(dataset, [len(task.gallery) for task in dataset.tasks])
    yield "ties", evaluation.ties
    yield "post-processing", ", ".join(evaluation.post) or "none"


def _sizes(dataset: Dataset, sizes: Sequence[int]) -> str:
    if len(set(sizes)) == 1:
        return f"{sizes[0]:,}" + (" each" if len(sizes) > 1 else "")
    return ", ".join(f"{task.name} {size:,}" for task, size in zip(dataset.tasks, sizes, strict=True))


def _task(evaluation: Evaluation, task: Task, sides: Sequence[Side]) -> Iterator[str]:
    figures, costs = metric_table(evaluation, task), cost_table(evaluation, task)
    named = html(task.name) or "Figures"
    yield f'<section class="task">\n<h2>{named}</h2>'
    if not task.relevant:
        yield '<p class="none">The answers of this split are not public: there is nothing to measure here. The '
        yield "submission files hold the lists for the test server.</p>"
    elif figures.lines:
        yield table(figures)
    else:
        yield '<p class="none">No system was measured on this task.</p>'
    yield from _published(evaluation, task)
    lines = drawn(sides)
    if lines:
        yield f'<div class="plots">\n<figure>{curve(lines)}<figcaption>Queries with the answer among the first k'
        yield f" results</figcaption></figure>\n<figure>{histogram(lines)}<figcaption>Where the answer stands"
        yield f"</figcaption></figure>\n</div>\n{legend(lines)}"
    if costs.lines:
        yield "<h3>Ceiling, outcomes and cost of a query</h3>"
        yield table(costs)
    yield "</section>"


def table(shown: FigureTable) -> str:
    """A table as HTML; a screen that is too narrow scrolls it, not the page."""
    heads = "".join(f'<th scope="col">{html(column)}</th>' for column in shown.columns)
    rows = "".join(_row(line) for line in shown.lines)
    note = f'<p class="note">{html(shown.note)}</p>' if shown.note else ""
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">{html(shown.about)}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{note}"
    )


def _row(line: Line) -> str:
    marks = line.marks or ("",) * len(line.cells)
    cells = "".join(_cell(cell, mark) for cell, mark in zip(line.cells, marks, strict=True))
    return f'<tr class="{line.kind}"><th scope="row">{html(line.name)}</th>{cells}</tr>'


def _cell(cell: str, mark: str) -> str:
    said = html(cell)
    if said.startswith("-"):
        said = f"−{said[1:]}"
    kind = "words" if ", " in cell else mark
    return f'<td class="{kind}">{said}</td>' if kind else f"<td>{said}</td>"


def _published(evaluation: Evaluation, task: Task) -> Iterator[str]:
    told: dict[tuple[str, str, str, str], list[str]] = {}
    for each in of_task(evaluation, task):
        for one in each.published:
            told.setdefault((one.recipe, one.text, one.paper, one.fidelity), []).append(each.system)
    if not told:
        return
    yield '<ul class="published">'
    for (recipe, text, paper, fidelity), systems in told.items():
        said = html(text) or "no figure known"
        yield f"<li><strong>{html(', '.join(systems))}</strong>: <em>{html(recipe)}</em>, {_fidelity(fidelity)}. "
        yield f"Published elsewhere, not of this run: {said} <cite>{html(paper)}</cite></li>"
    yield "</ul>"


def _fidelity(fidelity: str) -> str:
    told = {
        "code": "which follows the authors' code",
        "description": "which follows the authors' description",
        "stand-in": "our stand-in where the authors' details are not public",
    }
    return told.get(fidelity, html(fidelity))


def _notes(evaluation: Evaluation) -> Iterator[str]:
    dataset = evaluation.dataset
    notes = [html(note) for note in dataset.notes]
    for each in evaluation.systems:
        about = ", ".join(part for part in (each.system, each.task) if part)
        notes += [f"<strong>{html(about)}:</strong> {html(note)}" for note in each.notes]
    lists = [
        (count(len(dataset.missing), "media file") + " missing", dataset.missing),
        (count(len(dataset.dropped), "query", "queries") + " left out", dataset.dropped),
    ]
    if not notes and not any(names for _, names in lists):
        return
    yield "<section>\n<h2>Notes</h2>"
    if notes:
        yield '<ul class="notes">' + "".join(f"<li>{note}</li>" for note in notes) + "</ul>"
    for heading, names in lists:
        if names:
            more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
            yield f"<details><summary>{html(heading)}</summary><p>{html(', '.join(names[:NAMED]))}{more}</p></details>"
    yield "</section>"
