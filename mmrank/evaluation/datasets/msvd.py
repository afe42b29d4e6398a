"""MSVD (YouTube2Text): 1,970 short clips with about forty captions each.

Source: github.com/ArrowLuo/CLIP4Clip (msvd_data.zip: lists and a pickle of token lists), github.com/layer6ai-labs/xpool
(`captions_msvd.json`: the same as texts).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmrank.evaluation.dataset import Dataset, DatasetError, Media
from mmrank.evaluation.datasets.files import read_json, read_lines
from mmrank.evaluation.datasets.paired import check_choice, numbered
from mmrank.evaluation.datasets.pickles import read_pickle
from mmrank.evaluation.datasets.places import Places
from mmrank.evaluation.datasets.videos import V2T, VideoSet, video_dataset

TITLE = "MSVD"
SPLITS = ("test", "val", "train")

_CAPTIONS = ("captions_msvd.json", "raw-captions.pkl")
_FOLDERS = ("YouTubeClips", "MSVD_Videos", "videos")


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    v2t: V2T = "grouped",
    videos: Path | None = None,
    subtitles: Path | None = None,
) -> Dataset:
    """Read MSVD: tasks "t2v" (every caption asks) and "v2t".

    Args:
        root: the folder that holds (or holds the folder that holds) ``SPLIT_list.txt`` and the captions, as X-Pool's
            JSON or CLIP4Clip's pickle, of which only plain values are read.
        split: "test", "val", "train".
        media: what to do about videos that are not there.
        v2t: see `mmrank.evaluation.datasets.videos.V2T`.
        videos: their folder, where it is not below the root.
        subtitles: a folder of .srt files named by video id.

    Captions are in the order of the list, and of a video in that of the file: all of them, none cut off. Their ids are
    ``VIDEO#N``.

    Raises `DatasetError` that says what was looked for and where.
    """
    check_choice("split", split, SPLITS)
    places = Places(root)
    path = places.need(_CAPTIONS, f"The captions of {TITLE}")
    listed = places.need([f"{split}_list.txt"], f"The list of the {split} videos of {TITLE}")
    told = _texts(read_json(path) if path.suffix == ".json" else read_pickle(path), path)
    names = list(dict.fromkeys(read_lines(listed)))
    lacking = [name for name in names if not told.get(name)]
    if lacking:
        raise DatasetError(
            f"{len(lacking):,} of the {len(names):,} videos of {listed} have no caption in {path}, such as "
            f"{lacking[0]!r}; the files do not belong together."
        )
    return video_dataset(
        VideoSet(
            name="msvd",
            title=TITLE,
            split=split,
            captions=numbered({name: told[name] for name in names}),
            folders=_FOLDERS,
            usual=".avi",
        ),
        root,
        media,
        v2t=v2t,
        videos=videos,
        subtitles=subtitles,
    )


def _texts(read: Any, path: Path) -> dict[str, list[str]]:
    """Video to captions, from texts or lists of tokens."""
    if not isinstance(read, Mapping):
        raise DatasetError(f"{path} holds a {type(read).__name__}, not an object from video to captions.")
    texts: dict[str, list[str]] = {}
    for video, captions in read.items():
        if not isinstance(captions, list | tuple):
            raise DatasetError(f"In {path} the captions of {video!r} are {captions!r}, not a list.")
        texts[_word(video)] = [
            " ".join(map(_word, told)) if isinstance(told, list | tuple) else _word(told) for told in captions
        ]
    return texts


def _word(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
