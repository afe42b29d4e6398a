"""VATEX from the release, from HGR's files and from ViC's table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.vatex import read

IDS = ("Ptf_2VRj-V0_000122_000132", "-aaaaaaaaaa_000001_000011", "bbbbbbbbbbb_000004_000014")
TOLD = {video: [f"caption {n} of {number}" for n in range(2)] for number, video in enumerate(IDS)}


def release(root: Path, name: str = "vatex_validation_v1.0.json", *, captions: bool = True) -> None:
    rows = [
        {"videoID": video, **({"enCap": told, "chCap": [f"{video} 一", "二", "三"]} if captions else {})}
        for video, told in TOLD.items()
    ]
    (root / name).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def gallery(root: Path, split: str) -> list[str]:
    return [item.id for item in read(root, split, "none").task("t2v").gallery]


@pytest.mark.parametrize("captions", ["release", "ref_captions"])
@pytest.mark.parametrize("names", ["txt", "npy", "npy of bytes"])
def test_the_halves_of_the_validation_videos_by_list(tmp_path: Path, captions: str, names: str) -> None:
    if captions == "release":
        release(tmp_path)
    else:
        (tmp_path / "ref_captions.json").write_text(json.dumps(TOLD))
    if names == "txt":
        (tmp_path / "test_list.txt").write_text(f"{IDS[2]}\n{IDS[0]}.mp4\n\n")
        (tmp_path / "val_list.txt").write_text(f"{IDS[1]}\n")
    else:
        kind = np.bytes_ if names == "npy of bytes" else np.str_
        np.save(tmp_path / "tst_names.npy", np.array([IDS[2], IDS[0]], dtype=kind))
        np.save(tmp_path / "val_names.npy", np.array([IDS[1]], dtype=kind))
    assert gallery(tmp_path, "test") == [IDS[2], IDS[0]]
    assert gallery(tmp_path, "val") == [IDS[1]]
    dataset = read(tmp_path, "test", "none")
    assert [(q.id, q.text) for q in dataset.task("t2v").queries[:2]] == [
        (f"{IDS[2]}#0", "caption 0 of 2"),
        (f"{IDS[2]}#1", "caption 1 of 2"),
    ]
    assert dataset.protocol == "VATEX test, 4 captions, v2t over groups of captions (CLIP4Clip), 2 to 4 gallery"


def test_chinese_captions_are_said(tmp_path: Path) -> None:
    release(tmp_path)
    (tmp_path / "test_list.txt").write_text(IDS[0])
    dataset = read(tmp_path, "test", "none", language="zh", v2t="best")
    assert [query.text for query in dataset.task("t2v").queries] == [f"{IDS[0]} 一", "二", "三"]
    assert dataset.variant == "Chinese captions, 3 captions, v2t by the best own caption among all (CE)"


def test_whole_official_splits(tmp_path: Path) -> None:
    release(tmp_path)
    release(tmp_path, "vatex_training_v1.0.json")
    release(tmp_path, "vatex_public_test_english_v1.1.json")
    for split in ("validation", "train", "public_test"):
        assert gallery(tmp_path, split) == list(IDS)
    with pytest.raises(DatasetError, match=r"list of the test half[\s\S]*test_list\.txt\n  tst_names\.npy"):
        read(tmp_path, "test", "none")


def test_videos_of_any_suffix_and_missing_ones(tmp_path: Path) -> None:
    release(tmp_path)
    (tmp_path / "videos").mkdir()
    for video, suffix in zip(IDS, (".mkv", ".webm", ".srt"), strict=True):
        (tmp_path / "videos" / f"{video}{suffix}").touch()
    dataset = read(tmp_path, "validation", "allow_missing")
    assert [item.id for item in dataset.task("t2v").gallery] == list(IDS[:2])
    assert dataset.missing == (f"{IDS[2]}.mp4",)
    assert len(dataset.dropped) == 3


def test_the_table_of_vic_is_named_as_such(tmp_path: Path) -> None:
    rows = "".join(f'{video}.mkv,{video},"{text}, twice","said, here"\n' for video in IDS[:2] for text in TOLD[video])
    (tmp_path / "descs_ret_test_vatex.csv").write_text("video,video_id,sentence,subtitle\n" + rows)
    dataset = read(tmp_path, "test", "none")
    assert [query.text for query in dataset.task("t2v").queries][:2] == [
        "caption 0 of 0, twice",
        "caption 1 of 0, twice",
    ]
    assert [len(task.gallery) for task in dataset.tasks] == [2, 4]
    assert dataset.variant.startswith("videos that ViC had, 4 captions")


def test_test_files_without_captions_and_other_lists(tmp_path: Path) -> None:
    release(tmp_path, "vatex_public_test_without_annotations.json", captions=False)
    with pytest.raises(DatasetError, match="has captions for none of the 3 videos of public_test"):
        read(tmp_path, "public_test", "none")
    release(tmp_path)
    (tmp_path / "test_list.txt").write_text(f"{IDS[0]}\nelsewhere_000001_000011\n")
    notes = read(tmp_path, "test", "none").notes
    assert "1 videos of test have no caption and are left out, such as elsewhere_000001_000011." in notes


def test_names_that_would_have_to_be_unpickled_are_refused(tmp_path: Path) -> None:
    release(tmp_path)
    np.save(tmp_path / "tst_names.npy", np.array(list(IDS), dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"tst_names\.npy is no array of names.*test_list\.txt, one a line"):
        read(tmp_path, "test", "none")


def test_captions_that_are_no_texts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vatex_validation_v1.0.json").write_text('[{"videoID": "a", "enCap": "one"}]')
    with pytest.raises(DatasetError, match="captions of 'a' are 'one', not a list of texts"):
        read(tmp_path, "validation", "none")
