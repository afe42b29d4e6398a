"""LSMDC: tabs, no header, no quotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.lsmdc import read

BROKEN = "1012_Unbreakable_00.05.16.065-00.05.21.941"
CLIPS = ("0001_Some_Film_00.00.51.926-00.00.54.129", "1051_Other_00.01.02.000-00.01.05.100", BROKEN)
TEST = "LSMDC16_challenge_1000_publictect.csv"


def line(clip: str, sentence: str) -> str:
    return "\t".join([clip, "00.00.51.926", "00.00.54.129", "00.00.51.926", "00.00.54.129", sentence])


def test_quotes_and_commas_are_part_of_the_sentence(tmp_path: Path) -> None:
    sentences = ['"SOMEONE" waves, then leaves.', 'He reads: "no', "She falls."]
    (tmp_path / "annotations").mkdir()
    content = "\n".join(map(line, CLIPS, sentences)) + "\n\n"
    (tmp_path / "annotations" / TEST).write_text(content)
    for clip in CLIPS:
        folder = tmp_path / "videos" / clip.split(".")[0][:-3]
        folder.mkdir(parents=True)
        (folder / f"{clip}.avi").touch()
    dataset = read(tmp_path, "test", "required")
    forward = dataset.task("t2v")
    assert [query.text for query in forward.queries] == sentences
    assert [item.id for item in forward.gallery] == list(CLIPS)
    assert forward.gallery[0].uri == str(tmp_path / "videos" / "0001_Some_Film" / f"{CLIPS[0]}.avi")
    assert dataset.protocol == "LSMDC test, 1 caption a video, 3 gallery"


def test_the_broken_clip_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / TEST).write_text("\n".join(line(clip, "x") for clip in CLIPS))
    assert len(read(tmp_path, "test", "none").task("t2v").gallery) == 3
    dataset = read(tmp_path, "test", "none", skip_broken=True)
    assert [item.id for item in dataset.task("t2v").gallery] == list(CLIPS[:2])
    assert f"The clip {BROKEN} is left out, as X-Pool does." in dataset.notes


def test_clips_of_val_and_train_may_have_several_sentences(tmp_path: Path) -> None:
    rows = [line(CLIPS[0], "first"), line(CLIPS[1], "other"), line(CLIPS[0], "second")]
    (tmp_path / "LSMDC16_annos_val.csv").write_text("\r\n".join(rows), newline="")
    (tmp_path / "LSMDC16_annos_training.csv").write_text("\n".join(rows[:2]))
    back = read(tmp_path, "val", "none").task("v2t")
    assert back.relevant[CLIPS[0]] == {f"{CLIPS[0]}#0": 1.0, f"{CLIPS[0]}#1": 1.0}
    assert back.groups is not None
    assert [item.text for item in back.gallery] == ["first", "second", "other"]
    assert read(tmp_path, "train", "none").task("v2t").groups is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        (f"{line(CLIPS[0], 'x')}\n{CLIPS[1]}\tonly two", "Line 2 of .* has 2 fields between tabs; it needs 6"),
        (line(" ", "x"), "Line 1 of"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / TEST).write_text(content)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, "test", "none")


def test_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"annotation file of LSMDC test[\s\S]*  {TEST}"):
        read(tmp_path, "test", "none")
