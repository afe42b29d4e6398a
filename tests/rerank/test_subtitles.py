"""Subtitles beside a video."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.errors import MediaError
from mmrank.rerank import subtitles
from mmrank.rerank.subtitles import subtitles_beside

SRT = """\ufeff1
00:00:01,000 --> 00:00:02,500
Hello <i>there</i>,

2
00:00:02,500 --> 00:00:04,000
how are you?
how are you?

3
00:01:00,000 --> 00:01:02,000
7
"""
VTT = """WEBVTT

NOTE nothing of this is said

intro
00:01.000 --> 00:02.500 align:start
Hello <c.red>there</c>,

00:02.500 --> 00:04.000
how are you?
"""


def test_srt_is_read_as_running_text(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(SRT, encoding="utf-8")
    assert subtitles_beside(tmp_path / "a.mp4") == "Hello there, how are you? 7"


def test_vtt_with_windows_lines(tmp_path: Path) -> None:
    (tmp_path / "a.vtt").write_bytes(VTT.replace("\n", "\r\n").encode())
    assert subtitles_beside(tmp_path / "a.mp4") == "Hello there, how are you?"


def test_a_span_has_only_what_is_said_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(SRT, encoding="utf-8")
    assert subtitles_beside(f"{tmp_path / 'a.mp4'}#t=2.5,10") == "how are you?"
    assert subtitles_beside(f"{tmp_path / 'a.mp4'}#t=10,20") == ""


def test_none_where_there_is_no_file(tmp_path: Path) -> None:
    assert subtitles_beside(tmp_path / "a.mp4") is None


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subtitles, "MAX_BYTES", 10)
    (tmp_path / "a.srt").write_text(SRT, encoding="utf-8")
    with pytest.raises(MediaError, match="more than 10 bytes"):
        subtitles_beside(tmp_path / "a.mp4")
