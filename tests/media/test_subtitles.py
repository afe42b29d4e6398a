from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.errors import MediaError
from mmrank.media.subtitles import MAX_SUBTITLE_BYTES, Cue, Subtitles, parse_subtitles, read_subtitles

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i> there,

2
00:00:02,000 --> 00:01:00,000
{\\an8}how are <font color="red">you</font>?
I &amp; you: 3 < 4
"""

VTT = """WEBVTT - a title

STYLE
::cue { color: red }

NOTE 00:01.000 --> 00:02.000
not said

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Ann>Hello <00:01.500><c.yellow>there</c>,

01:00:02.000 --> 01:00:03.000
later
"""


def test_subrip() -> None:
    found = parse_subtitles(SRT)
    assert found.cues == (
        Cue(1.0, 2.5, ("Hello there,",)),
        Cue(2.0, 60.0, ("how are you?", "I & you: 3 < 4")),
    )
    assert found.warnings == ()
    assert found.said(0, 2.0) == "Hello there,"
    assert found.said(2.25, 3.0) == "Hello there, how are you? I & you: 3 < 4"
    assert found.said(60.0, 90.0) == ""


def test_webvtt() -> None:
    assert parse_subtitles(VTT).cues == (Cue(1.0, 2.5, ("Hello there,",)), Cue(3602.0, 3603.0, ("later",)))


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
def test_line_ends(line_end: str) -> None:
    assert parse_subtitles(SRT.replace("\n", line_end)) == parse_subtitles(SRT)


def test_cues_without_an_empty_line_between_them() -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\none --> two\n2\n00:00:02,000 --> 00:00:03,000\nthree\n"
    assert [cue.lines for cue in parse_subtitles(text).cues] == [("one --> two",), ("three",)]


def test_broken_cues_are_named_and_the_rest_is_kept() -> None:
    bad = ["00:00:61,000 --> 00:02:00,000", "00:00:05,000 --> 00:00:04,000", "soon --> later", "--> 00:00:01,000"]
    text = "\n\n".join([*(f"{times}\nlost" for times in bad), "00:00:01,000 --> 00:00:02,000\nkept"])
    found = parse_subtitles(text)
    assert [cue.lines for cue in found.cues] == [("kept",)]
    (warning,) = found.warnings
    assert warning.startswith("left out 4 cues without a time that can be read: '00:00:61,000 --> 00:02:00,000', ")
    assert warning.endswith("and 1 more")


def test_roll_up_captions_are_said_once() -> None:
    text = "\n\n".join(f"00:0{i}.000 --> 00:0{i + 1}.000\nline {i}\nline {i + 1}" for i in range(4))
    assert parse_subtitles(text).said() == "line 0 line 1 line 2 line 3 line 4"


@pytest.mark.parametrize(
    ("encoding", "warned"), [("utf-8", False), ("utf-8-sig", False), ("utf-16", False), ("cp1252", True)]
)
def test_encodings(tmp_path: Path, encoding: str, warned: bool) -> None:
    path = tmp_path / "a.srt"
    path.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nÜber “alles” für 5 €\n".encode(encoding))
    found = read_subtitles(path)
    assert found.said() == "Über “alles” für 5 €"
    assert found.warnings == (("it is not UTF-8 and was read as Windows-1252",) if warned else ())


def test_files_that_are_no_subtitles(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    for data, why in ((b"", "empty"), (b"words", "no cue"), (b"x" * (MAX_SUBTITLE_BYTES + 1), "at most")):
        path.write_bytes(data)
        with pytest.raises(MediaError, match=why):
            read_subtitles(path)
    with pytest.raises(MediaError, match="cannot be opened"):
        read_subtitles(tmp_path / "gone.srt")


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("0123456789:,.-> \n\r<>{}\\ab&;\x00")) | st.text())
def test_any_text_is_read_to_its_end(text: str) -> None:
    for cue in parse_subtitles(text).cues:
        assert cue.lines
        assert 0 <= cue.start <= cue.end


def _stamp(milliseconds: int, mark: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{rest:03}"


times = st.integers(0, 4_000_000)


@settings(deadline=None)
@given(
    cues=st.lists(st.tuples(times, st.integers(1, 60_000)), max_size=20),
    cuts=st.lists(times, min_size=1, max_size=8, unique=True),
    mark=st.sampled_from(",."),
)
def test_the_words_of_a_cue_are_in_exactly_the_spans_it_overlaps(
    cues: list[tuple[int, int]], cuts: list[int], mark: str
) -> None:
    blocks = [
        f"{i}\n{_stamp(start, mark)} --> {_stamp(start + length, mark)}\n<b>word{i}x</b> and\nmore{i}x"
        for i, (start, length) in enumerate(cues)
    ]
    found: Subtitles = parse_subtitles("\n\n".join(blocks))
    edges = sorted({0, *cuts, 5_000_000})
    for begin, end in pairwise(edges):
        said = found.said(begin / 1000, end / 1000).split()
        for i, (start, length) in enumerate(cues):
            overlaps = start < end and start + length > begin
            assert (f"word{i}x" in said) == (f"more{i}x" in said) == overlaps
