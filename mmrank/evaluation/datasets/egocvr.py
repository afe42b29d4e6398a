"""EgoCVR: an egocentric clip and an instruction that leads to another clip.

Hummel et al., "EgoCVR: An Egocentric Benchmark for Fine-Grained Composed Video Retrieval", ECCV 2024;
github ExplainableML/EgoCVR.
"""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmrank.evaluation.dataset import Dataset, DatasetError, Media, Task
from mmrank.evaluation.datasets.egocvr_galleries import SETTINGS, Mask, Setting, derived, official, video_of
from mmrank.evaluation.datasets.files import MediaFiles, first_existing
from mmrank.evaluation.datasets.rows import QueryRow, make_task
from mmrank.evaluation.metrics import Metric
from mmrank.evaluation.protocols import EGOCVR_GLOBAL, EGOCVR_LOCAL
from mmrank.evaluation.submissions.egocvr import submit_egocvr
from mmrank.types import Item, Query

Text = Literal["instruction", "tfcvr", "gt"]
Gallery = Literal["official", "derived"]
Clips = npt.NDArray[np.object_]
"""The ids of all clips, in the gallery's order."""

FOLDERS = ("annotation/egocvr/", "annotations/egocvr/", "annotation/", "egocvr/", "")
COLUMNS: dict[Text, str] = {
    "instruction": "instruction",
    "tfcvr": "modified_captions",
    "gt": "target_clip_narration",
}
VARIANTS: dict[Text, str] = {
    "instruction": "instructions",
    "tfcvr": "TF-CVR captions",
    "gt": "target narrations, an upper bound",
}
MIN_GALLERY = 2
"""Queries with fewer candidates are skipped (egocvr_retrieval.py)."""

METRICS: dict[Setting, tuple[Metric, ...]] = {"global": EGOCVR_GLOBAL, "local": EGOCVR_LOCAL}

csv.field_size_limit(1 << 27)  # a row's global gallery is a list of ten thousand numbers: 70 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotations:
    """Rows of the queries; the clips in the order of `egocvr_data.csv`, each row as it is there (with repeats)."""

    path: Path
    rows: list[dict[str, Any]]
    targets: list[tuple[str, ...]]
    clips: list[str]


def read(root: Path, split: str, media: Media, *, text: Text = "instruction", gallery: Gallery = "official") -> Dataset:
    """Read the tasks "global" and "local".

    Args:
        root: holds `annotation/egocvr/*.csv` (or the csv files themselves) and the clips, as ``VIDEO/CLIP.mp4`` or
            ``CLIP.mp4`` in `data/egocvr_clips`, `data/clips_nooverlap_fullscale`, `data` or the root.
        split: "test".
        media: what to do about clips that are not there.
        text: the query's words, "instruction" or those of the other two settings of the authors' code.
        gallery: "official": `egocvr_annotations_gallery.csv` lists each query's candidates. "derived": when that file
            is not there: all clips, and all clips of the same video, without the query's own clip; labelled.

    Any of a query's targets counts. Targets that a query's gallery lacks stay among its relevant items and are never
    found, as in the authors' code; queries whose gallery has fewer than two clips are skipped, as there. Query ids are
    row numbers from 0, because a clip is asked about more than once.
    """
    found = _annotations(root, gallery)
    files = MediaFiles(roots=_media_roots(root), policy=media)
    ids = list(dict.fromkeys(found.clips))
    items = {clip: _clip(files, clip) for clip in ids}
    missing = files.check("EgoCVR")
    if gallery == "official":
        masks = official(found.path, found.rows, found.clips)
    else:
        masks = derived([row["video_clip_id"] for row in found.rows], ids)
    tasks: list[Task] = []
    dropped: list[str] = []
    notes: list[str] = []
    for setting in SETTINGS:
        task, left_out, said = _task(found, items, masks[setting], setting, text)
        tasks.append(task)
        dropped += left_out
        notes += said
    return Dataset(
        name="egocvr",
        title="EgoCVR",
        split=split,
        variant=", ".join([VARIANTS[text], *(["NOT OFFICIAL: derived galleries"] if gallery == "derived" else [])]),
        tasks=tuple(tasks),
        missing=missing,
        dropped=tuple(dict.fromkeys(dropped)),
        notes=tuple(notes),
        submit=partial(submit_egocvr, {task.name: task for task in tasks}),
    )


def _annotations(root: Path, gallery: Gallery) -> _Annotations:
    names = ["egocvr_annotations_gallery.csv"]
    if gallery == "derived":
        names.append("egocvr_annotations.csv")
    looked = [f"{folder}{name}" for name in names for folder in FOLDERS]
    try:
        path = first_existing(root, looked, f"EgoCVR's {' or '.join(names)}")
    except DatasetError as error:
        if gallery == "derived" or not root.is_dir():
            raise
        raise DatasetError(
            f"{error}\nIt is a download of its own (the link is in the README of github ExplainableML/EgoCVR). Without "
            "it, gallery=derived takes all clips and all clips of the same video, under a name that says so."
        ) from None
    rows = _csv(path, ["video_clip_id", "target_clip_ids", *COLUMNS.values()])
    targets = [tuple(dict.fromkeys(_names(row["target_clip_ids"], path))) for row in rows]
    return _Annotations(path=path, rows=rows, targets=targets, clips=_clips(root, rows, targets, gallery))


def _clips(root: Path, rows: list[dict[str, Any]], targets: list[tuple[str, ...]], gallery: Gallery) -> list[str]:
    names = [f"{folder}egocvr_data.csv" for folder in FOLDERS]
    if gallery == "derived" and not any((root / name).is_file() for name in names):
        return [clip for row, target in zip(rows, targets, strict=True) for clip in (row["video_clip_id"], *target)]
    path = first_existing(root, names, "EgoCVR's egocvr_data.csv")
    return [row["clip_name"] for row in _csv(path, ["clip_name"])]


def _csv(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a CSV whose quoted fields may hold line breaks."""
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    lacking = [name for name in columns if not rows or rows[0].get(name) is None]
    if lacking:
        has = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise DatasetError(f"{path} has no column {lacking[0]!r}; it has {has}.")
    return rows


def _names(text: str, path: Path) -> list[str]:
    """A list of clips as Python writes it."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        value = None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise DatasetError(f"{path}: {text[:60]!r} is no list of clips; download the file again.")
    return value


def _media_roots(root: Path) -> list[Path]:
    names = ("data/egocvr_clips", "data/clips_nooverlap_fullscale", "data/egocvr_clips_256", "egocvr_clips", "data")
    return [*(root / name for name in names), root]


def _clip(files: MediaFiles, clip: str) -> Item | None:
    found = files.find([f"{video_of(clip)}/{clip}.mp4", f"{clip}.mp4"])
    return None if found is None else Item(id=clip, kind="video", uri=found, parent=video_of(clip))


def _query(found: _Annotations, number: int, own: Item | None, gallery: tuple[Clips, Mask], text: Text) -> QueryRow:
    clips, mask = gallery
    few = 2 * int(mask.sum()) <= len(clips)
    named = tuple(clips[mask if few else ~mask].tolist())
    return QueryRow(
        query=Query(
            id=str(number),
            # As written: the captions of TF-CVR begin with a space.
            text=found.rows[number][COLUMNS[text]],
            video=None if own is None else own.uri,
            # Of a gallery of ten thousand the few that are not in it are named: 2,295 long lists would be 200 MB.
            among=named if few else None,
            exclude=() if few else named,
        ),
        relevant=dict.fromkeys(found.targets[number], 1.0),
        lacks_media=own is None,
    )


def _task(
    found: _Annotations, items: Mapping[str, Item | None], masks: Iterable[Mask], setting: Setting, text: Text
) -> tuple[Task, tuple[str, ...], list[str]]:
    """The Task, the queries that were left out for their media, and what else a reader should know."""
    clips = np.array(list(items), dtype=object)
    place = {clip: number for number, clip in enumerate(clips)}
    rows: list[QueryRow] = []
    skipped = lost = 0
    for number, mask in enumerate(masks):
        if mask.sum() < MIN_GALLERY:
            skipped += 1
            continue
        own = items.get(found.rows[number]["video_clip_id"])
        rows.append(_query(found, number, own, (clips, mask), text))
        lost += not any(mask[place[target]] for target in found.targets[number] if target in place)
    counted = [
        (skipped, f"queries skipped because their gallery has fewer than {MIN_GALLERY} clips"),
        (lost, "queries whose gallery holds no target: they count as misses"),
    ]
    task, dropped = make_task(rows, items, METRICS[setting], name=setting)
    return task, dropped, [f"{setting}: {count:,} {what}." for count, what in counted if count]
