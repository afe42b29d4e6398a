"""A toy collection in MSR-VTT's layout: the JSFUSION (1k-A) csv, MSRVTT_data.json and `videos/all/videoN.mp4`."""

import json
from pathlib import Path
from random import Random
from typing import Any

from mmrank.toybox.clips import Clip, clip_captions, sample_clip, write_clip
from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.media_layout import MAX_TRIES

FIRST_TEST_VIDEO = 7010
"""MSR-VTT's test videos begin with this number."""


def write_msrvtt(root: Path, videos: int, seed: int) -> Path:
    """Write `root/msrvtt/` with `videos` test clips from held-out combinations, no two of the same objects and ground.

    The csv holds one caption for each; `MSRVTT_data.json` holds them all, grouped by no order, as in the real file.

    Returns:
        `root/msrvtt`.
    """
    rng = Random(f"msrvtt/{seed}")
    base = root / "msrvtt"
    folder = base / "videos" / "all"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    records: list[dict[str, Any]] = []
    sentences: list[dict[str, Any]] = []
    for index, clip in enumerate(_distinct_clips(videos, rng)):
        number = FIRST_TEST_VIDEO + index
        write_clip(clip, folder / f"video{number}.mp4")
        told = [_bare(text) for text in clip_captions(clip)]
        rows.append(f"ret{index},msr{number},video{number},{rng.choice(told)}")
        records.append(_record(index, number, clip))
        sentences += [{"video_id": f"video{number}", "caption": text} for text in told]
    rng.shuffle(sentences)
    data = {
        "info": {"description": "mmrank toybox"},
        "videos": records,
        "sentences": [{"sen_id": number} | row for number, row in enumerate(sentences)],
    }
    (base / "MSRVTT_data.json").write_text(json.dumps(data), encoding="utf-8")
    lines = "\n".join(("key,vid_key,video_id,sentence", *rows)) + "\n"
    (base / "MSRVTT_JSFUSION_test.csv").write_text(lines, encoding="utf-8", newline="\n")
    return base


def _distinct_clips(count: int, rng: Random) -> list[Clip]:
    clips: dict[object, Clip] = {}
    misses = 0
    while len(clips) < count:
        clip = sample_clip(rng, "heldout")
        misses = misses + 1 if clip.contents in clips else 0
        if misses > MAX_TRIES:
            raise ToyboxError(f"the toybox has no {count} different clips; ask for fewer videos")
        clips.setdefault(clip.contents, clip)
    return list(clips.values())


def _bare(text: str) -> str:
    """A caption without commas: the csv of MSR-VTT is not quoted."""
    return text.replace(",", "")


def _record(index: int, number: int, clip: Clip) -> dict[str, Any]:
    return {
        "id": index,
        "video_id": f"video{number}",
        "category": 0,
        "url": "",
        "start time": 0.0,
        "end time": clip.frames / clip.rate,
        "split": "test",
    }
