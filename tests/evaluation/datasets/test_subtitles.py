"""Subtitles of a data set's videos, from .srt files and from ViC's JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.subtitles import with_subtitles
from mmrank.types import Item

VIDEOS = [Item(id=name, kind="video", uri=f"/nowhere/{name}.mp4") for name in ("video1", "video2", "film_0.05.1")]


def test_srt_files_by_id(tmp_path: Path) -> None:
    for name, said in (("video1", "hello"), ("film_0.05.1", "good evening"), ("video9", "of another video")):
        (tmp_path / f"{name}.srt").write_text(f"1\n00:00:01,000 --> 00:00:02,000\n{said}\n")
    items, notes = with_subtitles(VIDEOS, tmp_path, "msrvtt")
    assert [item.text for item in items] == ["hello", None, "good evening"]
    assert notes == ["2 of 3 videos have subtitles; a video that is a query shows only those beside its file."]
    assert [item.uri for item in items] == [item.uri for item in VIDEOS]


@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize("as_object", [True, False])
def test_the_json_of_vic(tmp_path: Path, as_file: bool, as_object: bool) -> None:
    path = tmp_path / "msrvtt_subtitles.json"
    rows = {"video1": " spoken ", "video2": ""}
    listed = [{"video_id": video, "desc": "a caption", "subtitle": said} for video, said in rows.items()]
    path.write_text(json.dumps(rows if as_object else listed))
    items, notes = with_subtitles(VIDEOS, path if as_file else tmp_path, "msrvtt")
    assert [item.text for item in items] == ["spoken", None, None]
    assert notes[0].startswith("1 of 3 videos")


def test_nothing_asked_for_nothing_changes() -> None:
    assert with_subtitles(VIDEOS, None, "msrvtt") == (VIDEOS, [])


def test_a_wrong_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is nothing at"):
        with_subtitles(VIDEOS, tmp_path / "gone", "msrvtt")
    with pytest.raises(
        DatasetError, match=r"subtitles of none of the 3 videos.*video1\.srt, or msrvtt_subtitles\.json"
    ):
        with_subtitles(VIDEOS, tmp_path, "msrvtt")
    (tmp_path / "a.json").write_text('[{"video": 1}]')
    with pytest.raises(DatasetError, match="no list of objects with video_id and subtitle"):
        with_subtitles(VIDEOS, tmp_path / "a.json", "msrvtt")
