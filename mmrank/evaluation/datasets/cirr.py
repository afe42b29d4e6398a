"""CIRR: composed queries over photographs of NLVR2, with a set of six look-alikes for each query.

Liu et al., "Image Retrieval on Real-life Images with Pre-trained Vision-and-Language Models", ICCV 2021.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from mmrank.evaluation.dataset import Dataset, DatasetError, Media
from mmrank.evaluation.datasets.files import MediaFiles, first_existing, read_json, rows_of
from mmrank.evaluation.datasets.rows import QueryRow, make_task
from mmrank.evaluation.protocols import CIRR, CIRR_SOFT
from mmrank.evaluation.submissions.cirr import submit_cirr
from mmrank.types import Item, Query

Labels = Literal["hard", "soft"]

LABELLED = ("train", "val")
"""The targets of test1 are on the test server."""


def read(root: Path, split: str, media: Media, *, labels: Labels = "hard") -> Dataset:
    """Read a split.

    Args:
        root: the folder `cirr`, or the one it lies in. Images: ``cirr/img_raw/{dev,test1,train}`` (the data set's own
            README) or ``{dev,test1,train}`` beside or in `cirr` (CLIP4Cir, SEARLE and their kin).
        split: "val", "test1" or "train".
        media: what to do about images that are not there.
        labels: "hard": `target_hard` alone. "soft": every entry of `target_soft` above 0 with its gain. The reference
            stays among them where the file has it (37 queries of val), although it is taken out of every ranking:
            under CIRPLANT's code those queries cannot be answered either.

    The gallery is what the split file names, in its order; the reference is excluded; members are the query's set
    without the reference.
    """
    captions = _file(root, "captions/cap.rc2", split)
    places = read_json(_file(root, "image_splits/split.rc2", split))
    folder = captions.parent.parent
    files = MediaFiles(roots=[folder / "img_raw", folder.parent, folder], policy=media)
    items = {name: _image(files, name, path) for name, path in places.items()}
    rows = [_row(row, items, labels, split, captions) for row in _rows(captions, split)]
    missing = files.check(f"CIRR {split}")
    task, dropped = make_task(rows, items, CIRR_SOFT if labels == "soft" else CIRR)
    labelled = split in LABELLED
    return Dataset(
        name="cirr",
        title="CIRR",
        split=split,
        variant=f"{labels} targets" if labelled else "",
        tasks=(task,),
        missing=missing,
        dropped=dropped,
        notes=tuple(_notes(rows, labels, labelled)),
        submit=None if labelled or dropped else partial(submit_cirr, task),
    )


def _file(root: Path, start: str, split: str) -> Path:
    name = f"{start}.{split}.json"
    return first_existing(root, [f"cirr/{name}", name], f"CIRR's {name}")


def _rows(path: Path, split: str) -> list[dict[str, Any]]:
    fields = ["pairid", "reference", "caption", "img_set"]
    if split in LABELLED:
        fields += ["target_hard", "target_soft"]
    return rows_of(path, read_json(path), fields)


def _image(files: MediaFiles, name: str, path: str) -> Item | None:
    found = files.find([path.removeprefix("./")])
    return None if found is None else Item(id=name, kind="image", uri=found)


def _row(row: dict[str, Any], items: dict[str, Item | None], labels: Labels, split: str, path: Path) -> QueryRow:
    reference = str(row["reference"])
    if reference not in items:
        raise DatasetError(
            f"Query {row['pairid']} of {path} has the reference {reference!r}, which the split file does not name; "
            "captions and image_splits do not belong together."
        )
    image = items[reference]
    relevant: dict[str, float] = {}
    if split in LABELLED and labels == "hard":
        relevant = {str(row["target_hard"]): 1.0}
    elif split in LABELLED:
        relevant = {str(name): float(gain) for name, gain in row["target_soft"].items() if gain > 0}
    return QueryRow(
        # A blank caption stays a text: the test server wants an answer for every query.
        query=Query(
            id=str(row["pairid"]),
            text=str(row["caption"]),
            image=None if image is None else image.uri,
            exclude=(reference,),
        ),
        relevant=relevant,
        members=tuple(str(name) for name in row["img_set"]["members"] if name != reference),
        lacks_media=image is None,
    )


def _notes(rows: list[QueryRow], labels: Labels, labelled: bool) -> list[str]:
    notes = []
    blank = [row.query.id for row in rows if not (row.query.text or "").strip()]
    if blank:
        notes.append(f"Blank captions: {len(blank)}, such as query {blank[0]}'s; such a query has its picture alone.")
    if labels == "soft" and labelled:
        hopeless = sum(set(row.relevant) <= set(row.query.exclude) for row in rows)
        notes.append(
            f"Queries without a target above 0, or with none but their own reference, which is taken out: {hopeless}; "
            "they cannot be answered, and count as misses."
        )
    return notes
