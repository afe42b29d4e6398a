"""The files in which Karpathy's splits of Flickr30k and COCO are handed around."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.by_id import without_suffix
from mmrank.evaluation.datasets.files import read_json, rows_of
from mmrank.evaluation.datasets.tables import read_csv, read_text
from mmrank.media.kinds import IMAGE_SUFFIXES

_COCO_NAME = re.compile(r"COCO_(?:train|val|test)\d{4}_0*(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image of a split: its id, the name of its file without folders, its captions in file order."""

    id: str
    file: str
    captions: tuple[str, ...]


def read_pictures(path: Path, parts: Sequence[str]) -> list[Picture]:
    """The images of the split's `parts` ("train", "restval") with their captions, in file order.

    Karpathy's JSON and the Hugging Face CSV hold every split; the other files are one split each.

    Raises `DatasetError` when the file has another form.
    """
    if path.suffix == ".csv":
        return _from_hugging_face(path, parts)
    if path.suffix == ".txt":
        return _from_lines(path)
    read = read_json(path)
    if isinstance(read, Mapping) and "annotations" in read:
        return _from_coco(path, read)
    if isinstance(read, Mapping):
        return _from_karpathy(path, read, parts)
    return _from_blip(path, read)


def picture_id(file: str) -> str:
    """COCO's image id where the name holds one, else the file's name without suffix.

    >>> picture_id("COCO_val2014_000000000042.jpg"), picture_id("1007129816.jpg")
    ('42', '1007129816')
    """
    stem = without_suffix(file, IMAGE_SUFFIXES)
    named = _COCO_NAME.fullmatch(stem)
    return named[1] if named else stem


def _from_karpathy(path: Path, read: Mapping[str, Any], parts: Sequence[str]) -> list[Picture]:
    pictures = []
    for row in rows_of(path, read.get("images"), ("filename", "split", "sentences")):
        if row["split"] in parts:
            told = rows_of(path, row["sentences"], ("raw",))
            pictures.append(_picture(row["filename"], [sentence["raw"] for sentence in told], row.get("cocoid")))
    return pictures


def _from_blip(path: Path, read: Any) -> list[Picture]:
    """Rows of an image and its captions, or (for training) of an image and one of its captions."""
    told: dict[str, list[str]] = {}
    for row in rows_of(path, read, ("image", "caption")):
        caption = row["caption"]
        told.setdefault(PurePosixPath(row["image"]).name, []).extend(
            caption if isinstance(caption, list) else [caption]
        )
    return [_picture(file, captions) for file, captions in told.items()]


def _from_lines(path: Path) -> list[Picture]:
    """A header, then lines ``FILE.jpg,CAPTION``; captions may hold commas and quotes."""
    told: dict[str, list[str]] = {}
    for number, line in enumerate(read_text(path).split("\n")[1:], start=2):
        if not line.strip():
            continue
        file, comma, caption = line.strip().partition(",")
        if not comma:
            raise DatasetError(f"Line {number} of {path} has no comma between file name and caption: {line.strip()!r}.")
        told.setdefault(file.strip(), []).append(caption)
    return [_picture(file, captions) for file, captions in told.items()]


def _from_coco(path: Path, read: Mapping[str, Any]) -> list[Picture]:
    """COCO's captions format: a list of images, and a list of captions that name them."""
    told: dict[Any, list[str]] = {}
    for row in rows_of(path, read["annotations"], ("image_id", "caption")):
        told.setdefault(row["image_id"], []).append(row["caption"])
    images = rows_of(path, read.get("images"), ("id", "file_name"))
    return [
        _picture(PurePosixPath(row["file_name"]).name, told[row["id"]], row["id"])
        for row in images
        if row["id"] in told
    ]


def _from_hugging_face(path: Path, parts: Sequence[str]) -> list[Picture]:
    """A row an image; its captions are a JSON list in the column `raw`."""
    pictures = []
    for row in rows_of(path, read_csv(path), ("filename", "split", "raw")):
        if row["split"] in parts:
            try:
                captions = json.loads(row["raw"])
            except json.JSONDecodeError:
                raise DatasetError(
                    f"In {path} the captions of {row['filename']} are no JSON: {row['raw']!r}."
                ) from None
            pictures.append(_picture(row["filename"], captions))
    return pictures


def _picture(file: str, captions: Any, image_id: object = None) -> Picture:
    if not isinstance(captions, list) or not captions or not all(isinstance(text, str) for text in captions):
        raise DatasetError(f"The captions of {file} are {captions!r}; a list of texts is needed.")
    return Picture(id=picture_id(file) if image_id is None else str(image_id), file=file, captions=tuple(captions))
