"""From what a reader read to a Task: queries and items whose media are missing are left out, and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mmrank.evaluation.dataset import DatasetError, Task
from mmrank.types import Item, Query

if TYPE_CHECKING:
    from mmrank.evaluation.metrics import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRow:
    """A query with everything its Task says about it; `lacks_media`: its reference is not on disk."""

    query: Query
    relevant: Mapping[str, float] = field(default_factory=dict)
    members: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
    lacks_media: bool = False


def make_task(
    rows: Sequence[QueryRow],
    items: Mapping[str, Item | None],
    metrics: tuple[Metric, ...],
    *,
    name: str = "",
    groups: Mapping[str, str] | None = None,
) -> tuple[Task, tuple[str, ...]]:
    """The Task, and the ids of the queries that were left out of it.

    Args:
        rows: in the data set's order; `relevant` of all of them is empty where labels are not public.
        items: item id to Item in the gallery's order, None where its media are missing: it leaves the gallery.
        metrics: what is measured; nothing is where labels are not public.
        name: the Task's name.
        groups: as `Task.groups`.

    A query is left out when its own media are missing, or those of everything relevant to it: it could not be
    answered, or only wrongly.

    Raises `DatasetError` when no query is left, or ids collide.
    """
    absent = {item for item, made in items.items() if made is None}
    kept = [row for row in rows if not row.lacks_media and not (row.relevant and absent.issuperset(row.relevant))]
    if not kept:
        why = "their media are missing" if rows else "the files hold none"
        raise DatasetError(f"No query is left{f' in {name}' if name else ''} of {len(rows):,}: {why}.")
    if absent:
        kept = [_without(row, absent) for row in kept]
    stays = {row.query.id for row in kept}
    labelled = any(row.relevant for row in kept)
    task = Task(
        name=name,
        queries=tuple(row.query for row in kept),
        gallery=tuple(made for made in items.values() if made is not None),
        relevant={row.query.id: row.relevant for row in kept} if labelled else {},
        metrics=metrics if labelled else (),
        members={row.query.id: row.members for row in kept if row.members is not None} or None,
        groups=groups,
        labels={row.query.id: row.labels for row in kept if row.labels},
    )
    return task, tuple(row.query.id for row in rows if row.query.id not in stays)


def _without(row: QueryRow, absent: set[str]) -> QueryRow:
    """The row without the items that are not in the gallery."""
    among = row.query.among
    query = row.query
    if among is not None and absent.intersection(among):
        query = replace(query, among=tuple(item for item in among if item not in absent))
    return replace(
        row,
        query=query,
        relevant={item: gain for item, gain in row.relevant.items() if item not in absent},
        members=None if row.members is None else tuple(item for item in row.members if item not in absent),
    )


def chosen_names(option: str, given: str | None, known: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """The names in a comma-separated option, in the order of `known`; those that are `there` when it is None.

    Raises `DatasetError` for a name that is not known.

    >>> chosen_names("categories", "shirt, dress", ("dress", "shirt", "toptee"), ())
    ('dress', 'shirt')
    """
    if given is None:
        return tuple(there)
    wanted = [name.strip() for name in given.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise DatasetError(f"{option} is {given!r}; it takes some of {', '.join(known)}, with commas between.")
    return tuple(name for name in known if name in wanted)
