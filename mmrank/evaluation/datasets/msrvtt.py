"""MSR-VTT: the 1k-A split that nearly everyone reports, the full test set, and the other lists.

Source: github.com/ArrowLuo/CLIP4Clip (data and loaders), github.com/m-bain/frozen-in-time (the other release).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrank.evaluation.dataset import Dataset, DatasetError, Media
from mmrank.evaluation.datasets.files import read_json, read_lines, rows_of
from mmrank.evaluation.datasets.paired import Caption, check_choice, numbered
from mmrank.evaluation.datasets.pickles import read_pickle
from mmrank.evaluation.datasets.places import Places
from mmrank.evaluation.datasets.tables import caption_rows, read_csv, read_table
from mmrank.evaluation.datasets.videos import V2T, VideoSet, video_dataset

TITLE = "MSR-VTT"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Where a split's video ids come from, the first that is there: list files, the JSON's own label, the numbers."""

    lists: tuple[str, ...]
    label: str | None = None
    numbers: range = range(0)


_PARTS: Mapping[str, _Part] = {
    "1k-A": _Part(lists=("val_list_jsfusion.txt", "jsfusion_val_list.txt")),
    "1k-B": _Part(lists=("test_list_miech.txt",)),
    "full": _Part(lists=("test_list_full.txt",), label="test", numbers=range(7010, 10000)),
    "val": _Part(lists=("val_list_full.txt",), label="validate", numbers=range(6513, 7010)),
    "train": _Part(lists=("train_list_full.txt",), label="train", numbers=range(6513)),
    "train-7k": _Part(lists=("MSRVTT_train.7k.csv", "train_list_7k.txt")),
    "train-9k": _Part(lists=("MSRVTT_train.9k.csv", "train_list_9k.txt", "train_list_jsfusion.txt")),
}

_TABLES: Mapping[str, tuple[str, ...]] = {
    "1k-A": (
        "MSRVTT_JSFUSION_test.csv",
        "msrvtt_test.csv",
        "descs_ret_test_msrvtt.csv",
        "msrvtt_test.jsonl",
        "msrvtt_ret/txt/test.jsonl",
        "msrvtt_retrieval/test.jsonl",
        "msrvtt_test_1k.json",
        "msrvtt_test_1k.jsonl",
        "test_1k*.parquet",
        "test_1k/*.parquet",
    ),
    "train-7k": ("msrvtt_train_7k.json", "train_7k*.parquet", "train_7k/*.parquet"),
    "train-9k": ("msrvtt_train_9k.json", "train_9k*.parquet", "train_9k/*.parquet"),
}
"""Tables that hold the videos and the captions of a split at once."""

_ALL_CAPTIONS = ("MSRVTT_data.json", "MSR_VTT.json")
_CHOSEN = "jsfusion_val_caption_idx.pkl"
_DEPTH = 3
"""Frozen's lists: MSRVTT/high-quality/structured-symlinks/."""
_VIDEO_FOLDERS = ("MSRVTT_Videos", "MSRVTT/videos/all", "videos/all", "TrainValVideo", "TestVideo", "videos")
_NUMBER = re.compile(r"video(\d+)")


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    v2t: V2T = "grouped",
    videos: Path | None = None,
    subtitles: Path | None = None,
) -> Dataset:
    """Read MSR-VTT: tasks "t2v" (captions ask for videos) and "v2t".

    Args:
        root: the folder that holds the annotations (or holds the folder that does) and the videos. CLIP4Clip's
            csv and `MSRVTT_data.json` are read, Frozen's lists, pickle and `MSR_VTT.json`, BLIP's JSON lines, and the
            JSON or Parquet rows of the Hugging Face copies.
        split: "1k-A" (one caption a video), "full" (2,990 test videos, all captions), "1k-B", "val", "train",
            "train-7k", "train-9k".
        media: what to do about videos that are not there. They are found by id, with any video suffix.
        v2t: how a video with several captions is scored, see `mmrank.evaluation.datasets.videos.V2T`.
        videos: their folder, where it is not below the root.
        subtitles: a folder of .srt files named by video id, or of ViC's `msrvtt_subtitles.json`.

    Query ids of t2v and item ids of v2t are the captions' own (``ret0``, or the sentence number), else ``VIDEO#N``.

    Raises `DatasetError` that says what was looked for and where.
    """
    check_choice("split", split, _PARTS)
    captions, notes = _captions(Places(root, _DEPTH), split)
    read_split = VideoSet(
        name="msrvtt", title=TITLE, split=split, captions=captions, notes=notes, folders=_VIDEO_FOLDERS
    )
    return video_dataset(read_split, root, media, v2t=v2t, videos=videos, subtitles=subtitles)


def _captions(places: Places, split: str) -> tuple[list[Caption], list[str]]:
    tables = _TABLES.get(split, ())
    table = places.find(tables)
    if table is not None:
        return caption_rows(read_table(table), table), []
    path = places.need([*tables, *_ALL_CAPTIONS], f"An annotation file of {TITLE} {split}")
    told, ids, parts = _all_captions(path)
    videos = _videos(places, split, told, parts)
    if split == "1k-A":
        return _chosen(places, videos, told), []
    bare = [video for video in videos if video not in told]
    notes = [f"{len(bare):,} videos of the split have no caption in {path.name}, such as {bare[0]}."] if bare else []
    captions = numbered({video: told[video] for video in videos if video in told})
    own = [each for video in videos if video in told for each in ids[video]]
    if all(own) and len(set(own)) == len(own):
        captions = [Caption(id=i, owner=c.owner, text=c.text) for i, c in zip(own, captions, strict=True)]
    return captions, notes


def _all_captions(path: Path) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, str]]:
    """From both releases: video to captions in file order, to those captions' ids, and to its part of the data set."""
    read: Any = read_json(path)
    if isinstance(read, dict) and "sentences" in read:
        rows, video = rows_of(path, read["sentences"], ("video_id", "caption")), "video_id"
    elif isinstance(read, dict) and "annotations" in read:
        rows, video = rows_of(path, read["annotations"], ("image_id", "caption")), "image_id"
    else:
        raise DatasetError(f"{path} has neither sentences (CLIP4Clip's release) nor annotations (Frozen's).")
    told: dict[str, list[str]] = {}
    ids: dict[str, list[str]] = {}
    for row in rows:
        if not isinstance(row["caption"], str):
            raise DatasetError(f"{path} has the caption {row['caption']!r} for {row[video]}; it must be a text.")
        told.setdefault(row[video], []).append(row["caption"])
        ids.setdefault(row[video], []).append(str(row.get("sen_id", "")))
    parts = {row["video_id"]: str(row.get("split", "")) for row in read.get("videos", ()) if "video_id" in row}
    return told, ids, parts


def _videos(places: Places, split: str, told: Mapping[str, object], parts: Mapping[str, str]) -> list[str]:
    part = _PARTS[split]
    listed = places.find(part.lists)
    if listed is not None:
        if listed.suffix == ".csv":
            return list(dict.fromkeys(row["video_id"] for row in rows_of(listed, read_csv(listed), ("video_id",))))
        return list(dict.fromkeys(read_lines(listed)))
    if part.label is not None and part.label in parts.values():
        return [video for video, its in parts.items() if its == part.label]
    by_number = sorted(
        (int(named[1]), video)
        for video in told
        if (named := _NUMBER.fullmatch(video)) and int(named[1]) in part.numbers
    )
    if by_number:
        return [video for _, video in by_number]
    raise places.lacking([*_TABLES.get(split, ()), *part.lists], f"The list of the videos of {TITLE} {split}")


def _chosen(places: Places, videos: Sequence[str], told: Mapping[str, Sequence[str]]) -> list[Caption]:
    """1k-A from Frozen's release: of each video the one caption whose number a pickle holds."""
    path = places.need([_CHOSEN], f"The list of the chosen captions of {TITLE} 1k-A")
    read = read_pickle(path)
    if not isinstance(read, dict):
        raise DatasetError(f"{path} holds a {type(read).__name__}, not a dict from video to caption number.")
    every = {caption.id: caption for caption in numbered({video: told[video] for video in videos if video in told})}
    chosen = [every.get(f"{video}#{read.get(video)}") for video in videos]
    lacking = [video for video, caption in zip(videos, chosen, strict=True) if caption is None]
    if lacking:
        raise DatasetError(
            f"{path} or the captions lack {len(lacking):,} of the {len(videos):,} videos of {TITLE} 1k-A, such as "
            f"{lacking[0]} (caption {read.get(lacking[0])!r}); the files do not belong together."
        )
    return [caption for caption in chosen if caption is not None]
