"""Flickr30k and COCO in Karpathy's splits: text to image and image to text.

Source: Karpathy's caption_datasets.zip; the same splits in other files: github.com/salesforce/BLIP,
github.com/LAION-AI/CLIP_benchmark, huggingface.co/datasets/nlphuji/flickr30k.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from mmrank.evaluation import protocols
from mmrank.evaluation.dataset import Dataset, DatasetError, Figures, Media, Task
from mmrank.evaluation.datasets.by_id import MediaById
from mmrank.evaluation.datasets.karpathy_files import Picture, read_pictures
from mmrank.evaluation.datasets.paired import (
    Caption,
    Pairing,
    check_choice,
    numbered,
    paired_dataset,
    paired_tasks,
    safe_id,
)
from mmrank.evaluation.datasets.places import Places
from mmrank.media.kinds import IMAGE_SUFFIXES
from mmrank.media.uri import path_uri
from mmrank.types import Item

Text: TypeAlias = Literal["raw", "blip"]

BLIP_WORDS = 30
"""BLIP cuts captions to so many words when it evaluates retrieval (data/utils.py, pre_caption)."""
_BLIP_PUNCTUATION = re.compile(r"[.!\"()*#:;~]")

_PAIRING = Pairing(names=("t2i", "i2t"), metrics=(protocols.KARPATHY_T2I, protocols.KARPATHY_I2T))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One of the two data sets: its names, its annotation files by split, and where its images lie."""

    name: str
    title: str
    files: Callable[[str], tuple[str, ...]]
    splits: Mapping[str, tuple[str, ...]]
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A split as it was read, with the words that tell it from its look-alikes."""

    source: _Source
    split: str
    pictures: Sequence[Picture]
    words: tuple[str, ...]


_FLICKR30K = _Source(
    name="flickr30k",
    title="Flickr30k",
    files=lambda split: (
        "dataset_flickr30k.json",
        f"flickr30k_{split}.json",
        f"flickr30k_{split}_karpathy.txt",
        "flickr_annotations_30k.csv",
    ),
    splits={"test": ("test",), "val": ("val",), "train": ("train",)},
    folders=("flickr30k-images", "flickr30k_images", "images"),
)
_COCO = _Source(
    name="coco",
    title="COCO",
    files=lambda split: ("dataset_coco.json", f"coco_karpathy_{split}.json", f"coco_{split}_karpathy.json"),
    splits={"test": ("test",), "val": ("val",), "train": ("train", "restval")},
    folders=("val2014", "train2014", "images"),
)


def read_flickr30k(
    root: Path,
    split: str,
    media: Media,
    *,
    captions_per_image: int | None = None,
    text: Text = "raw",
    images: Path | None = None,
) -> Dataset:
    """Read Flickr30k: tasks "t2i" (every caption asks for its image) and "i2t" (any caption of the image is a hit).

    Args:
        root: the folder that holds (or holds the folder that holds) one of Karpathy's `dataset_flickr30k.json`, BLIP's
            ``flickr30k_SPLIT.json``, CLIP_benchmark's ``flickr30k_SPLIT_karpathy.txt`` and the Hugging Face copy's
            `flickr_annotations_30k.csv`; and the images, wherever below it.
        split: "test" (1,000 images), "val", "train".
        media: what to do about images that are not there.
        captions_per_image: keep the first so many captions of each image; None: all.
        text: captions as they are, or as BLIP gives them to its model: lower case, without punctuation, 30 words.
        images: their folder, where it is not below the root.

    Item ids are the images' file names without suffix, captions' ``IMAGE#N``: the same in every layout.

    Raises `DatasetError` that says what was looked for and where.
    """
    return _dataset(_read(_FLICKR30K, root, split, captions_per_image, text), root, media, images)


def read_coco(
    root: Path,
    split: str,
    media: Media,
    *,
    captions_per_image: int | None = None,
    text: Text = "raw",
    folds: int = 1,
    images: Path | None = None,
) -> Dataset:
    """Read COCO in Karpathy's split: tasks "t2i" and "i2t".

    Args:
        root: the folder that holds (or holds the folder that holds) one of Karpathy's `dataset_coco.json`, BLIP's
            ``coco_karpathy_SPLIT.json`` and CLIP_benchmark's ``coco_SPLIT_karpathy.json``; and the images.
        split: "test" (5,000 images), "val", "train" (with "restval", which Karpathy's file keeps apart).
        media: what to do about images that are not there.
        captions_per_image: keep the first so many captions of each image (5: 25,000 captions, as CLIP's followers do);
            None: all 25,010.
        text: as for Flickr30k.
        folds: 5: the test images in five parts of 1,000, each a gallery of its own ("COCO 1k"); figures are means.
        images: their folder, where it is not below the root.

    Item ids are COCO's image ids, captions' ``IMAGE#N``: the same in every layout.

    Raises `DatasetError` that says what was looked for and where.
    """
    read = _read(_COCO, root, split, captions_per_image, text)
    if folds == 1:
        return _dataset(read, root, media, images)
    count = len(read.pictures)
    if folds < 1 or count % folds:
        raise DatasetError(f"folds is {folds}; it must divide the {count:,} images of {split} (officially: 5).")
    read = replace(read, words=(*read.words, f"mean of {folds} folds of {count // folds:,} images"))
    whole = _dataset(read, root, media, images)
    tasks = _folds(whole, [picture.id for picture in read.pictures], folds)
    return replace(whole, tasks=tasks, combine=_mean_of_folds)


def _read(source: _Source, root: Path, split: str, captions_per_image: int | None, text: Text) -> _Read:
    check_choice("split", split, source.splits)
    check_choice("text", text, get_args(Text))
    if captions_per_image is not None and captions_per_image < 1:
        raise DatasetError(f"captions_per_image is {captions_per_image}; keep at least 1, or leave it out for all.")
    path = Places(root).need(source.files(split), f"The annotation file of {source.title} {split}")
    pictures = read_pictures(path, source.splits[split])
    if not pictures:
        raise DatasetError(f"{path} holds no image of the split {split}.")
    kept = [replace(picture, captions=picture.captions[:captions_per_image]) for picture in pictures]
    if text == "blip":
        kept = [replace(picture, captions=tuple(map(blip_caption, picture.captions))) for picture in kept]
    counted = f"{sum(len(picture.captions) for picture in kept):,} captions"
    words = [counted if captions_per_image is None else f"{counted}, at most {captions_per_image} an image"]
    return _Read(source=source, split=split, pictures=kept, words=(*words, *(["BLIP's wording"] * (text == "blip"))))


def blip_caption(text: str) -> str:
    """A caption as BLIP gives it to its model (data/utils.py): lower case, some punctuation to spaces, 30 words.

    >>> blip_caption("Two dogs (one brown) run.  Fast!")
    'two dogs one brown run fast'
    """
    words = _BLIP_PUNCTUATION.sub(" ", text.lower()).split()
    return " ".join(words[:BLIP_WORDS])


def _dataset(read: _Read, root: Path, media: Media, images: Path | None) -> Dataset:
    source = read.source
    roots = [images] if images else [*(root / folder for folder in source.folders), root]
    files = MediaById(roots, media, suffixes=IMAGE_SUFFIXES, usual=".jpg")
    paths = {picture.id: files.find(picture.file) for picture in read.pictures}
    missing = files.check(source.title)
    return paired_dataset(
        [Item(id=safe_id(name), kind="image", uri=path_uri(path)) for name, path in paths.items() if path is not None],
        numbered({picture.id: picture.captions for picture in read.pictures}),
        _PAIRING,
        name=source.name,
        title=source.title,
        split=read.split,
        variant=", ".join(read.words),
        missing=missing,
        combine=protocols.recall_sum,
    )


def _folds(whole: Dataset, order: Sequence[str], folds: int) -> tuple[Task, ...]:
    """Tasks "t2i 1" ... "i2t 5": consecutive parts of the official order, whatever media are missing."""
    forward, back = whole.tasks
    texts = {item.id: item.text or "" for item in back.gallery}
    size = len(order) // folds
    tasks: list[Task] = []
    for number in range(folds):
        part = {safe_id(name) for name in order[number * size : (number + 1) * size]}
        items = [item for item in forward.gallery if item.id in part]
        captions = [
            Caption(id=name, owner=owner, text=texts[name])
            for name, gains in forward.relevant.items()
            for owner in gains
            if owner in part
        ]
        if not captions:
            raise DatasetError(f"No image of fold {number + 1} is there; complete the download.")
        tasks += (replace(task, name=f"{task.name} {number + 1}") for task in paired_tasks(items, captions, _PAIRING))
    return tuple(tasks)


def _mean_of_folds(tasks: Mapping[str, Figures]) -> Figures:
    """The mean of each direction over its folds, named "t2i R@1", and their sum and mean."""
    directions = {
        name: protocols.mean_over_tasks({task: f for task, f in tasks.items() if task.startswith(f"{name} ")})
        for name in _PAIRING.names
    }
    means = {f"{name} {metric}": value for name, f in directions.items() for metric, value in f.items()}
    return {**means, **protocols.recall_sum(directions)}
