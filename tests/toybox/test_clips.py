import os
import subprocess
import sys
from random import Random

import av
import numpy as np
import pytest

from mmrank.toybox import ToyboxError, clips
from mmrank.toybox.clips import Clip, clip_captions, clip_frame, clip_scene, sample_clip, write_clip
from mmrank.toybox.grammar import split_of


def read(path) -> tuple[list[np.ndarray], float, str]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return frames, float(stream.average_rate), stream.codec_context.name


def test_mp4_holds_every_frame_at_its_rate(tmp_path) -> None:
    clip = sample_clip(Random(1), "heldout")
    write_clip(clip, tmp_path / "clip.mp4")
    frames, rate, codec = read(tmp_path / "clip.mp4")
    assert len(frames) == clip.frames
    assert rate == clip.rate
    assert codec in {"h264", "mpeg4"}
    drawn = np.asarray(clip_frame(clip, clip.frames // 2)).astype(int)
    assert np.abs(frames[clip.frames // 2].astype(int) - drawn).mean() < 8


def test_same_clip_same_bytes(tmp_path) -> None:
    clip = sample_clip(Random(2))
    write_clip(clip, tmp_path / "a.mp4")
    write_clip(clip, tmp_path / "b.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_bytes_do_not_hang_on_what_lay_in_memory_before(tmp_path) -> None:
    """glibc fills fresh memory with a given byte; the clip is one whose bytes followed it once."""
    script = (
        "import sys; from pathlib import Path; from random import Random;"
        "from mmrank.toybox.clips import sample_clip, write_clip; write_clip(sample_clip(Random(0)), Path(sys.argv[1]))"
    )
    written = []
    for byte in ("85", "170"):
        path = tmp_path / f"{byte}.mp4"
        environment = {**os.environ, "MALLOC_PERTURB_": byte}
        subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=True)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_without_h264_the_other_encoder_is_used(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(clips, "ENCODERS", {"no_such_encoder": {}, "mpeg4": clips.ENCODERS["mpeg4"]})
    clip = sample_clip(Random(3))
    write_clip(clip, tmp_path / "clip.mp4")
    frames, _, codec = read(tmp_path / "clip.mp4")
    assert (len(frames), codec) == (clip.frames, "mpeg4")


def test_without_any_encoder_the_error_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(clips, "ENCODERS", {"no_such_encoder": {}})
    with pytest.raises(ToyboxError, match="pip install av"):
        write_clip(sample_clip(Random(3)), tmp_path / "clip.mp4")


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("other", [None, "cat"])
def test_motions_go_where_the_caption_says(side, other) -> None:
    def mover(motion, moment) -> float:
        scene = clip_scene(Clip("red", "dog", other, motion, side, 3.0, 10), moment)
        placed = next(placed for placed in scene.objects if placed.name == "dog")
        value = placed.x if side in ("left", "right") else placed.y
        return value if side in ("left", "top") else 1 - value

    assert mover("crosses", 0) < 0
    assert mover("crosses", 1) > 1
    assert mover("enters", 0) < 0 < mover("enters", 1) < 0.5
    assert mover("leaves", 1) <= 0 < mover("leaves", 0) < 0.5


def test_clips_are_drawn_from_their_split_and_captions_are_complete() -> None:
    rng = Random(4)
    for _ in range(100):
        clip = sample_clip(rng, "heldout")
        assert split_of(clip.ground, clip.names) == "heldout"
        assert 2 <= clip.seconds <= 5
        for text in clip_captions(clip):
            assert all(name in text for name in (*clip.names, clip.ground, clip.side))
            assert "{" not in text
