"""ActivityNet Captions as paragraphs: all sentences of a video joined into one text, against whole videos.

Source: the ActivityNet Captions release (`train.json`, `val_1.json`, `val_2.json` and lists of ids),
github.com/ArrowLuo/CLIP4Clip (loader), github.com/albanie/collaborative-experts (lists).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from mmrank.evaluation.dataset import Dataset, DatasetError, Media
from mmrank.evaluation.datasets.files import read_json, read_lines
from mmrank.evaluation.datasets.paired import Caption, check_choice, numbered
from mmrank.evaluation.datasets.places import Places
from mmrank.evaluation.datasets.tables import caption_rows, read_table
from mmrank.evaluation.datasets.videos import VideoSet, video_dataset

TITLE = "ActivityNet Captions"
Joining: TypeAlias = Literal["plain", "clean"]

_LISTS: Mapping[str, tuple[str, ...]] = {
    "val_1": ("val_1_list.txt", "val_ids.json"),
    "val_2": ("val_2_list.txt",),
    "train": ("train_list.txt", "train_ids.json"),
}
_PREFIX = "v_"
_FOLDERS = ("Activity_Videos", "ActivityNet_Videos", "videos", "v1-2", "v1-3")


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    joining: Joining = "plain",
    videos: Path | None = None,
    subtitles: Path | None = None,
) -> Dataset:
    """Read ActivityNet Captions for paragraph retrieval: tasks "t2v" and "v2t".

    Args:
        root: the folder that holds (or holds the folder that holds) ``SPLIT.json``; a list of ids beside it
            (``val_ids.json``, CE's ``val_1_list.txt``) gives the order and leaves out what it does not name. Where
            there is no such JSON, ViC's ``descs_ret_test_activitynet.csv`` of paragraphs is read for "val_1".
        split: "val_1" (what papers report), "val_2", "train".
        media: what to do about videos that are not there; CLIP4Clip leaves them out. They are found as ``v_ID`` and
            ``ID``, with any video suffix.
        joining: "plain": sentences as they are, with a space between (CLIP4Clip). "clean": without the white space
            around them.
        videos: their folder, where it is not below the root.
        subtitles: a folder of .srt files named by video id.

    Item ids are the names in the annotations, ``v_ID``; queries' ``v_ID#0``.

    Raises `DatasetError` that says what was looked for and where.
    """
    check_choice("split", split, _LISTS)
    check_choice("joining", joining, get_args(Joining))
    captions, variant, notes = _paragraphs(Places(root), split, joining)
    return video_dataset(
        VideoSet(
            name="activitynet",
            title=TITLE,
            split=split,
            captions=captions,
            notes=notes,
            variant=variant,
            paragraph=True,
            folders=_FOLDERS,
            names=lambda video: (_bare(video), _PREFIX + video),
        ),
        root,
        media,
        videos=videos,
        subtitles=subtitles,
    )


def _paragraphs(places: Places, split: str, joining: Joining) -> tuple[list[Caption], str, list[str]]:
    """Captions, variant, notes."""
    names = [f"{split}.json", *(["descs_ret_test_activitynet.csv"] if split == "val_1" else [])]
    path = places.need(names, f"An annotation file of {TITLE} {split}")
    if path.suffix == ".csv":
        return caption_rows(read_table(path), path), "paragraphs, ViC's list", []
    told = _sentences(read_json(path), path)
    variant = "paragraphs" if joining == "plain" else "paragraphs, white space cleaned"
    texts = {video: [_joined(sentences, joining)] for video, sentences in told.items()}
    listed = places.find(_LISTS[split])
    if listed is None:
        return numbered(texts), variant, []
    by_bare = {_bare(video): video for video in texts}
    wanted = [_bare(name) for name in (read_json(listed) if listed.suffix == ".json" else read_lines(listed))]
    chosen = [by_bare[name] for name in dict.fromkeys(wanted) if name in by_bare]
    if not chosen:
        raise DatasetError(f"{listed} names no video of {path}; the files do not belong together.")
    counted = [
        (len(texts) - len(chosen), f"videos of {path.name} are not in {listed.name}"),
        (len(set(wanted)) - len(chosen), f"videos of {listed.name} have no sentences in {path.name}"),
    ]
    notes = [f"{count:,} {what}; they are left out." for count, what in counted if count]
    return numbered({video: texts[video] for video in chosen}), variant, notes


def _sentences(read: Any, path: Path) -> dict[str, list[str]]:
    if not isinstance(read, Mapping):
        raise DatasetError(f"{path} holds a {type(read).__name__}, not an object from video to its sentences.")
    told: dict[str, list[str]] = {}
    for video, row in read.items():
        sentences = row.get("sentences") if isinstance(row, Mapping) else None
        if not isinstance(sentences, list) or not all(isinstance(each, str) for each in sentences):
            raise DatasetError(f"In {path} the sentences of {video!r} are {sentences!r}, not a list of texts.")
        told[video] = sentences
    return told


def _joined(sentences: list[str], joining: Joining) -> str:
    return " ".join(sentences if joining == "plain" else [each.strip() for each in sentences])


def _bare(video: str) -> str:
    """A video's id on YouTube: eleven characters, which may themselves begin with ``v_``."""
    return video.removeprefix(_PREFIX) if len(video) > 11 else video
