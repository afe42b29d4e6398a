"""DiDeMo as paragraphs, with names and suffixes as they come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.didemo import read

NAMES = ("11@N00_22_ab.mov", "33@N01_44_cd.avi", "55@N02_66_ef", "77@N03_88_gh.3gp")
TOLD = [
    (NAMES[0], "a cat jumps"),
    (NAMES[1], "first wave"),
    (NAMES[0], "the cat sleeps.\nit dreams"),
    (NAMES[2], "a boat"),
    (NAMES[3], "not in the list"),
    (NAMES[1], " last wave "),
]
JOINED = {NAMES[0]: "a cat jumps the cat sleeps.\nit dreams", NAMES[1]: "first wave  last wave ", NAMES[2]: "a boat"}


def write(root: Path, listed: str | None) -> None:
    rows = [
        {"annotation_id": n, "description": text, "video": video, "times": [[0, 1]], "num_segments": 6, "dl_link": ""}
        for n, (video, text) in enumerate(TOLD)
    ]
    root.mkdir(exist_ok=True)
    (root / "test_data.json").write_text(json.dumps(rows))
    if listed is not None:
        (root / "test_list.txt").write_text(listed)


@pytest.mark.parametrize("suffixes", [True, False])
def test_descriptions_are_joined_in_file_order_over_the_list(tmp_path: Path, suffixes: bool) -> None:
    order = [NAMES[1], NAMES[0], NAMES[2]]
    listed = order if suffixes else [name.split(".")[0] for name in order]
    write(tmp_path / "didemo", "\n".join(listed) + "\n\n")
    dataset = read(tmp_path, "test", "none")
    forward = dataset.task("t2v")
    assert [(query.id, query.text) for query in forward.queries] == [(f"{name}#0", JOINED[name]) for name in order]
    assert [item.id for item in forward.gallery] == order
    assert dataset.protocol == "DiDeMo test, paragraphs, 3 gallery"
    assert dataset.notes == ("1 captions hold line breaks; they are kept as they are.",)


def test_files_are_found_by_full_name_with_a_suffix_added_and_by_stem(tmp_path: Path) -> None:
    write(tmp_path, "\n".join(NAMES))
    on_disk = [NAMES[0], f"{NAMES[1]}.mp4", f"{NAMES[2]}.mp4", NAMES[3].replace(".3gp", ".mp4")]
    (tmp_path / "videos" / "part").mkdir(parents=True)
    for name in on_disk:
        (tmp_path / "videos" / "part" / name).touch()
    dataset = read(tmp_path, "test", "required")
    folder = tmp_path / "videos" / "part"
    assert [item.uri for item in dataset.task("t2v").gallery] == [f"{folder}/{name}#t=0,30" for name in on_disk]
    assert dataset.task("v2t").queries[0].video == f"{folder}/{NAMES[0]}#t=0,30"
    whole = read(tmp_path, "test", "required", span="whole")
    assert [item.uri for item in whole.task("t2v").gallery] == [f"{folder}/{name}" for name in on_disk]
    assert whole.variant == "paragraphs, whole videos"
    (folder / on_disk[2]).unlink()
    with pytest.raises(DatasetError, match=rf"1 media files of DiDeMo are not there:\n  {NAMES[2]}\.mp4"):
        read(tmp_path, "test", "required")


def test_without_the_list_the_protocol_says_so(tmp_path: Path) -> None:
    write(tmp_path, None)
    dataset = read(tmp_path, "test", "none")
    assert [item.id for item in dataset.task("t2v").gallery] == list(NAMES)
    assert dataset.variant == "paragraphs, all videos of test_data.json for want of test_list.txt"


def test_listed_videos_without_a_description_are_counted(tmp_path: Path) -> None:
    write(tmp_path, f"{NAMES[0]}\nunknown.mov\n")
    dataset = read(tmp_path, "test", "none")
    assert len(dataset.task("t2v").gallery) == 1
    assert "1 videos of test_list.txt have no description and are left out." in dataset.notes


def test_the_paragraphs_of_vic(tmp_path: Path) -> None:
    (tmp_path / "descs_ret_test_didemo.csv").write_text(
        'video_id,sentence\n11@N00_22_ab,"a cat jumps, twice\nit sleeps"\n33@N01_44_cd,first wave\n'
    )
    dataset = read(tmp_path, "test", "none")
    assert [(q.id, q.text) for q in dataset.task("t2v").queries] == [
        ("11@N00_22_ab#0", "a cat jumps, twice\nit sleeps"),
        ("33@N01_44_cd#0", "first wave"),
    ]
    assert dataset.variant == "paragraphs, ViC's list"
    with pytest.raises(DatasetError, match=r"Looked for:\n  val_data\.json$"):
        read(tmp_path, "val", "none")


def test_rows_without_a_description_are_refused(tmp_path: Path) -> None:
    (tmp_path / "test_data.json").write_text('[{"video": "a.mov"}]')
    with pytest.raises(DatasetError, match="no field 'description'"):
        read(tmp_path, "test", "none")
    with pytest.raises(DatasetError, match="span is '31s'; it must be one of '30s', 'whole'"):
        read(tmp_path, "test", "none", span="31s")  # type: ignore[arg-type]
