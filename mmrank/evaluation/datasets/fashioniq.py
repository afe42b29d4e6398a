"""FashionIQ: a garment and two captions that say how another differs from it, in three categories.

Wu et al., "The Fashion IQ Dataset", CVPR 2021; github XiaoxiaoGuo/fashion-iq.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mmrank.evaluation.dataset import Dataset, DatasetError, Media, Task
from mmrank.evaluation.datasets.files import MediaFiles, first_existing, read_json, rows_of
from mmrank.evaluation.datasets.rows import QueryRow, chosen_names, make_task
from mmrank.evaluation.protocols import FASHION_IQ, fashion_iq_mean
from mmrank.evaluation.submissions.fashioniq import submit_fashioniq
from mmrank.types import Item, Query

Captions = Literal["clip4cir", "searle", "magiclens"]
SplitGallery = Literal["original", "union"]

CATEGORIES = ("dress", "shirt", "toptee")
SUFFIXES = (".jpg", ".png", ".jpeg", ".webp")

_STRIPPED = ".?, "
"""What CLIP4Cir and SEARLE take from both ends of a caption."""

_VARIANTS: dict[Captions, str] = {
    "clip4cir": "captions joined as CLIP4Cir",
    "searle": "captions joined as SEARLE, first order only",
    "magiclens": "captions joined as MagicLens",
}


def join_captions(captions: Sequence[str], rule: Captions) -> str:
    """The two captions as one text, blank ones included, as the code of the three papers does it.

    "searle" is the first of the two orders whose vectors SEARLE averages, without its "a photo of $ that" around it.

    >>> join_captions(["is Red. ", "has long sleeves"], "clip4cir")
    'Is red and has long sleeves'
    >>> join_captions(["is Red. ", "has long sleeves"], "searle")
    'is Red and has long sleeves'
    """
    if rule == "magiclens":
        return " and ".join(captions)
    first, *others = [caption.strip(_STRIPPED) for caption in captions]
    return " and ".join([first.capitalize() if rule == "clip4cir" else first, *others])


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    captions: Captions = "clip4cir",
    split_gallery: SplitGallery = "original",
    categories: str | None = None,
) -> Dataset:
    """Read a split: a task for each category.

    Args:
        root: holds `captions/cap.CATEGORY.SPLIT.json`, `image_splits/split.CATEGORY.SPLIT.json` and `images/`, flat
            or by category, with any usual suffix (`resized_images/` too).
        split: "val", "test" or "train". Where rows have no target there is nothing to measure.
        media: what to do about images that are not there; many of the product images have left the web.
        captions: how the two captions become one text.
        split_gallery: "original": the split file. "union": references and targets of the queries, in order of first
            appearance, and fewer: easier, and labelled.
        categories: comma-separated; None: those with a caption file under the root.

    The reference is not excluded. Query ids are ``CATEGORY-N``, N counting the rows of the caption file from 0.
    """
    found = first_existing(root, [f"captions/cap.*.{split}.json"], f"FashionIQ's captions/cap.CATEGORY.{split}.json")
    captions_of = {name: found.parent / f"cap.{name}.{split}.json" for name in CATEGORIES}
    names = chosen_names("categories", categories, CATEGORIES, [n for n, path in captions_of.items() if path.is_file()])
    tasks: list[Task] = []
    missing: list[str] = []
    dropped: list[str] = []
    notes: list[str] = []
    for name in names:
        files = MediaFiles(roots=_folders(root, name), policy=media)
        rows = _rows(root, name, split)
        gallery, said = _gallery(root, name, split, rows, split_gallery)
        items = {item: _image(files, item) for item in gallery}
        missing += files.check(f"FashionIQ {name} {split}")
        made = [_query(row, number, items, name, captions) for number, row in enumerate(rows)]
        task, left_out = make_task(made, items, FASHION_IQ, name=name)
        tasks.append(task)
        dropped += left_out
        notes += [*said, *_blank(rows, name)]
    whole = tuple(names) == CATEGORIES
    if not whole:
        notes.append(f"Only {', '.join(names)}: the official figure is the mean over {', '.join(CATEGORIES)}.")
    return Dataset(
        name="fashioniq",
        title="FashionIQ",
        split=split,
        variant=f"{split_gallery if split_gallery == 'original' else 'union (easier)'} gallery, {_VARIANTS[captions]}",
        tasks=tuple(tasks),
        combine=fashion_iq_mean if whole and all(task.metrics for task in tasks) else None,
        missing=tuple(missing),
        dropped=tuple(dropped),
        notes=tuple(notes),
        submit=None if dropped else partial(submit_fashioniq, {task.name: task for task in tasks}, captions_of),
    )


def _folders(root: Path, category: str) -> list[Path]:
    parents = [root / "images", root / "resized_images", root / "image_data", root]
    return [folder for parent in parents for folder in (parent, parent / category)]


def _rows(root: Path, category: str, split: str) -> list[dict[str, Any]]:
    name = f"captions/cap.{category}.{split}.json"
    path = first_existing(root, [name], f"FashionIQ's {name}")
    rows = rows_of(path, read_json(path), ["candidate", "captions"])
    bare = sum("target" not in row for row in rows)
    if bare not in (0, len(rows)):
        raise DatasetError(f"{bare:,} of {len(rows):,} rows of {path} have no target; all or none have to have one.")
    return rows


def _gallery(
    root: Path, category: str, split: str, rows: list[dict[str, Any]], kind: SplitGallery
) -> tuple[list[str], list[str]]:
    if kind == "union":
        if not all("target" in row for row in rows):
            raise DatasetError(f"FashionIQ {split} has no targets, so no union of them; use split_gallery=original.")
        return list(dict.fromkeys(str(row[key]) for row in rows for key in ("candidate", "target"))), []
    name = f"image_splits/split.{category}.{split}.json"
    path = first_existing(root, [name], f"FashionIQ's {name}")
    listed = read_json(path)
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise DatasetError(f"{path} is no list of image ids; give the split files of github XiaoxiaoGuo/fashion-iq.")
    once = list(dict.fromkeys(listed))
    again = len(listed) - len(once)
    return once, [f"{category}: {again} image ids of the split file are there again and count once."] if again else []


def _image(files: MediaFiles, item: str) -> Item | None:
    found = files.find([f"{item}{suffix}" for suffix in SUFFIXES])
    return None if found is None else Item(id=item, kind="image", uri=found)


def _query(row: dict[str, Any], number: int, items: dict[str, Item | None], category: str, rule: Captions) -> QueryRow:
    reference = str(row["candidate"])
    if reference not in items:
        raise DatasetError(
            f"Row {number} of FashionIQ's {category} captions has the reference {reference!r}, which is not in the "
            "gallery; captions and image_splits do not belong together."
        )
    image = items[reference]
    return QueryRow(
        query=Query(
            id=f"{category}-{number}",
            text=join_captions(row["captions"], rule),
            image=None if image is None else image.uri,
        ),
        relevant={str(row["target"]): 1.0} if "target" in row else {},
        lacks_media=image is None,
    )


def _blank(rows: list[dict[str, Any]], category: str) -> list[str]:
    blank = [number for number, row in enumerate(rows) if not all(text.strip() for text in row["captions"])]
    if not blank:
        return []
    return [f"{category}: queries with a blank caption: {len(blank)}, such as {category}-{blank[0]}; joined as it is."]
