"""CIRCO: composed queries with several targets over all COCO 2017 unlabeled images.

Baldrati et al., "Zero-Shot Composed Image Retrieval with Textual Inversion", ICCV 2023; github miccunifi/CIRCO.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from mmrank.evaluation.dataset import Dataset, DatasetError, Media
from mmrank.evaluation.datasets.files import MediaFiles, first_existing, read_json, rows_of
from mmrank.evaluation.datasets.rows import QueryRow, make_task
from mmrank.evaluation.protocols import CIRCO
from mmrank.evaluation.submissions.circo import submit_circo
from mmrank.types import Item, Query

INFO = "annotations/image_info_unlabeled2017.json"
INFO_PLACES = (f"COCO2017_unlabeled/{INFO}", INFO, "image_info_unlabeled2017.json")

TARGET_GAIN = 2.0
"""Marks the one target that Recall@K counts among the ground truths, whose gain is 1; mAP@K knows relevant or not."""


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    exclude_reference: bool = False,
    images: Path | None = None,
    submission: Path | None = None,
) -> Dataset:
    """Read a split.

    Args:
        root: holds `annotations/{val,test}.json` and `COCO2017_unlabeled/`.
        split: "val" or "test" (without targets).
        media: what to do about images that are not there. Only with "none" may `image_info_unlabeled2017.json` be
            absent too; the gallery is then what the annotations and submission files name, and the notes say so.
        exclude_reference: take the reference out of every ranking; the official code leaves it in.
        images: the folder of the images, when not ``COCO2017_unlabeled/unlabeled2017`` or ``unlabeled2017``.
        submission: a submission file whose images join the gallery when there is no image info; else those in
            `submission_examples/` do.
    """
    path = first_existing(root, [f"annotations/{split}.json", f"{split}.json"], f"CIRCO's annotations/{split}.json")
    fields = ["id", "reference_img_id", "relative_caption"]
    labelled = split == "val"
    found = rows_of(path, read_json(path), [*fields, "target_img_id", "gt_img_ids"] if labelled else fields)
    names, notes = _gallery(root, split, media, found, submission)
    folders = ["COCO2017_unlabeled/unlabeled2017", "unlabeled2017", "images"]
    files = MediaFiles(roots=[images] if images else [root / folder for folder in folders], policy=media)
    items = {item: _image(files, item, name) for item, name in names.items()}
    missing = files.check(f"CIRCO {split}")
    rows = [_row(row, items, exclude_reference, labelled, path) for row in found]
    task, dropped = make_task(rows, items, CIRCO)
    return Dataset(
        name="circo",
        title="CIRCO",
        split=split,
        variant=", ".join(
            words
            for words, said in (
                ("reference excluded", exclude_reference),
                ("NOT THE OFFICIAL GALLERY: only images that the files name", bool(notes)),
            )
            if said
        ),
        tasks=(task,),
        missing=missing,
        dropped=dropped,
        notes=notes,
        submit=None if dropped else partial(submit_circo, task),
    )


def _gallery(
    root: Path, split: str, media: Media, rows: list[dict[str, Any]], submission: Path | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Item id to file name, in the gallery's order, and what is odd about it."""
    if media == "none" and not any((root / place).is_file() for place in INFO_PLACES):
        return _named(root, split, rows, submission)
    info = first_existing(root, INFO_PLACES, "The image info of COCO 2017 unlabeled")
    content = read_json(info)
    if not isinstance(content, dict):
        raise DatasetError(f"{info} is no image info of COCO: it has no list 'images'.")
    images = rows_of(info, content.get("images"), ["id", "file_name"])
    return {str(int(image["id"])): str(image["file_name"]) for image in images}, ()


def _named(
    root: Path, split: str, rows: list[dict[str, Any]], submission: Path | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """A gallery of the images that any file names."""
    ids = {int(row["reference_img_id"]) for row in rows}
    ids |= {int(image) for row in rows for image in row.get("gt_img_ids", ())}
    files = [submission] if submission else sorted(root.glob(f"submission_examples/*{split}*.json"))
    for file in files:
        ids |= set(_submitted(file))
    named = ", ".join(file.name for file in files) or "no submission"
    note = (
        f"There is no image info: the gallery is the {len(ids):,} images that the annotations and {named} name, not "
        "the official one. mAP@K and Recall@K of a finished list do not depend on it."
    )
    return {str(image): f"{image:012d}.jpg" for image in sorted(ids)}, (note,)


def _submitted(path: Path) -> Iterable[int]:
    content = read_json(path) if path.is_file() else None
    if not isinstance(content, dict):
        raise DatasetError(f"{path} is no submission: give a JSON file with query ids and their lists of image ids.")
    return (int(image) for images in content.values() for image in images)


def _image(files: MediaFiles, item: str, name: str) -> Item | None:
    found = files.find([name])
    return None if found is None else Item(id=item, kind="image", uri=found)


def _row(
    row: dict[str, Any], items: dict[str, Item | None], exclude_reference: bool, labelled: bool, path: Path
) -> QueryRow:
    reference = str(row["reference_img_id"])
    if reference not in items:
        raise DatasetError(
            f"Query {row['id']} of {path} has the reference {reference}, which the image info does not name; give the "
            "image info of the 2017 unlabeled images."
        )
    image = items[reference]
    relevant: dict[str, float] = {}
    if labelled:
        relevant = {str(image): 1.0 for image in row["gt_img_ids"]} | {str(row["target_img_id"]): TARGET_GAIN}
    return QueryRow(
        query=Query(
            id=str(row["id"]),
            text=str(row["relative_caption"]),
            image=None if image is None else image.uri,
            exclude=(reference,) if exclude_reference else (),
        ),
        relevant=relevant,
        labels=tuple(row.get("semantic_aspects", ())),
        lacks_media=image is None,
    )
