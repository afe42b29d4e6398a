"""Does a Run fit a Task? What is wrong is an error that counts and names; what can be counted on is a note."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from mmrank.aggregate import Ints
from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.relations import relations
from mmrank.evaluation.run_ranks import BLOCK_HITS
from mmrank.run import Run

SHOWN = 3
"""Ids that a message names."""

BLOCK_KEYS = 1 << 26
"""Queries times items that are looked at at once, so that their product stays small."""


def check_run(task: Task, run: Run, *, lenient: bool = False) -> tuple[str, ...]:
    """Check that a Run is about the Task's queries and items; returns notes on what a reader should know.

    Args:
        task: what is evaluated.
        run: lists for its queries.
        lenient: leave out and count queries and items that the task does not have, instead of refusing them: for a
            sample of the queries, or a data set some of whose media are missing.

    Raises:
        UsageError: unknown query or item ids (counted, some named), an item twice in one list, no query of the task at
            all.
    """
    known = relations(task)
    notes = [
        *_unknown(("query", "queries"), run.query_ids, known.query, run.name, lenient),
        *_unknown(("item", "items"), run.items, known.item, run.name, lenient),
    ]
    there = set(run.query_ids)
    lost = [name for name in known.query if name not in there]
    if len(lost) == len(known.query):
        raise UsageError(
            f"Run {run.name!r} has none of the {len(known.query):,} queries of the task, such as {_some(lost)}; it has "
            f"{_some(run.query_ids)}."
        )
    if lost:
        notes.append(
            f"{len(lost):,} of {len(known.query):,} queries are not in the run and count as misses: {_some(lost)}."
        )
    _no_item_twice(run)
    nan = sum(int(np.isnan(run.scores[at : at + (1 << 20)]).sum()) for at in range(0, len(run.scores), 1 << 20))
    if nan:
        notes.append(f"{nan:,} of {len(run.scores):,} scores of the run are NaN; its order counts, as always.")
    return tuple(notes)


def _unknown(what: tuple[str, str], names: Sequence[str], known: Collection[str], run: str, lenient: bool) -> list[str]:
    strange = [name for name in names if name not in known]
    if not strange:
        return []
    said = f"{len(strange):,} of the {len(names):,} {what[1]} of run {run!r} are not in the data set, such as "
    if lenient:
        return [f"{said}{_some(strange)}; they were left out."]
    some = _some(list(known)[:SHOWN])
    raise UsageError(
        f"{said}{_some(strange)}; its own are {some}. Each {what[0]} needs the data set's own id; check that split and "
        "variant are those the run was made for. (An index made by `mmrank index` knows paths, not these ids: leave "
        "the index's name to `mmrank eval`, which builds the gallery, or build it with scripts/.)"
    )


def _no_item_twice(run: Run) -> None:
    items = max(len(run.items), 1)
    first = 0
    while first < len(run):
        last = int(np.searchsorted(run.offsets, run.offsets[first] + BLOCK_HITS, side="right")) - 1
        last = min(max(last, first + 1), first + max(1, BLOCK_KEYS // items), len(run))
        query = np.repeat(np.arange(last - first, dtype=np.int64), np.diff(run.offsets[first : last + 1]))
        keys = query * items + run.codes[run.offsets[first] : run.offsets[last]]
        if not _all_different(keys, (last - first) * items):
            keys = np.sort(keys)
            twice = keys[1:][keys[1:] == keys[:-1]]
            row, code = divmod(int(twice[0]), items)
            raise UsageError(
                f"Run {run.name!r} lists items twice in one list, first {run.items[code]!r} in that of query "
                f"{run.query_ids[first + row]!r}; list every item once (mmrank.merge joins lists that share items)."
            )
        first = last


def _all_different(keys: Ints, space: int) -> bool:
    """Distinct keys from 0, below `space`: marked where that is cheap, else sorted."""
    if space <= 16 * len(keys):
        seen = np.zeros(space, dtype=bool)
        seen[keys] = True
        return int(np.count_nonzero(seen)) == len(keys)
    return len(np.unique(keys)) == len(keys)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:SHOWN])
    return f"{shown}, ..." if len(names) > SHOWN else shown
