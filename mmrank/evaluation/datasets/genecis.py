"""GeneCIS: an image and one word that says what to focus on or to change, over ten or fifteen candidates each.

Vaze et al., "GeneCIS: A Benchmark for General Conditional Image Similarity", CVPR 2023;
github facebookresearch/genecis.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrank.evaluation.dataset import Dataset, DatasetError, Media, Task
from mmrank.evaluation.datasets.files import MediaFiles, first_existing, read_json, rows_of
from mmrank.evaluation.datasets.genecis_crops import Crop, cut
from mmrank.evaluation.datasets.rows import QueryRow, chosen_names, make_task
from mmrank.evaluation.protocols import GENECIS, mean_over_tasks
from mmrank.types import Item, Query

TASKS = ("focus_attribute", "change_attribute", "focus_object", "change_object")
COCO_FOLDERS = ("val2017", "coco/val2017", "COCO/val2017", "coco2017/val2017", "images/val2017")
GENOME_FOLDERS = ("VG_All", "VG_100K", "VG_100K_2", "visual_genome", "VisualGenome", "vg/VG_100K", "vg/VG_100K_2")
CROPS = "mmrank-crops"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """What a row names: an image, or the part of it that a box marks."""

    id: str
    file: str
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """`number` counts the rows of the file from 0; `candidates`: the target first."""

    number: int
    text: str
    reference: _Picture
    candidates: tuple[_Picture, ...]


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    tasks: str | None = None,
    coco: Path | None = None,
    visual_genome: Path | None = None,
    crops: Path | None = None,
) -> Dataset:
    """Read the tasks. A query's candidates are its target and its own gallery, and nothing else (`Query.among`).

    Args:
        root: holds `genecis/TASK.json` or `TASK.json`, and the images under one of their usual folders.
        split: "test".
        media: what to do about images that are not there. Crops are cut once, unless it is "none".
        tasks: comma-separated; None: those with a file under the root.
        coco: the folder of COCO val2017 images, where it is elsewhere.
        visual_genome: the folder of Visual Genome images, where it is elsewhere.
        crops: where crops of the attribute tasks are kept; None: `mmrank-crops` under the root.

    The files list the target first, so that a model that gives equal scores to all would win: here `among` is in an
    order drawn for each query (and the same on every reading), and the gallery is sorted by id. As in the authors'
    code, rows with an unusual number of candidates are left out; the notes count them. Query ids are row numbers.
    """
    folder = first_existing(
        root, [f"{start}{name}.json" for start in ("genecis/", "") for name in TASKS], "A task file of GeneCIS"
    ).parent
    names = chosen_names("tasks", tasks, TASKS, [name for name in TASKS if (folder / f"{name}.json").is_file()])
    read_tasks: list[Task] = []
    missing: list[str] = []
    dropped: list[str] = []
    notes: list[str] = []
    for name in names:
        rows, said = _rows(first_existing(folder, [f"{name}.json"], f"GeneCIS' {name}.json"), name)
        boxed = rows[0].reference.box is not None
        given, usual = (visual_genome, GENOME_FOLDERS) if boxed else (coco, COCO_FOLDERS)
        files = MediaFiles(roots=[given] if given else [root / place for place in usual], policy=media)
        paths = _paths(rows, files, crops or root / CROPS)
        missing += files.check(f"GeneCIS {name}")
        task, left_out = _task(rows, paths, name)
        read_tasks.append(task)
        dropped += left_out
        notes += said
    if names != TASKS:
        notes.append(f"Only {', '.join(names)}: the official figure is the mean of R@1 over {', '.join(TASKS)}.")
    return Dataset(
        name="genecis",
        title="GeneCIS",
        split=split,
        variant="each query over its own candidates",
        tasks=tuple(read_tasks),
        combine=mean_over_tasks if names == TASKS else None,
        missing=tuple(missing),
        dropped=tuple(dropped),
        notes=tuple(notes),
    )


def _rows(path: Path, name: str) -> tuple[list[_Row], list[str]]:
    """The rows that count, and what is odd about the file."""
    found = rows_of(path, read_json(path), ["reference", "target", "gallery", "condition"])
    sizes = Counter(len(row["gallery"]) for row in found)
    if not sizes:
        raise DatasetError(f"{path} holds no rows. Download it again.")
    usual = sizes.most_common(1)[0][0]
    rows = [
        _Row(
            number=number,
            text=str(row["condition"]),
            reference=_picture(row["reference"], path),
            candidates=tuple(_picture(each, path) for each in (row["target"], *row["gallery"])),
        )
        for number, row in enumerate(found)
        if len(row["gallery"]) == usual
    ]
    counted = [
        (len(found) - len(rows), f"left out as in the authors' code, having other than {usual + 1} candidates"),
        (
            sum(len({each.id for each in row.candidates}) < len(row.candidates) for row in rows),
            "with a candidate that is named twice and counts once",
        ),
    ]
    return rows, [f"{name}: rows {what}: {count}." for count, what in counted if count]


def _picture(image: Mapping[str, Any], path: Path) -> _Picture:
    if "instance_bbox" in image and "image_id" in image:
        box = tuple(float(side) for side in image["instance_bbox"])
        if len(box) == 4:
            sides = ",".join(f"{side:g}" for side in box)
            return _Picture(id=f"{image['image_id']}@{sides}", file=f"{image['image_id']}.jpg", box=box)
    elif "val_image_id" in image:
        return _Picture(id=str(image["val_image_id"]), file=f"{int(image['val_image_id']):012d}.jpg")
    raise DatasetError(
        f"{path} names an image by {dict(image)!r}; it takes val_image_id (COCO), or image_id and instance_bbox of "
        "four numbers (Visual Genome)."
    )


def _paths(rows: Sequence[_Row], files: MediaFiles, crops: Path) -> dict[str, str | None]:
    """Picture id to the file that shows it, None where its image is missing; crops are cut where they are not yet."""
    pictures = {each.id: each for row in rows for each in (row.reference, *row.candidates)}
    paths = {picture.id: files.find([picture.file]) for picture in pictures.values()}
    if files.policy == "none" or (files.missing and files.policy == "required"):
        return paths  # nothing to look at, or about to be refused
    wanted = {
        picture.id: Crop(source=Path(source), box=picture.box)
        for picture in pictures.values()
        if picture.box is not None and (source := paths[picture.id]) is not None
    }
    return paths | {picture: str(path) for picture, path in cut(wanted, crops).items()}


def _task(rows: Sequence[_Row], paths: Mapping[str, str | None], name: str) -> tuple[Task, tuple[str, ...]]:
    ids = sorted({each.id for row in rows for each in row.candidates})
    items = {each: None if paths[each] is None else Item(id=each, kind="image", uri=paths[each]) for each in ids}
    return make_task([_query(row, paths, name) for row in rows], items, GENECIS, name=name)


def _query(row: _Row, paths: Mapping[str, str | None], name: str) -> QueryRow:
    among = sorted({each.id for each in row.candidates})
    random.Random(f"genecis/{name}/{row.number}").shuffle(among)
    reference = paths[row.reference.id]
    return QueryRow(
        query=Query(id=str(row.number), text=row.text, image=reference, among=tuple(among)),
        relevant={row.candidates[0].id: 1.0},
        lacks_media=reference is None,
    )
