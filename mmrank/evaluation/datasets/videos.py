"""Data sets of captioned videos: from captions and a root to the tasks "t2v" and "v2t"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from mmrank.evaluation.dataset import Dataset, Media
from mmrank.evaluation.datasets.by_id import MediaById
from mmrank.evaluation.datasets.paired import Caption, Pairing, check_choice, has_several, paired_dataset, safe_id
from mmrank.evaluation.datasets.subtitles import with_subtitles
from mmrank.evaluation.protocols import PAIRED, PARAGRAPH, V2T_BEST, V2T_GROUPED
from mmrank.media.uri import path_uri
from mmrank.types import Item

V2T: TypeAlias = Literal["grouped", "best"]
"""How a video with several captions is scored as a query. "grouped": the captions of one video count as one item, by
the best of them, and the gallery is as long as there are videos (CLIP4Clip, X-Pool). "best": the rank of the best own
caption among all captions (CE, BLIP). R@1 is the same, the rest is not."""

_V2T_NAMES: dict[str, str] = {
    "grouped": "v2t over groups of captions (CLIP4Clip)",
    "best": "v2t by the best own caption among all (CE)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSet:
    """What the readers of videos tell about a split.

    Attributes:
        name: as in `mmrank datasets`; also that of ViC's file of subtitles.
        title: as papers write it.
        split: such as "test".
        captions: of all its videos, in order.
        notes: oddities of the annotation files.
        variant: what tells the protocol from its look-alikes, besides the number of captions and how v2t is scored.
        paragraph: reported with R@50, as ActivityNet is.
        folders: below the root, where releases keep the videos; what lies there wins over other places below it.
        usual: the suffix that the videos mostly have.
        names: the names under which the file of a video may lie besides its id.
        fragment: the span of each video that counts, such as "t=0,30"; empty: all of it.
    """

    name: str
    title: str
    split: str
    captions: Sequence[Caption]
    notes: Sequence[str] = ()
    variant: str = ""
    paragraph: bool = False
    folders: Sequence[str] = ()
    usual: str = ".mp4"
    names: Callable[[str], Sequence[str]] = lambda video: ()
    fragment: str = ""


def video_dataset(
    read: VideoSet,
    root: Path,
    media: Media,
    *,
    v2t: V2T = "grouped",
    videos: Path | None = None,
    subtitles: Path | None = None,
) -> Dataset:
    """The Dataset of what was read, with the videos that are there.

    `v2t`: see there. `videos`: their folder, where it is not below the root. `subtitles`: see `with_subtitles`.
    Raises `DatasetError` when videos are missing and all are required, or none is there.
    """
    check_choice("v2t", v2t, get_args(V2T))
    roots = [videos] if videos else [*(root / folder for folder in read.folders), root]
    files = MediaById(roots, media, usual=read.usual)
    paths = {video: files.find(video, *read.names(video)) for video in dict.fromkeys(c.owner for c in read.captions)}
    missing = files.check(read.title)
    items = [
        Item(id=safe_id(video), kind="video", uri=path_uri(path, read.fragment))
        for video, path in paths.items()
        if path is not None
    ]
    items, said = with_subtitles(items, subtitles, read.name)
    return paired_dataset(
        items,
        read.captions,
        _pairing(read, v2t),
        name=read.name,
        title=read.title,
        split=read.split,
        variant=_variant(read, v2t),
        missing=missing,
        notes=[*read.notes, *said],
    )


def _pairing(read: VideoSet, v2t: V2T) -> Pairing:
    several = has_several(read.captions)
    plain = PARAGRAPH if read.paragraph else PAIRED
    back = plain if not several else V2T_GROUPED if v2t == "grouped" else V2T_BEST
    return Pairing(names=("t2v", "v2t"), metrics=(plain, back), grouped=several and v2t == "grouped")


def _variant(read: VideoSet, v2t: V2T) -> str:
    if has_several(read.captions):
        counted = f"{len(read.captions):,} captions, {_V2T_NAMES[v2t]}"
        return f"{read.variant}, {counted}" if read.variant else counted
    return read.variant or "1 caption a video"
