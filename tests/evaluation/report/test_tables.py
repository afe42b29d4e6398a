"""The same numbers three times: for the terminal, as Markdown, as JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from mmrank.evaluation.dataset import Dataset, Task
from mmrank.evaluation.report.lines import (
    GAIN,
    PESSIMISTIC,
    combined_table,
    cost_table,
    direction,
    metric_table,
    significance_tables,
)
from mmrank.evaluation.results import Evaluation
from mmrank.evaluation.tables import as_json, markdown_table, protocol_lines, terminal


def printed(evaluation: Evaluation, width: int = 140) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    for part in terminal(evaluation):
        console.print(part)
    return out.getvalue()


def rows(markdown: str) -> dict[str, list[str]]:
    """Lines of Markdown tables by their first cell; the first of a name counts."""
    found: dict[str, list[str]] = {}
    for line in markdown.splitlines():
        if line.startswith("| "):
            name, *cells = [cell.strip().replace("\\", "") for cell in line.strip("|").split(" | ")]
            found.setdefault(name.strip(), [cell.strip("* ") for cell in cells])
    return found


def test_terminal_markdown_and_json_hold_the_same_figures(reranking: Evaluation) -> None:
    told = as_json(reranking)
    assert isinstance(told, list)
    table = rows(markdown_table(reranking))
    screen = printed(reranking)
    for each in told:
        names = table["system"]
        shown = dict(zip(names, table[each["system"]], strict=True))
        line = next(line for line in screen.splitlines() if line.startswith(each["system"]))
        for name, value in each["metrics"].items():
            assert shown[name] == f"{value:.2f}"
        assert line.split()[1:] == [shown[name] for name in names]


def test_the_json_has_the_form_that_the_command_line_promises(reranking: Evaluation, directions: Evaluation) -> None:
    alone = as_json(replace(reranking, systems=reranking.systems[:1], comparisons=()))
    assert isinstance(alone, dict)
    assert {"dataset", "split", "protocol", "ties", "queries", "gallery", "metrics", "outcomes", "cost"} <= set(alone)
    assert (alone["dataset"], alone["split"], alone["queries"], alone["gallery"]) == ("cirr", "val", 20, 24)
    assert alone["metrics"]["R@1"] == pytest.approx(100 * 12 / 20)
    assert sum(alone["outcomes"].values()) == 20
    assert alone["cost"]["model_calls"] == 60
    assert alone["gain"]["R@1"] == pytest.approx(alone["metrics"]["R@1"] - alone["first_stage"]["R@1"])
    assert alone["official"] is True
    assert "comparisons" not in alone

    both = as_json(directions)
    assert isinstance(both, list)
    assert [each["system"] for each in both] == ["clip", "other"]
    assert set(both[0]["metrics"]) == {"t2v", "v2t"}
    assert both[0]["metrics"]["t2v"]["R@5"] == 100.0
    assert both[0]["official"] is False  # dual softmax
    json.dumps(both, allow_nan=False)


def test_several_tasks_of_several_sizes_tell_each(directions: Evaluation) -> None:
    t2v, v2t = directions.dataset.tasks
    few = replace(t2v, queries=t2v.queries[:4], relevant={q.id: t2v.relevant[q.id] for q in t2v.queries[:4]})
    told = as_json(replace(directions, dataset=replace(directions.dataset, tasks=(few, v2t))))
    assert isinstance(told, list)
    assert told[0]["queries"] == {"t2v": 4, "v2t": 6}
    assert told[0]["gallery"] == 6


def test_what_is_not_known_is_null_in_json_and_a_dash_elsewhere(reranking: Evaluation) -> None:
    (first, *_) = reranking.systems
    unknown = replace(first, figures={**first.figures, "R@1": float("nan")}, first=None, first_figures=None)
    evaluation = replace(reranking, systems=(unknown,), comparisons=())
    told = as_json(evaluation)
    assert isinstance(told, dict)
    assert told["metrics"]["R@1"] is None
    assert told["gain"] == {}
    assert rows(markdown_table(evaluation))["yes_no"][0] == "–"


def test_the_first_stage_stands_once_before_the_systems_that_share_it(reranking: Evaluation) -> None:
    (task,) = reranking.dataset.tasks
    table = metric_table(reranking, task)
    assert [line.name for line in table.lines] == ["first stage", "yes_no", GAIN, "square", GAIN]
    firsts, ours, gains = (np.array(line.cells, dtype=float) for line in table.lines[:3])
    np.testing.assert_allclose(ours - firsts, gains, atol=0.011)
    apart = replace(reranking.systems[1], first_figures=dict.fromkeys(reranking.systems[1].figures, 1.0))
    table = metric_table(replace(reranking, systems=(reranking.systems[0], apart)), task)
    assert [line.name for line in table.lines if line.kind == "first"] == [
        "first stage of yes_no",
        "first stage of square",
    ]


def test_the_best_of_each_column_is_marked_ranks_the_other_way(directions: Evaluation) -> None:
    (task, _) = directions.dataset.tasks
    table = metric_table(directions, task)
    clip, other = (line for line in table.lines if line.kind == "system")
    column = table.columns.index("MnR")
    assert float(clip.cells[column]) < float(other.cells[column])
    assert (clip.marks[column], other.marks[column]) == ("best", "")
    assert direction(-3.0, "rank") == direction(3.0, "percent") == "better"
    assert direction(float("nan"), "percent") == direction(0.001, "rank") == ""


def test_pessimistic_figures_stand_beside_only_where_they_differ(directions: Evaluation) -> None:
    (task, _) = directions.dataset.tasks
    (clip,) = (each for each in directions.systems if each.system == "clip" and each.task == task.name)
    table = metric_table(directions, task)
    (lost,) = (line for line in table.lines if line.name == PESSIMISTIC)
    for name, cell in zip(table.columns, lost.cells, strict=True):
        assert (cell != "") == (clip.pessimistic[name] != clip.figures[name])
    assert any(lost.cells)


def test_costs_are_per_query_and_only_of_what_ran(reranking: Evaluation, directions: Evaluation) -> None:
    (task,) = reranking.dataset.tasks
    table = cost_table(reranking, task)
    line = dict(zip(table.columns, table.lines[0].cells, strict=True))
    assert line["calls"] == "3.0"
    assert line["tokens in"] == "900"
    assert line["time"] == "625 ms"
    assert line["recall ceiling"] == "95.00 at 10"
    assert line["outcomes"] == "ok 16, repaired 1, partial 1, fell_back 1, failed 1"
    assert "images" not in table.columns
    assert not cost_table(directions, directions.dataset.tasks[0]).lines


def test_significance_marks_what_holds_after_correction(reranking: Evaluation) -> None:
    (table,) = significance_tables(reranking)
    assert table.columns == ("R@1", "R@5")
    (line,) = table.lines
    assert line.name == "yes_no → square"
    assert line.cells[0] == "+5.00* (p 0.001)"
    (short,) = significance_tables(reranking, chances=False)
    assert short.lines[0].cells[0] == "+5.00*"
    assert line.marks == ("better", "better")
    weak = tuple(replace(each, p_corrected=0.2) for each in reranking.comparisons)
    (table,) = significance_tables(replace(reranking, comparisons=weak))
    assert table.lines[0].cells[0] == "+5.00 (p 0.200)"
    assert table.lines[0].marks == ("", "")


def test_figures_over_all_tasks_are_told(directions: Evaluation) -> None:
    assert combined_table(directions).columns == ("mean R@1",)
    assert "Over all tasks" in printed(directions)
    told = as_json(directions)
    assert isinstance(told, list)
    assert told[0]["combined"] == {"mean R@1": 50.0}


def test_what_is_not_the_official_protocol_is_said_loudly_everywhere(evil: Evaluation, directions: Evaluation) -> None:
    for said in ("NOT OFFICIAL", "SAMPLE", "POST-PROCESSED"):
        assert any(line.startswith(said) for line in protocol_lines(evil))
        assert said in printed(evil)
        assert said in markdown_table(evil)
    assert "dual softmax" in markdown_table(directions)
    assert "ties: averaging" in printed(directions)


def test_strangers_texts_are_no_markup(evil: Evaluation) -> None:
    """Neither Rich's, nor Markdown's, nor anything that a terminal obeys or an encoder refuses."""
    rename = {"system": "[bold red]a|b[/] `c`", "notes": ("x\x1b[31my",)}
    evaluation = replace(evil, systems=(replace(evil.systems[0], **rename),))
    screen = printed(evaluation, width=250)
    assert "[bold red]a|b[/] `c`" in screen
    assert "\x1b" not in screen
    screen.encode("utf-8")
    markdown = markdown_table(evaluation)
    markdown.encode("utf-8")
    table = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert any(line.startswith("| \\[bold red]a\\|b\\[/] \\`c\\` |") for line in table)
    assert "<script" not in markdown.replace("\\<script", "")


def test_a_split_without_public_answers_has_no_figures(cirr: Dataset, reranking: Evaluation) -> None:
    (task,) = cirr.tasks
    hidden = Task(queries=task.queries, gallery=task.gallery, relevant={}, metrics=task.metrics)
    each = replace(reranking.systems[0], figures={}, first_figures=None, values={}, ceiling=None)
    evaluation = Evaluation(dataset=replace(cirr, tasks=(hidden,), split="test1"), systems=(each,))
    told = as_json(evaluation)
    assert isinstance(told, dict)
    assert told["metrics"] == {}
    assert "test1" in markdown_table(evaluation)
    assert metric_table(evaluation, hidden).lines == ()
