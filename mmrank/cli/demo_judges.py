"""The second half of `mmrank demo`: the bundled judge over what the bundled CLIP found, before and after."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.cli.demo_searches import TASKS, answer_id, truth_query
from mmrank.cli.output import duration, out
from mmrank.toybox.manifest import Task, ToyQuery
from mmrank.types import Ranking

if TYPE_CHECKING:
    from rich.table import Table

    from mmrank.index.index import Index
    from mmrank.mllm.base import MLLM
    from mmrank.rerank.judge import MllmReranker

MODEL = "toybox-vl"

MEASURED = 30
"""Queries of each task that the table is measured on: the first ones of the truth file. Keeps the demo short."""

SHOWN = 3
"""Hits shown before and after."""

WIDE, GAP = 100, 4
"""Columns of a terminal from which before and after stand side by side, and columns between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """A recipe shown on one task. `options` go to `load_reranker`."""

    label: str
    task: Task
    recipe: str
    depth: int
    options: dict[str, Any]


JUDGINGS = (
    Judging(label="Text to image", task="text_to_image", recipe="yes_no", depth=10, options={}),
    Judging(label="Text to image", task="text_to_image", recipe="first", depth=10, options={}),
    Judging(label="Image and a change", task="composed", recipe="yes_no", depth=10, options={}),
    Judging(label="Image and a change", task="composed", recipe="first", depth=10, options={}),
    Judging(label="Image and a change, on one sheet", task="composed", recipe="square", depth=6, options={}),
    Judging(
        label="Text to video, as frame grids", task="text_to_video", recipe="vic", depth=8, options={"max_slots": 8}
    ),
    Judging(label="Text to video, as frame grids", task="text_to_video", recipe="yes_no", depth=8, options={}),
    Judging(label="Text to page, by its look", task="text_to_page", recipe="yes_no", depth=8, options={}),
)
"""What is shown: every task with a recipe that suits it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One recipe on one task: shares of right first hits (0 to 1), and the example that is shown."""

    judging: Judging
    queries: int
    before: float
    after: float
    reachable: float
    """The share of queries whose right answer is among the hits the judge looks at."""
    outcomes: dict[str, int]
    seconds: float
    example: tuple[ToyQuery, Ranking, Ranking, str]


def judged(indexes: dict[str, Index], truth: Sequence[ToyQuery], media: Path) -> list[Judged]:
    """Every judging of `JUDGINGS` over the first queries of its task."""
    from mmrank.mllm.registry import load_mllm
    from mmrank.rerank.load import load_reranker

    model: MLLM = load_mllm(MODEL, device="cpu")
    results = []
    for judging in JUDGINGS:
        judge = load_reranker(judging.recipe, model=model, depth=judging.depth, **judging.options)
        results.append(_judged(judge, judging, indexes, truth, media))
    return results


def _judged(
    judge: MllmReranker, judging: Judging, indexes: dict[str, Index], truth: Sequence[ToyQuery], media: Path
) -> Judged:
    asked = [question for question in truth if question.task == judging.task][:MEASURED]
    right = [answer_id(question, media) for question in asked]
    queries = [truth_query(question, media) for question in asked]
    before = indexes[asked[0].kind].search_many(queries, k=10, strict=True, **TASKS[judging.task][1])
    started = time.perf_counter()
    after = judge.process(before)
    seconds = time.perf_counter() - started
    # The first query that the CLIP alone gets wrong although it found the answer: where a judge has something to do.
    wrong = [
        i for i, (answer, ranking) in enumerate(zip(right, before, strict=True))
        if answer in ranking.ids[1 : judging.depth]
    ]  # fmt: skip
    shown = wrong[0] if wrong else 0
    outcomes: dict[str, int] = {}
    for ranking in after:
        outcomes[ranking.outcome] = outcomes.get(ranking.outcome, 0) + 1
    return Judged(
        judging=judging,
        queries=len(asked),
        before=_first(right, before, 1),
        after=_first(right, after, 1),
        reachable=_first(right, before, judging.depth),
        outcomes=outcomes,
        seconds=seconds / len(asked),
        example=(asked[shown], before[shown], after[shown], right[shown]),
    )


def _first(right: Sequence[str], rankings: Sequence[Ranking], k: int) -> float:
    return sum(answer in ranking.ids[:k] for answer, ranking in zip(right, rankings, strict=True)) / len(right)


def _side_by_side(before: Ranking, after: Ranking, right: str, width: int) -> Table:
    """The first hits before and after the judge, next to each other where the terminal is wide enough."""
    from rich.table import Table

    from mmrank.cli.hits import hits_table

    beside = width >= WIDE
    room = (width - GAP) // 2 if beside else width
    shown = [
        hits_table(ranking, width=room, limit=SHOWN, right=frozenset([right]), title=name)
        for name, ranking in (("before", before), ("after", after))
    ]
    grid = Table.grid(padding=(0, GAP))
    if beside:
        grid.add_row(*shown)
    else:
        for table in shown:
            grid.add_row(table)
    return grid


def print_judged(results: Sequence[Judged], number: int) -> None:
    """Before and after of one query for each recipe, numbered from `number`, and the table over all of them."""
    from rich import box
    from rich.table import Table

    from mmrank.cli.hits import asked

    console = out()
    for result in results:
        _, before, after, right = result.example
        title = f"{number}. {result.judging.label}: before and after {result.judging.recipe}@{MODEL}"
        console.print(f"\n{title}", style="bold", markup=False)
        console.print(asked(before.query), style="cyan", markup=False)
        console.print(f"{duration(result.seconds)} for {result.judging.depth} candidates", style="dim", markup=False)
        console.print(_side_by_side(before, after, right, console.width))
        number += 1
    console.print("\nRight first, in percent, before and after the judge", style="bold", markup=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("sort of query", "recipe"):
        table.add_column(heading)
    for heading in ("queries", "before", "after", "in its reach", "time a query"):
        table.add_column(heading, justify="right")
    for result in results:
        shares = (f"{100 * share:.0f}" for share in (result.before, result.after, result.reachable))
        table.add_row(
            TASKS[result.judging.task][0],
            result.judging.recipe,
            str(result.queries),
            *shares,
            duration(result.seconds),
        )
    console.print(table)
    console.print(
        f"{MODEL} learned to say yes or no about pictures and clips, and to put lists of them in order. It hardly\n"
        "saw pages and numbered sheets, and there it does harm: measure a judge before you use it.",
        style="dim",
        markup=False,
        soft_wrap=True,
    )


def judged_json(results: Sequence[Judged]) -> list[dict[str, Any]]:
    """The table as plain rows."""
    return [
        {
            "task": result.judging.task,
            "recipe": f"{result.judging.recipe}@{MODEL}",
            "depth": result.judging.depth,
            "queries": result.queries,
            "right_first_before": result.before,
            "right_first_after": result.after,
            "in_reach": result.reachable,
            "outcomes": result.outcomes,
            "seconds_per_query": result.seconds,
        }
        for result in results
    ]
