"""LSMDC 2016: clips from films with one sentence each; the test set is paired like MSR-VTT 1k-A.

Source: github.com/ArrowLuo/CLIP4Clip (loader), github.com/layer6ai-labs/xpool (the clip it skips). The files are
tab-separated without header or quotes, whatever their suffix says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmrank.evaluation.dataset import Dataset, DatasetError, Media
from mmrank.evaluation.datasets.paired import check_choice, numbered
from mmrank.evaluation.datasets.places import Places
from mmrank.evaluation.datasets.tables import read_text
from mmrank.evaluation.datasets.videos import V2T, VideoSet, video_dataset

TITLE = "LSMDC"

_FILES: Mapping[str, str] = {
    "test": "LSMDC16_challenge_1000_publictect.csv",  # so spelled
    "val": "LSMDC16_annos_val.csv",
    "train": "LSMDC16_annos_training.csv",
}
_COLUMNS = ("clip", "start aligned", "end aligned", "start extracted", "end extracted", "sentence")
_BROKEN = "1012_Unbreakable_00.05.16.065-00.05.21.941"
"""X-Pool leaves this clip out, whose file cannot be read."""


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    v2t: V2T = "grouped",
    skip_broken: bool = False,
    videos: Path | None = None,
    subtitles: Path | None = None,
) -> Dataset:
    """Read LSMDC: tasks "t2v" and "v2t".

    Args:
        root: the folder that holds (or holds the folder that holds) the ``LSMDC16_*.csv`` files.
        split: "test" (1,000 clips), "val", "train"; in the latter two a clip may have several sentences.
        media: what to do about clips that are not there. They are found by id, in folders by film or not.
        v2t: see `mmrank.evaluation.datasets.videos.V2T`.
        skip_broken: leave out the clip that X-Pool leaves out.
        videos: their folder, where it is not below the root.
        subtitles: a folder of .srt files named by clip id.

    Captions have the ids ``CLIP#N``.

    Raises `DatasetError` that says what was looked for and where, or which line has not six fields.
    """
    check_choice("split", split, _FILES)
    path = Places(root).need([_FILES[split]], f"The annotation file of {TITLE} {split}")
    told = _sentences(path)
    notes = []
    if skip_broken and told.pop(_BROKEN, None) is not None:
        notes = [f"The clip {_BROKEN} is left out, as X-Pool does."]
    return video_dataset(
        VideoSet(
            name="lsmdc",
            title=TITLE,
            split=split,
            captions=numbered(told),
            notes=notes,
            folders=("LSMDC_videos", "videos", "avi"),
            usual=".avi",
        ),
        root,
        media,
        v2t=v2t,
        videos=videos,
        subtitles=subtitles,
    )


def _sentences(path: Path) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    # Lines end at line feeds only: a sentence may hold other separators.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        fields = line.rstrip("\r").split("\t")
        if fields == [""]:
            continue
        if len(fields) != len(_COLUMNS) or not fields[0].strip():
            raise DatasetError(
                f"Line {number} of {path} has {len(fields)} fields between tabs; it needs {len(_COLUMNS)}: "
                f"{', '.join(_COLUMNS)}."
            )
        told.setdefault(fields[0].strip(), []).append(fields[-1].strip())
    if not told:
        raise DatasetError(f"{path} is empty. Download it again.")
    return told
