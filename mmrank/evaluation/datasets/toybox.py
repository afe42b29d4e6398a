"""The toybox as a data set: its own queries over the mixed collection, and its parts in the layouts of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mmrank.evaluation.dataset import Dataset, Media, Task
from mmrank.evaluation.datasets import cirr, msrvtt
from mmrank.evaluation.datasets.files import MediaFiles, first_existing, read_jsonl, rows_of
from mmrank.evaluation.datasets.rows import QueryRow, make_task
from mmrank.evaluation.protocols import PAIRED
from mmrank.media import item_id
from mmrank.types import Item, Query

Gallery = Literal["all", "kind"]


def read(root: Path, split: str, media: Media, *, gallery: Gallery = "all") -> Dataset:
    """Read what ``mmrank toybox DIR`` wrote: one task for each sort of query in `queries.jsonl`.

    Args:
        root: that DIR; it holds `queries.jsonl`, `captions.jsonl` (the list of the items) and `media/`.
        split: "test".
        media: what to do about files that are not there.
        gallery: "all": every query ranks the whole mixed collection. "kind": only items of its answer's kind.

    Items bear neither captions nor names that tell what they show. The reference of a composed query is excluded.
    """
    queries = first_existing(root, ["queries.jsonl"], "The toybox's queries.jsonl")
    captions = first_existing(root, ["captions.jsonl"], "The toybox's captions.jsonl")
    asked = rows_of(queries, list(read_jsonl(queries)), ["id", "task", "kind", "text", "answer"])
    listed = rows_of(captions, list(read_jsonl(captions)), ["path", "kind"])
    files = MediaFiles(roots=[root / "media"], policy=media)
    items = {item_id(row["path"]): _item(files, row) for row in listed}
    missing = files.check("the toybox")
    kinds = {item_id(row["path"]): row["kind"] for row in listed}
    tasks: list[Task] = []
    dropped: list[str] = []
    for name in dict.fromkeys(row["task"] for row in asked):
        rows = [_query(row, items) for row in asked if row["task"] == name]
        kind = next(row["kind"] for row in asked if row["task"] == name)
        found = {item: made for item, made in items.items() if gallery == "all" or kinds[item] == kind}
        task, left_out = make_task(rows, found, PAIRED, name=name)
        tasks.append(task)
        dropped += left_out
    return Dataset(
        name="toybox",
        title="Toybox",
        split=split,
        variant="whole collection" if gallery == "all" else "items of the answer's kind",
        tasks=tuple(tasks),
        missing=missing,
        dropped=tuple(dropped),
    )


def _item(files: MediaFiles, row: dict[str, Any]) -> Item | None:
    path, mark, page = row["path"].partition("#")
    found = files.find([path])
    return None if found is None else Item(id=item_id(row["path"]), kind=row["kind"], uri=f"{found}{mark}{page}")


def _query(row: dict[str, Any], items: dict[str, Item | None]) -> QueryRow:
    reference = item_id(row["reference"]) if row.get("reference") else None
    image = items.get(reference) if reference else None
    return QueryRow(
        query=Query(
            id=row["id"],
            text=row["text"],
            image=image.uri if image else None,
            exclude=(reference,) if reference else (),
        ),
        relevant={item_id(row["answer"]): 1.0},
        lacks_media=reference is not None and image is None,
    )


def read_cirr(root: Path, split: str, media: Media) -> Dataset:
    """Read the part in CIRR's layout, under a name that is not CIRR's."""
    dataset = cirr.read(root, split, media)
    return replace(dataset, name="toybox-cirr", title="Toybox (CIRR layout)")


def read_msrvtt(root: Path, split: str, media: Media) -> Dataset:
    """Read the part in MSR-VTT's layout, under a name that is not MSR-VTT's."""
    dataset = msrvtt.read(root / "msrvtt" if (root / "msrvtt").is_dir() else root, split, media)
    return replace(dataset, name="toybox-msrvtt", title="Toybox (MSR-VTT layout)")
