"""Subtitles for the videos of a data set: .srt and .vtt files by id, or ViC's JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.by_id import without_suffix
from mmrank.evaluation.datasets.files import read_json
from mmrank.types import Item


def with_subtitles(items: Sequence[Item], source: Path | None, dataset: str) -> tuple[list[Item], list[str]]:
    """The videos with their subtitles as text, and a note that says how many have any.

    Args:
        items: videos.
        source: a folder of ``ID.srt`` or ``ID.vtt``, or one that holds ViC's ``DATASET_subtitles.json``, or that file:
            a list of objects with `video_id` and `subtitle`, or an object from id to text. None: nothing is done.
        dataset: the name in that file's name.

    Raises `DatasetError` when there is nothing at `source`, or none of it belongs to any video.
    """
    if source is None:
        return list(items), []
    file = source / f"{dataset}_subtitles.json" if source.is_dir() else source
    if file.is_file():
        said = _from_json(file)
        texts = {item.id: said.get(item.id, "") for item in items}
    elif source.is_dir():
        texts = {item.id: _beside(source, item) for item in items}
    else:
        raise DatasetError(f"There is nothing at subtitles={str(source)!r}; give a folder of .srt files or ViC's JSON.")
    found = sum(bool(text) for text in texts.values())
    if not found:
        raise DatasetError(
            f"{source} holds subtitles of none of the {len(items):,} videos. Expected there: files named by video id, "
            f"such as {items[0].id}.srt, or {dataset}_subtitles.json."
        )
    note = (
        f"{found:,} of {len(items):,} videos have subtitles; a video that is a query shows only those beside its file."
    )
    return [replace(item, text=texts[item.id] or None) for item in items], [note]


def _from_json(path: Path) -> dict[str, str]:
    read: Any = read_json(path)
    if isinstance(read, Mapping):
        pairs = list(read.items())
    else:
        try:
            pairs = [(row["video_id"], row["subtitle"]) for row in read]
        except (TypeError, KeyError):
            raise DatasetError(f"{path} is no list of objects with video_id and subtitle.") from None
    return {without_suffix(str(video)): str(text or "").strip() for video, text in pairs}


def _beside(folder: Path, item: Item) -> str:
    from mmrank.rerank.subtitles import subtitles_beside

    return (subtitles_beside(folder / f"{item.id}.mp4") or "").strip()
