"""The per-query rows as data: what was asked, the answers, the top of every list, what went wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmrank.errors import MediaError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.report.pick import Picked, pick
from mmrank.evaluation.report.pictures import Picture, Pictures, query_items
from mmrank.evaluation.report.sides import Side, pairs
from mmrank.evaluation.report.words import clean, count, cut
from mmrank.media.uri import split_uri
from mmrank.types import Item, Query, Record

TOP = 6
"""Results shown of each list: one line of cells, also on a narrow screen."""

ANSWERS = 4
"""Relevant items shown of a query that has many; the others are counted."""

QUERY_TEXT, ITEM_TEXT = 1_200, 300
"""Characters kept of a text: a paragraph of ActivityNet is whole, a page's text layer is not."""

Json = dict[str, Any]


@dataclass(slots=True)
class Rows:
    """Collects tasks, items and pictures; `data` gives what the page's script reads.

    Items are named by their place in `data()["items"]` and pictures by their place among the page's pictures.
    """

    pictures: Pictures = field(default_factory=Pictures)
    _tasks: list[Json] = field(default_factory=list)
    _places: dict[tuple[int, str], int] = field(default_factory=dict)
    _items: list[tuple[Item, Hashable | None]] = field(default_factory=list)
    _asked: list[tuple[Json, list[Hashable | None]]] = field(default_factory=list)

    def add(self, task: Task, found: Sequence[Side], budget: int) -> Picked:
        """Adds at most `budget` queries of a task."""
        picked = pick(task, found, budget)
        queries = [task.queries[position] for position in picked.positions]
        number = len(self._tasks)
        gallery = {item.id: item for item in task.gallery}
        compared = pairs(found)
        before, after = compared[0] if compared else (-1, 0)

        def place(name: str) -> int:
            return self._place(number, gallery[name])

        self._tasks.append(
            {
                "name": clean(task.name),
                "said": picked.said,
                "order": list(picked.positions),
                "queries": [self._query(query, task, place) for query in queries],
                "sides": [_side(side, task, picked.positions, place) for side in found],
                "before": before,
                "after": after,
            }
        )
        return picked

    def data(self, progress: Callable[[int, int], None] | None = None) -> tuple[Json, list[str]]:
        """The rows, and the pictures as base64 JPEG. Decodes every picture wanted."""
        coded, made = self.pictures.made(progress)
        for said, keys in self._asked:
            said["pictures"] = [_picture(key, made) for key in keys]
        items = [{**_item(item), **_picture(key, made)} for item, key in self._items]
        return {"tasks": self._tasks, "items": items, "unread": _unread(made)}, coded

    def _place(self, task: int, item: Item) -> int:
        place = self._places.setdefault((task, item.id), len(self._items))
        if place == len(self._items):
            self._items.append((item, self.pictures.want(item)))
        return place

    def _query(self, query: Query, task: Task, place: Callable[[str], int]) -> Json:
        gains = task.relevant.get(query.id, {})
        answers = sorted(gains, key=lambda name: -gains[name])
        said: Json = {
            "id": clean(query.id),
            "text": cut(clean(query.text or ""), QUERY_TEXT),
            "turns": [cut(clean(turn), ITEM_TEXT) for turn in query.turns],
            "labels": [clean(label) for label in task.labels.get(query.id, ())],
            "answers": [place(name) for name in answers[:ANSWERS]],
            "more": max(0, len(answers) - ANSWERS),
        }
        self._asked.append((said, [self.pictures.want(item) for item in query_items(query)]))
        return said


def _side(side: Side, task: Task, positions: Sequence[int], place: Callable[[str], int]) -> Json:
    tops, lengths, hits = [], [], []
    for position in positions:
        query = task.queries[position]
        gains = task.relevant.get(query.id, {})
        names = side.ids(query)
        first = next((name for name in names if name in gains), None)
        tops.append([place(name) for name in names[:TOP]])
        lengths.append(len(names))
        hits.append(-1 if first is None else place(first))
    queries = [task.queries[position] for position in positions]
    return {
        "name": clean(side.name),
        "ranks": [_rank(float(side.ranks[position])) for position in positions],
        "lengths": lengths,
        "tops": tops,
        "hits": hits,
        "right": [_right(side, task.queries[position], task) for position in positions],
        "outcomes": [side.outcome(query) for query in queries],
        "troubles": [[said for record in side.records(query) if (said := _trouble(record))] for query in queries],
    }


def _right(side: Side, query: Query, task: Task) -> list[int]:
    """Which of the top results are answers, by their place in the list from 0."""
    gains = task.relevant.get(query.id, {})
    return [number for number, name in enumerate(side.ids(query)[:TOP]) if name in gains]


def _rank(rank: float) -> float | int | None:
    """JSON has no infinity: null for an answer that is not in the list, 0 for a query without known answers."""
    if math.isnan(rank):
        return 0
    if math.isinf(rank):
        return None
    return int(rank) if rank == int(rank) else rank


def _trouble(record: Record) -> str:
    """What a stage has to say about a query that did not go well; "" when it went well."""
    if record.status == "ok":
        return ""
    counted = [(record.dropped, "dropped"), (record.appended, "appended"), (record.retries, "retries")]
    more = [f"{number} {what}" for number, what in counted if number]
    told = [clean(part) for part in (record.error, record.note) if part]
    return cut(": ".join([f"{clean(record.stage)} {record.status}", ", ".join([*more, *told])]).rstrip(": "), 400)


def _item(item: Item) -> Json:
    """What a cell says of an item: its id, where it lies, its words."""
    return {
        "id": clean(item.id),
        "kind": item.kind,
        "file": _file(item),
        "text": cut(clean(item.text or ""), ITEM_TEXT) if item.kind != "page" else "",
    }


def _file(item: Item) -> str:
    """The name of the item's file and the part of it, without the folders."""
    if not item.uri:
        return ""
    try:
        where = split_uri(item.uri)
    except MediaError:  # an address that is no local file is shown as it is
        return clean(item.uri)
    name = where.path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return clean(f"{name}#{where.fragment}" if where.fragment else name)


def _unread(made: Mapping[Hashable, Picture]) -> str:
    """How many pictures could not be read, and why the first could not."""
    causes = [picture.cause for picture in made.values() if picture.place is None]
    if not causes:
        return ""
    return (
        f"{len(causes):,} of {count(len(made), 'picture')} could not be read. The first: {cut(clean(causes[0]), 400)}"
    )


def _picture(key: Hashable | None, made: Mapping[Hashable, Picture]) -> Json:
    if key is None:
        return {}
    picture = made[key]
    return {"picture": picture.place} if picture.place is not None else {"cause": cut(clean(picture.cause), 400)}
