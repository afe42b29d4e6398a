"""Which clips each query of EgoCVR ranks: the lists of the gallery file, or derived ones where it is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmrank.evaluation.dataset import DatasetError

Setting = Literal["global", "local"]
SETTINGS: tuple[Setting, ...] = ("global", "local")

Mask = npt.NDArray[np.bool_]
"""bool (clips,): the clips that one query ranks. Ten thousand clips for each of two thousand queries are made one
query at a time."""

_Ints = npt.NDArray[np.int64]


def official(path: Path, rows: Sequence[Mapping[str, Any]], listed: Sequence[str]) -> dict[Setting, Iterator[Mask]]:
    """The galleries that `path` lists as numbers of rows of the authors' embedding files.

    Args:
        path: the gallery file, for messages.
        rows: its rows.
        listed: clips as `egocvr_data.csv` has them, with repeats; masks are over its distinct clips, in order.

    The embedding files follow `egocvr_data.csv`, either row by row or each clip once: the order is taken under which
    every local gallery lies within its query's own video.

    Raises `DatasetError` when there is none, or a column is missing.
    """
    for setting in SETTINGS:
        if any(row.get(f"{setting}_idx") is None for row in rows):
            raise DatasetError(f"{path} has no column '{setting}_idx'; give the gallery file, not the annotations.")
    clips = list(dict.fromkeys(listed))
    place = {clip: number for number, clip in enumerate(clips)}
    local = [_numbers(row["local_idx"], path) for row in rows]
    for order in (clips, listed):
        codes = np.array([place[clip] for clip in order], dtype=np.int64)
        if _fits(order, local, rows):
            wide = (_numbers(row["global_idx"], path) for row in rows)
            return {
                "global": _masks(wide, codes, len(clips), path),
                "local": _masks(iter(local), codes, len(clips), path),
            }
    raise DatasetError(
        f"The local galleries of {path} do not lie within their queries' videos under any order of egocvr_data.csv; "
        "the two files do not belong together."
    )


def derived(own: Sequence[str], clips: Sequence[str]) -> dict[Setting, Iterator[Mask]]:
    """All clips, and all clips of the same video, without the query's own clip. `own`: that of each query."""
    videos = np.array([video_of(clip) for clip in clips])
    place = {clip: number for number, clip in enumerate(clips)}

    def without_own(clip: str, mask: Mask) -> Mask:
        if clip in place:
            mask[place[clip]] = False
        return mask

    return {
        "global": (without_own(clip, np.ones(len(clips), dtype=np.bool_)) for clip in own),
        "local": (without_own(clip, videos == video_of(clip)) for clip in own),
    }


def video_of(clip: str) -> str:
    """The video that a clip (``VIDEO_START_END``) was cut from.

    >>> video_of("33052ab8-d0af_298_307")
    '33052ab8-d0af'
    """
    return clip.rsplit("_", 2)[0]


def _numbers(text: str, path: Path) -> _Ints:
    """A list of numbers as Python writes it, which is JSON too."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, list) or not all(isinstance(each, int) for each in value):
        raise DatasetError(f"{path}: {text[:60]!r} is no list of row numbers; download the file again.")
    return np.array(value, dtype=np.int64)


def _fits(order: Sequence[str], local: Sequence[_Ints], rows: Sequence[Mapping[str, Any]]) -> bool:
    return all(
        0 <= number < len(order) and video_of(order[number]) == video_of(row["video_clip_id"])
        for row, numbers in zip(rows, local, strict=True)
        for number in numbers.tolist()
    )


def _masks(lists: Iterator[_Ints], codes: _Ints, clips: int, path: Path) -> Iterator[Mask]:
    for numbers in lists:
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(codes):
            raise DatasetError(
                f"{path} names row {numbers.max()} of {len(codes):,} clips; it and egocvr_data.csv do not belong "
                "together."
            )
        mask = np.zeros(clips, dtype=np.bool_)
        mask[codes[numbers]] = True
        yield mask
