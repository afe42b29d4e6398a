"""DiDeMo as paragraphs: all descriptions of a video joined into one text.

Source: github.com/LisaAnne/LocalizingMoments (`data/SPLIT_data.json`), github.com/albanie/collaborative-experts (the
lists), github.com/ArrowLuo/CLIP4Clip (loader).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from mmrank.evaluation.dataset import Dataset, Media
from mmrank.evaluation.datasets.by_id import without_suffix
from mmrank.evaluation.datasets.files import read_json, read_lines, rows_of
from mmrank.evaluation.datasets.paired import Caption, check_choice, numbered
from mmrank.evaluation.datasets.places import Places
from mmrank.evaluation.datasets.tables import caption_rows, read_table
from mmrank.evaluation.datasets.videos import VideoSet, video_dataset

TITLE = "DiDeMo"
SPLITS = ("test", "val", "train")
Span: TypeAlias = Literal["30s", "whole"]

_FOLDERS = ("DiDeMo_Videos", "didemo_videos", "videos")
_SPANS = {"30s": "t=0,30", "whole": ""}
"""Longer videos were cut to 30 seconds before they were described (LocalizingMoments, README)."""


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    span: Span = "30s",
    videos: Path | None = None,
    subtitles: Path | None = None,
) -> Dataset:
    """Read DiDeMo for paragraph retrieval: tasks "t2v" and "v2t".

    Args:
        root: the folder that holds (or holds the folder that holds) ``SPLIT_data.json`` and CE's ``SPLIT_list.txt``;
            without the list all videos of the file count, and the variant says so. Where there is no such JSON, ViC's
            ``descs_ret_test_didemo.csv`` of paragraphs is read.
        split: "test", "val", "train".
        media: what to do about videos that are not there. They are found by their full name, by that and another
            suffix (copies are re-muxed to mp4), and by their name without suffix.
        span: the first 30 seconds, which are what was described, or the whole video.
        videos: their folder, where it is not below the root.
        subtitles: a folder of .srt files named by video id.

    Descriptions are joined in file order with one space. Item ids are the names in the annotations, queries'
    ``VIDEO#0``.

    Raises `DatasetError` that says what was looked for and where.
    """
    check_choice("split", split, SPLITS)
    check_choice("span", span, get_args(Span))
    captions, variant, notes = _paragraphs(Places(root), split)
    return video_dataset(
        VideoSet(
            name="didemo",
            title=TITLE,
            split=split,
            captions=captions,
            notes=notes,
            variant=variant if span == "30s" else f"{variant}, whole videos",
            folders=_FOLDERS,
            names=lambda video: (without_suffix(video),),
            fragment=_SPANS[span],
        ),
        root,
        media,
        videos=videos,
        subtitles=subtitles,
    )


def _paragraphs(places: Places, split: str) -> tuple[list[Caption], str, list[str]]:
    """Captions, variant, notes."""
    names = [f"{split}_data.json", *(["descs_ret_test_didemo.csv"] if split == "test" else [])]
    path = places.need(names, f"An annotation file of {TITLE} {split}")
    if path.suffix == ".csv":
        return caption_rows(read_table(path), path), "paragraphs, ViC's list", []
    told: dict[str, list[str]] = {}
    for row in rows_of(path, read_json(path), ("video", "description")):
        told.setdefault(row["video"], []).append(row["description"])
    listed = places.find([f"{split}_list.txt"])
    if listed is None:
        every = numbered({video: [" ".join(texts)] for video, texts in told.items()})
        return every, f"paragraphs, all videos of {path.name} for want of {split}_list.txt", []
    chosen = [_in(told, name) for name in dict.fromkeys(read_lines(listed))]
    bare = sum(name is None for name in chosen)
    notes = [f"{bare:,} videos of {listed.name} have no description and are left out."] if bare else []
    texts = {name: [" ".join(told[name])] for name in chosen if name is not None}
    return numbered(texts), "paragraphs", notes


def _in(told: dict[str, list[str]], name: str) -> str | None:
    """The name as the annotations have it: some lists leave the suffix out."""
    if name in told:
        return name
    return next((video for video in told if without_suffix(video) == without_suffix(name)), None)
