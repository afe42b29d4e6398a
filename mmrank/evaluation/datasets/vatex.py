"""VATEX: ten captions a video, in English and in Chinese, in the retrieval split of HGR.

Source: the VATEX release (`vatex_training_v1.0.json`, `vatex_validation_v1.0.json`), github.com/cshizhe/hgr_v2t
(`ref_captions.json` and the halves of the validation videos), ViC's `descs_ret_test_vatex.csv`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from mmrank.evaluation.dataset import Dataset, DatasetError, Media
from mmrank.evaluation.datasets.by_id import without_suffix
from mmrank.evaluation.datasets.files import read_json, read_lines, rows_of
from mmrank.evaluation.datasets.paired import Caption, check_choice, numbered
from mmrank.evaluation.datasets.places import Places
from mmrank.evaluation.datasets.tables import caption_rows, read_table
from mmrank.evaluation.datasets.videos import V2T, VideoSet, video_dataset

TITLE = "VATEX"
Language: TypeAlias = Literal["en", "zh"]

_TRAINING = "vatex_training*.json"
_VALIDATION = "vatex_validation*.json"
_PUBLIC = "vatex_public_test*.json"
_FILES: Mapping[str, tuple[str, ...]] = {
    "test": (_VALIDATION, "ref_captions.json"),
    "val": (_VALIDATION, "ref_captions.json"),
    "train": (_TRAINING, "ref_captions.json"),
    "validation": (_VALIDATION,),
    "public_test": (_PUBLIC,),
}
_LISTS: Mapping[str, tuple[str, ...]] = {
    "test": ("test_list.txt", "tst_names.npy"),
    "val": ("val_list.txt", "val_names.npy"),
    "train": ("train_list.txt", "trn_names.npy"),
}
_HALVES = ("test", "val")
_VIC = "descs_ret_test_vatex.csv"
_FIELDS: Mapping[str, str] = {"en": "enCap", "zh": "chCap"}
_FOLDERS = ("VATEX_Videos", "vatex_videos", "videos", "val", "validation")


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    v2t: V2T = "grouped",
    language: Language = "en",
    videos: Path | None = None,
    subtitles: Path | None = None,
) -> Dataset:
    """Read VATEX: tasks "t2v" (every caption asks) and "v2t".

    Args:
        root: the folder that holds (or holds the folder that holds) the annotations: the release's JSON files or HGR's
            `ref_captions.json`, and the lists of the retrieval split (``test_list.txt`` or ``tst_names.npy``). Where
            there is neither for "test", ViC's ``descs_ret_test_vatex.csv`` of the videos it had.
        split: "test" and "val" (1,500 each: halves of the official validation videos), "train"; "validation" (all
            3,000) and "public_test" as released.
        media: what to do about videos that are not there.
        v2t: see `mmrank.evaluation.datasets.videos.V2T`.
        language: "en" or "zh" (the release's JSON files only).
        videos: their folder, where it is not below the root.
        subtitles: a folder of .srt files named by video id, or of ViC's `vatex_subtitles.json`.

    Captions have the ids ``VIDEO#N``.

    Raises `DatasetError` that says what was looked for and where.
    """
    check_choice("split", split, _FILES)
    check_choice("language", language, get_args(Language))
    captions, variant, notes = _captions(Places(root), split, language)
    return video_dataset(
        VideoSet(
            name="vatex",
            title=TITLE,
            split=split,
            captions=captions,
            notes=notes,
            variant=variant,
            folders=_FOLDERS,
        ),
        root,
        media,
        v2t=v2t,
        videos=videos,
        subtitles=subtitles,
    )


def _captions(places: Places, split: str, language: Language) -> tuple[list[Caption], str, list[str]]:
    """Captions, variant, notes."""
    files = [name for name in _FILES[split] if language == "en" or name.startswith("vatex_")]
    path, listed = places.find(files), places.find(_LISTS.get(split, ()))
    if split == "test" and language == "en" and (path is None or listed is None):
        table = places.find([_VIC])
        if table is not None:
            return caption_rows(read_table(table), table), "videos that ViC had", []
    told = _texts(path or places.need(files, f"The captions of {TITLE} {split}"), language)
    if listed is None and split in _HALVES:
        listed = places.need(_LISTS[split], f"The list of the {split} half of {TITLE}'s validation videos")
    names = list(told) if listed is None else list(dict.fromkeys(_names(listed)))
    bare = [name for name in names if not told.get(name)]
    if len(bare) == len(names):
        raise DatasetError(
            f"{path} has captions for none of the {len(names):,} videos of {split}; is it the right file?"
        )
    notes = [f"{len(bare):,} videos of {split} have no caption and are left out, such as {bare[0]}."] if bare else []
    variant = "" if language == "en" else "Chinese captions"
    return numbered({name: told[name] for name in names if told.get(name)}), variant, notes


def _texts(path: Path, language: Language) -> dict[str, list[str]]:
    read: Any = read_json(path)
    if isinstance(read, Mapping):
        pairs = list(read.items())
    else:
        # A row of the challenge's version of a test file has no captions.
        pairs = [(row["videoID"], row.get(_FIELDS[language]) or []) for row in rows_of(path, read, ("videoID",))]
    for video, texts in pairs:
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise DatasetError(f"In {path} the captions of {video!r} are {texts!r}, not a list of texts.")
    return dict(pairs)


def _names(path: Path) -> list[str]:
    if path.suffix == ".txt":
        return [without_suffix(name) for name in read_lines(path)]
    try:
        names = np.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise DatasetError(
            f"{path} is no array of names ({error}). Give the names as {_LISTS['test'][0]}, one a line."
        ) from None
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names.ravel().tolist()]
