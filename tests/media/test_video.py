from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrank.errors import MediaError, UsageError
from mmrank.media import frames_pyav, video
from mmrank.media.frame_index import frame_index, video_info
from mmrank.media.frames_decord import DecordError, DecordReader, decord_installed
from mmrank.media.frames_pyav import PyAVReader
from mmrank.media.video import fps_positions, sample_frames, span_positions, uniform_positions

Clip = Callable[..., Path]
Read = Callable[[Image.Image], int]

needs_decord = pytest.mark.skipif(not decord_installed(), reason="decord2 is an optional extra")
BACKENDS = [pytest.param("decord", marks=needs_decord), "pyav"]

FORMS: dict[str, dict[str, object]] = {
    "gop12.mp4": {},
    "gop250.mp4": {"gop": 250},
    "open_gop.mp4": {"encoder": {"x264-params": "open-gop=1:bframes=3"}},
    "intra.mp4": {"gop": 1},
    "faststart.mp4": {"muxer": {"movflags": "faststart"}},
    "fragmented.mp4": {"muxer": {"movflags": "frag_keyframe+empty_moov"}},
    "sound.mp4": {"sound": 3.0},
    "hevc.mp4": {"codec": "libx265", "encoder": {"x265-params": "log-level=none"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "h264.avi": {},
    "h264.mkv": {},
    "vp9.webm": {"codec": "libvpx-vp9", "encoder": {"deadline": "realtime", "cpu-used": "8"}},
    "broadcast.ts": {},
    "mpeg2.mpg": {"codec": "mpeg2video", "encoder": {"bf": "2"}},
    "h264.mov": {},
    "h264.flv": {},
    "wmv2.wmv": {"codec": "wmv2"},
    "h263.3gp": {"codec": "mpeg4"},
    "mpeg2.mxf": {"codec": "mpeg2video"},
}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, clip: Clip) -> dict[str, Path]:
    """A clip of 60 frames in every container and coding."""
    folder = tmp_path_factory.mktemp("clips")
    return {name: clip(folder / name, **options) for name, options in FORMS.items()}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("wanted", [1, 3, 12, 60])
def test_every_container_gives_exactly_the_frames_asked_for(
    name: str, wanted: int, clips: dict[str, Path], read_barcode: Read
) -> None:
    out = sample_frames(clips[name], frames=wanted)
    assert [read_barcode(image) for image in out.images] == uniform_positions(0, 59, wanted)
    assert out.times == pytest.approx([p / 25 for p in uniform_positions(0, 59, wanted)], abs=2e-3)
    assert (out.duration, out.fps) == (pytest.approx(2.4, abs=0.01), pytest.approx(25, abs=0.1))
    assert out.warnings == ()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gop12.mp4", "gop250.mp4", "faststart.mp4", "sound.mp4", "h264.mkv", "vp9.webm"])
def test_both_backends_are_frame_exact(backend: str, name: str, clips: dict[str, Path], read_barcode: Read) -> None:
    out = sample_frames(clips[name], frames=17, backend=backend)
    assert [read_barcode(image) for image in out.images] == uniform_positions(0, 59, 17)


@needs_decord
@pytest.mark.parametrize("name", ["gop12.mp4", "vp9.webm", "h264.mov"])
def test_the_backends_give_the_same_pixels(name: str, clips: dict[str, Path]) -> None:
    one, other = (sample_frames(clips[name], frames=7, backend=b) for b in ("decord", "pyav"))
    assert one.times == other.times
    for a, b in zip(one.images, other.images, strict=True):
        assert np.abs(np.asarray(a, int) - np.asarray(b, int)).mean() < 1.0


@needs_decord
@pytest.mark.parametrize("name", FORMS)
def test_what_decord_does_not_refuse_is_exact(name: str, clips: dict[str, Path], read_barcode: Read) -> None:
    """Where it was found wrong (MPEG-TS, open GOPs, AVI) it must refuse."""
    try:
        reader = DecordReader(str(clips[name]), frame_index(clips[name]))
    except DecordError:
        assert name not in ("gop12.mp4", "gop250.mp4", "h264.mkv", "vp9.webm")
        return
    wanted = [0, 3, 11, 13, 23, 24, 25, 40, 59]
    with reader:
        assert [(p, read_barcode(image)) for p, image in reader.read(wanted)] == [(p, p) for p in wanted]


@needs_decord
def test_decord_is_not_asked_where_it_was_found_wrong(clips: dict[str, Path]) -> None:
    for name, why in (("broadcast.ts", "mpegts"), ("open_gop.mp4", "open GOPs"), ("hevc.mp4", "open GOPs")):
        with pytest.raises(DecordError, match=why):
            DecordReader(str(clips[name]), frame_index(clips[name]))
    with pytest.raises(MediaError, match="cannot be read with decord"):
        sample_frames(clips["broadcast.ts"], frames=2, backend="decord")


@needs_decord
def test_torch_can_still_reckon_after_decord(clips: dict[str, Path]) -> None:
    """In a process of its own, with decord first: that is the order in which decord2 took torch's BLAS away."""
    pytest.importorskip("torch")
    program = f"""
from mmrank.media.video import sample_frames
assert len(sample_frames({str(clips["gop12.mp4"])!r}, frames=2, backend="decord").images) == 2
import sys
assert "torch" not in sys.modules and "nvidia" not in sys.modules
import torch
q = torch.ones(1, 2, 50, 32)
assert torch.nn.functional.scaled_dot_product_attention(q, q, q).eq(1).all()
print("reckoned")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "reckoned\n", done.stderr


def test_it_works_without_decord(clips: dict[str, Path], read_barcode: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "decord_installed", lambda: False)
    assert read_barcode(sample_frames(clips["gop12.mp4"], frames=1).images[0]) == 29
    with pytest.raises(ImportError, match=r"pip install 'mmrank\[decord\]'"):
        sample_frames(clips["gop12.mp4"], frames=1, backend="decord")


@pytest.mark.parametrize(("name", "seeks"), [("gop12.mp4", 2), ("gop250.mp4", 0)])
def test_pyav_seeks_only_past_the_next_keyframe(
    name: str, seeks: int, clips: dict[str, Path], read_barcode: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    seek = PyAVReader._seek
    monkeypatch.setattr(PyAVReader, "_seek", lambda self, pts, wanted: done.append(pts) or seek(self, pts, wanted))
    with PyAVReader(clips[name], frame_index(clips[name])) as reader:
        numbers = [read_barcode(image) for _, image in reader.read([0, 3, 11, 30, 31, 59])]
    assert numbers == [0, 3, 11, 30, 31, 59]
    assert len(done) == seeks


def test_a_seek_that_lands_behind_its_target_goes_back(
    clips: dict[str, Path], read_barcode: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    seek = PyAVReader._seek
    late = [0]

    def bad_seek(self: PyAVReader, pts: int, wanted: int) -> bool:
        late[0] += 1
        return seek(self, int(self._index.keyframes[-1]), wanted)

    monkeypatch.setattr(PyAVReader, "_seek", bad_seek)
    with PyAVReader(clips["gop12.mp4"], frame_index(clips["gop12.mp4"])) as reader:
        assert [read_barcode(image) for _, image in reader.read([0, 40, 41])] == [0, 40, 41]
    assert late[0] == frames_pyav._SEEK_TRIES


@pytest.mark.parametrize("name", FORMS)
def test_random_frames_are_exact(name: str, clips: dict[str, Path], read_barcode: Read) -> None:
    index = frame_index(clips[name])
    rng = np.random.default_rng(5)
    for _ in range(12):
        wanted = sorted(rng.choice(60, size=rng.integers(1, 9), replace=False).tolist())
        with PyAVReader(clips[name], index) as reader:
            assert [(p, read_barcode(image)) for p, image in reader.read(wanted)] == [(p, p) for p in wanted]


def test_a_short_clip_gives_what_it_has_unless_padded(tmp_path: Path, clip: Clip, read_barcode: Read) -> None:
    short = clip(tmp_path / "short.mp4", 3)
    out = sample_frames(short, frames=12)
    assert [read_barcode(image) for image in out.images] == [0, 1, 2]
    padded = sample_frames(short, frames=6, pad=True)
    assert [read_barcode(image) for image in padded.images] == [0, 0, 1, 1, 2, 2]
    assert len(padded.times) == 6


def test_one_frame_clips_work(tmp_path: Path, clip: Clip) -> None:
    out = sample_frames(clip(tmp_path / "one.mp4", 1), frames=8)
    assert out.times == (0.0,)
    assert out.duration == pytest.approx(0.04)


def test_fps_sampling_takes_the_frame_on_show(clips: dict[str, Path], read_barcode: Read) -> None:
    out = sample_frames(clips["gop12.mp4"], fps=5)
    assert [read_barcode(image) for image in out.images] == list(range(0, 60, 5))
    few = sample_frames(clips["gop12.mp4"], fps=5, frames=4)
    assert [read_barcode(image) for image in few.images] == [0, 20, 35, 55]
    assert len(sample_frames(clips["gop12.mp4"], fps=1e9).images) == 60


def test_times_are_true_where_the_rate_varies(tmp_path: Path, clip: Clip, read_barcode: Read) -> None:
    times = [0.0, 0.04, 0.5, 1.0, 3.0, 3.1]
    slow = clip(tmp_path / "slow.mkv", 6, times=times, encoder={"bf": "0"})
    out = sample_frames(slow, frames=6)
    assert out.times == pytest.approx(times, abs=2e-3)
    sampled = sample_frames(slow, fps=1)
    assert [read_barcode(image) for image in sampled.images] == [0, 3, 4]  # frame 3 is on show at 1 s and at 2 s
    on_show = sample_frames(slow, frames=4, span=(1.5, 2.5))  # no frame begins in it
    assert [read_barcode(image) for image in on_show.images] == [3]


@pytest.mark.parametrize(
    ("span", "first", "last"), [((0.4, 0.8), 10, 19), ((0, 0.04), 0, 0), ((2.0, math.inf), 50, 59), ((1.0, 99), 25, 59)]
)
def test_spans_are_in_seconds_with_the_end_left_out(
    span: tuple[float, float], first: int, last: int, clips: dict[str, Path], read_barcode: Read
) -> None:
    for name in ("gop12.mp4", "gop250.mp4", "vp9.webm", "broadcast.ts"):
        out = sample_frames(clips[name], frames=5, span=span)
        assert [read_barcode(image) for image in out.images] == uniform_positions(first, last, 5)
        assert all(span[0] - 1e-6 <= t < span[1] for t in out.times)


def test_a_span_behind_the_end_is_named(clips: dict[str, Path]) -> None:
    with pytest.raises(MediaError, match=r"span 40-50 s lies behind the last frame .*2\.36 s"):
        sample_frames(clips["gop12.mp4"], frames=5, span=(40, 50))


def test_a_truncated_file_yields_what_is_there_and_says_so(
    clips: dict[str, Path], tmp_path: Path, read_barcode: Read
) -> None:
    data = clips["faststart.mp4"].read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(len(data) * 0.6)])
    out = sample_frames(cut, frames=6)
    numbers = [read_barcode(image) for image in out.images]
    assert len(numbers) == 6
    assert numbers == sorted(set(numbers))
    assert 5 < numbers[-1] < 59
    assert out.times == pytest.approx([n / 25 for n in numbers])
    assert "truncated" in out.warnings[0]
    assert "of 60 frames" in out.warnings[0]
    assert video_info(cut).frame_count == 60  # what the header says


def test_a_truncated_webm_is_noticed_without_a_frame_count(clip: Clip, tmp_path: Path) -> None:
    whole = clip(tmp_path / "a.webm", 100, codec="libvpx-vp9", encoder={"deadline": "realtime", "cpu-used": "8"})
    assert sample_frames(whole, frames=2).warnings == ()
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    out = sample_frames(whole, frames=4)
    assert len(out.images) == 4
    assert "truncated" in out.warnings[0]


def test_damage_in_the_middle_loses_frames_not_the_video(
    clips: dict[str, Path], tmp_path: Path, read_barcode: Read
) -> None:
    data = bytearray(clips["gop12.mp4"].read_bytes())
    begin = data.index(b"mdat") + 8
    data[begin + 2000 : begin + 3000] = os.urandom(1000)
    file = tmp_path / "damaged.mp4"
    file.write_bytes(data)
    out = sample_frames(file, frames=60, backend="pyav")
    assert len(out.images) == len(out.times)
    assert 1 <= len(out.images) <= 60
    assert (len(out.images) == 60) == (out.warnings == ())
    assert read_barcode(out.images[0]) == 0


def test_frames_an_edit_list_cuts_away_are_not_shown(
    clips: dict[str, Path], tmp_path: Path, read_barcode: Read
) -> None:
    cut = tmp_path / "cut.mp4"
    with av.open(str(clips["gop12.mp4"])) as source, av.open(str(cut), "w") as out:
        old = source.streams.video[0]
        new = out.add_stream_from_template(old)
        start = round(10 / 25 / old.time_base)
        for packet in source.demux(old):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, new
                out.mux(packet)
    sampled = sample_frames(cut, frames=5)
    assert [read_barcode(image) for image in sampled.images] == [10, 22, 34, 47, 59]
    assert sampled.times[0] == 0.0
    assert sampled.warnings == ()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_rotation_is_honoured(turn: int, backend: str, tmp_path: Path, clip: Clip) -> None:
    turned = clip(tmp_path / "turned.mp4", 4, rotation=turn)
    plain = sample_frames(clip(tmp_path / "plain.mp4", 4), frames=1, backend="pyav").images[0]
    out = sample_frames(turned, frames=1, backend=backend).images[0]
    assert np.abs(np.asarray(out, int) - np.asarray(plain.rotate(turn, expand=True), int)).mean() < 2
    info = video_info(turned)
    assert (info.width, info.height) == out.size == ((120, 160) if turn % 180 else (160, 120))


def test_frames_come_no_larger_than_needed(tmp_path: Path, clip: Clip, read_barcode: Read) -> None:
    large = clip(tmp_path / "large.mp4", 5, size=(640, 480))
    assert sample_frames(large, frames=2).images[0].size == (640, 480)
    out = sample_frames(large, frames=2, size=100)
    assert out.images[0].size == (267, 200)
    assert [read_barcode(image) for image in out.images] == [0, 4]
    assert sample_frames(large, frames=2, size=448).images[0].size == (640, 480)


def test_video_info_reads_the_header(clips: dict[str, Path]) -> None:
    for name in ("gop12.mp4", "mpeg4.avi", "vp9.webm", "broadcast.ts", "sound.mp4"):
        info = video_info(clips[name])
        assert (info.frame_count, info.width, info.height) == (60, 160, 120)
        assert info.duration == pytest.approx(2.4, abs=0.02)
        assert info.fps == pytest.approx(25, abs=0.2)


def test_bytes_and_odd_names_open_like_paths(clips: dict[str, Path], tmp_path: Path, read_barcode: Read) -> None:
    odd = os.path.join(str(tmp_path), os.fsdecode(b"caf\xe9 #1.mp4"))
    shutil.copy(clips["gop12.mp4"], odd)
    for source in (clips["gop12.mp4"].read_bytes(), odd, f"file://{tmp_path}/caf%E9%20%231.mp4"):
        assert [read_barcode(i) for i in sample_frames(source, frames=2).images] == [0, 59]
        assert video_info(source).frame_count == 60


def test_audio_only_is_called_that(tmp_path: Path, audio: Callable[[Path], Path]) -> None:
    with pytest.raises(MediaError, match=r"no video stream \(audio only\)"):
        sample_frames(audio(tmp_path / "song.mp4"), frames=2)


def test_a_cover_picture_is_not_a_video(tmp_path: Path, audio: Callable[[Path], Path]) -> None:
    song, cover = audio(tmp_path / "song.m4a"), tmp_path / "cover.mp4"
    with av.open(str(song)) as source, av.open(str(cover), "w") as out:
        picture = out.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        track = out.add_stream_from_template(source.streams.audio[0])
        frame = av.VideoFrame.from_image(Image.new("RGB", (64, 64), (200, 0, 0)))
        out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                out.mux(packet)
    with pytest.raises(MediaError, match="no video stream"):
        video_info(cover)


@pytest.mark.parametrize("backend", ["pyav"])
def test_what_is_no_video_is_named(backend: str, clips: dict[str, Path], tmp_path: Path) -> None:
    whole = clips["gop12.mp4"].read_bytes()  # its moov atom lies at the end
    cases = {
        "empty.mp4": (b"", "is empty"),
        "junk.mp4": (os.urandom(5000), "not a video"),
        "text.mp4": (b"some notes " * 100, "not a video"),
        "cut.mp4": (whole[: len(whole) // 2], "truncated before its index"),
    }
    for name, (data, why) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MediaError, match=why):
            sample_frames(tmp_path / name, frames=2, backend=backend)
    with pytest.raises(MediaError, match="No such file"):
        sample_frames(tmp_path / "missing.mp4", frames=2, backend=backend)
    with pytest.raises(MediaError, match="folder"):
        sample_frames(tmp_path, frames=2, backend=backend)


def test_tags_in_another_encoding_do_not_matter(tmp_path: Path, clip: Clip) -> None:
    file = clip(tmp_path / "a.mp4", 5)
    data = file.read_bytes()
    assert b"Lavf" in data  # the encoder's tag
    file.write_bytes(data.replace(b"Lavf", b"\xe9\xff\xe8f"))
    assert len(sample_frames(file, frames=5).images) == 5
    assert video_info(file).frame_count == 5


def test_playlists_are_not_followed(clips: dict[str, Path], tmp_path: Path) -> None:
    secret = clips["gop12.mp4"]
    playlists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\n{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{secret}'\n",
        "\n<?xml version='1.0'?><MPD></MPD>",
    ]
    for text in playlists:
        (tmp_path / "list.mp4").write_text(text)
        with pytest.raises(MediaError, match="playlist"):
            sample_frames(tmp_path / "list.mp4", frames=1)
        with pytest.raises(MediaError, match="playlist"):
            video_info(text.encode())


@pytest.mark.parametrize(
    "options",
    [{}, {"frames": 0}, {"fps": 0}, {"fps": math.nan}, {"frames": 2, "span": (3, 3)}, {"frames": 2, "span": (-1, 3)}],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], clips: dict[str, Path]) -> None:
    with pytest.raises(UsageError):
        sample_frames(clips["gop12.mp4"], **options)


def test_threads_read_one_file_at_once(clips: dict[str, Path], read_barcode: Read) -> None:
    results: list[list[int]] = []

    def work() -> None:
        out = sample_frames(clips["gop250.mp4"], frames=5)
        results.append([read_barcode(image) for image in out.images])

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [uniform_positions(0, 59, 5)] * 6


def test_the_index_of_a_file_is_read_once_until_it_changes(clips: dict[str, Path], tmp_path: Path, clip: Clip) -> None:
    file = tmp_path / "a.mp4"
    shutil.copy(clips["gop12.mp4"], file)
    assert frame_index(file) is frame_index(file)
    clip(file, 7)
    assert len(frame_index(file).pts) == 7


@given(first=st.integers(0, 50), count=st.integers(1, 200), frames=st.integers(1, 64), pad=st.booleans())
def test_uniform_positions_are_even_and_inside(first: int, count: int, frames: int, pad: bool) -> None:
    last = first + count - 1
    out = uniform_positions(first, last, frames, pad=pad)
    assert out == sorted(out)
    assert len(out) == (frames if pad else min(frames, count))
    if not pad:
        assert len(set(out)) == len(out)
    if len(out) > 1:
        assert (out[0], out[-1]) == (first, last)
        assert out == np.linspace(first, last, len(out)).round().astype(int).tolist()  # qwen_vl_utils


@given(
    gaps=st.lists(st.floats(0.01, 2), min_size=1, max_size=40),
    fps=st.floats(0.1, 60),
    most=st.one_of(st.none(), st.integers(1, 10)),
)
def test_fps_positions_are_the_frames_on_show_at_every_step(gaps: list[float], fps: float, most: int | None) -> None:
    times = np.cumsum([0.0, *gaps])
    out = fps_positions(times, fps, 0, len(times) - 1)
    steps = np.arange(0, math.floor(times[-1] * fps) + 1) / fps
    shown = np.unique(np.clip(np.searchsorted(times, steps + 1e-9, side="right") - 1, 0, None))
    near_a_frame = np.abs(times[None, :] - steps[:, None]).min(initial=1.0, where=times[None, :] != steps[:, None])
    if near_a_frame > 1e-5:  # else rounding decides which of two frames is on show
        assert out == shown.tolist()
    limited = fps_positions(times, fps, 0, len(times) - 1, most=most)
    assert set(limited) <= set(out)
    assert len(limited) == len(out) if most is None else len(limited) == min(most, len(out))


@given(start=st.floats(0, 10), length=st.floats(0.001, 10))
def test_span_positions_hold_their_bounds(start: float, length: float) -> None:
    times = np.arange(100) * 0.1
    if start >= times[-1] + 0.1:
        with pytest.raises(MediaError, match="behind"):
            span_positions(times, (start, start + length))
        return
    first, last = span_positions(times, (start, start + length))
    assert 0 <= first <= last < 100
    inside = [i for i, t in enumerate(times) if start - 1e-6 <= t < start + length - 1e-6]
    assert inside == list(range(first, last + 1)) if inside else first == last
