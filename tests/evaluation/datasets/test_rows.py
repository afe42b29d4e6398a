"""From rows to a Task: what has no media leaves, and is named."""

from __future__ import annotations

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.rows import QueryRow, chosen_names, make_task
from mmrank.evaluation.protocols import PAIRED
from mmrank.types import Item, Query


def items(*names: str, absent: str = "") -> dict[str, Item | None]:
    return {name: None if name in absent else Item(id=name, kind="text", text=name) for name in names}


def row(name: str, relevant: dict[str, float], **settings) -> QueryRow:
    among = settings.pop("among", None)
    return QueryRow(query=Query(id=name, text="?", among=among), relevant=relevant, **settings)


def test_nothing_missing() -> None:
    task, dropped = make_task([row("q", {"a": 1.0}), row("r", {})], items("b", "a"), PAIRED, name="x")
    assert ([query.id for query in task.queries], [item.id for item in task.gallery]) == (["q", "r"], ["b", "a"])
    # A query that nothing is relevant to still counts, where others have labels.
    assert task.relevant == {"q": {"a": 1.0}, "r": {}}
    assert (task.name, task.metrics, task.members, dropped) == ("x", PAIRED, None, ())


def test_no_labels_no_metrics() -> None:
    task, _ = make_task([row("q", {})], items("a"), PAIRED)
    assert (task.relevant, task.metrics) == ({}, ())


def test_what_is_missing_leaves() -> None:
    rows = [
        row("all gone", {"a": 1.0, "b": 1.0}),
        row("half", {"a": 1.0, "c": 2.0}, members=("a", "d"), labels=("x",), among=("a", "c", "d")),
        row("reference gone", {"c": 1.0}, lacks_media=True),
    ]
    task, dropped = make_task(rows, items("a", "b", "c", "d", absent="ab"), PAIRED)
    assert dropped == ("all gone", "reference gone")
    assert task.relevant == {"half": {"c": 2.0}}
    assert task.members == {"half": ("d",)}
    assert task.labels == {"half": ("x",)}
    assert task.queries[0].among == ("c", "d")


def test_nothing_left() -> None:
    with pytest.raises(DatasetError, match="No query is left in x of 1: their media are missing"):
        make_task([row("q", {"a": 1.0})], items("a", absent="a"), PAIRED, name="x")
    with pytest.raises(DatasetError, match="of 0: the files hold none"):
        make_task([], items("a"), PAIRED)


def test_names_with_commas() -> None:
    assert chosen_names("tasks", None, ("a", "b"), ("b",)) == ("b",)
    assert chosen_names("tasks", " b ,a,", ("a", "b"), ()) == ("a", "b")
    with pytest.raises(DatasetError, match="tasks is ','; it takes some of a, b"):
        chosen_names("tasks", ",", ("a", "b"), ())
