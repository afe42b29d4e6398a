"""What the readers of videos share: protocols, media, subtitles."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.paired import numbered
from mmrank.evaluation.datasets.videos import VideoSet, video_dataset
from mmrank.evaluation.protocols import PAIRED, PARAGRAPH, V2T_BEST, V2T_GROUPED

ONE = numbered({"v1": ["a"], "v2": ["b"]})
SEVERAL = numbered({"v1": ["a", "c"], "v2": ["b"]})


def test_one_caption_each_is_paired_whatever_v2t_says(tmp_path: Path) -> None:
    for v2t in ("grouped", "best"):
        read = video_dataset(VideoSet(name="x", title="X", split="test", captions=ONE), tmp_path, "none", v2t=v2t)  # type: ignore[arg-type]
        assert [task.metrics for task in read.tasks] == [PAIRED, PAIRED]
        assert [task.groups for task in read.tasks] == [None, None]
        assert read.protocol == "X test, 1 caption a video, 2 gallery"


def test_several_captions_name_their_definition_in_the_protocol(tmp_path: Path) -> None:
    several = VideoSet(name="x", title="X", split="test", captions=SEVERAL)
    grouped = video_dataset(several, tmp_path, "none")
    best = video_dataset(several, tmp_path, "none", v2t="best")
    assert grouped.tasks[1].metrics == V2T_GROUPED
    assert best.tasks[1].metrics == V2T_BEST
    assert grouped.variant == "3 captions, v2t over groups of captions (CLIP4Clip)"
    assert best.variant == "3 captions, v2t by the best own caption among all (CE)"
    with pytest.raises(DatasetError, match="v2t is 'group'; it must be one of 'grouped', 'best'"):
        video_dataset(several, tmp_path, "none", v2t="group")  # type: ignore[arg-type]


def test_paragraphs_are_reported_with_r_at_50(tmp_path: Path) -> None:
    told = VideoSet(name="x", title="X", split="test", captions=ONE, paragraph=True, variant="paragraphs")
    read = video_dataset(told, tmp_path, "none")
    assert [task.metrics for task in read.tasks] == [PARAGRAPH, PARAGRAPH]
    assert read.variant == "paragraphs"


def test_videos_in_their_own_folder_with_a_span_and_subtitles(tmp_path: Path) -> None:
    films, root = tmp_path / "films", tmp_path / "root"
    for folder in (films, root):
        folder.mkdir()
    (films / "v1.mkv").touch()
    (root / "v2.mp4").touch()
    (films / "v1.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")
    told = VideoSet(name="x", title="X", split="test", captions=ONE, fragment="t=0,30")
    read = video_dataset(told, root, "allow_missing", videos=films, subtitles=films)
    assert [(i.id, i.uri, i.text) for i in read.tasks[0].gallery] == [("v1", f"{films}/v1.mkv#t=0,30", "hello")]
    assert read.tasks[1].queries[0].video == f"{films}/v1.mkv#t=0,30"
    assert read.missing == ("v2.mp4",)
    assert read.dropped == ("v2#0", "v2")
    assert any("1 of 1 videos have subtitles" in note for note in read.notes)
    with pytest.raises(DatasetError, match=r"1 media files of X are not there:\n  v2\.mp4"):
        video_dataset(told, root, "required", videos=films)
