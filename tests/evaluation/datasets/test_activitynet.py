"""ActivityNet Captions as paragraphs, with and without lists and prefixes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.activitynet import read
from mmrank.evaluation.protocols import PARAGRAPH

IDS = ("v_aaaaaaaaaaa", "v_v_bbbbbbbbb", "v_-cccccccccc")
SENTENCES = {
    IDS[0]: ["A man opens a door. ", " He walks in."],
    IDS[1]: ["One sentence."],
    IDS[2]: ["First.", "\nSecond."],
}


def write(root: Path, split: str = "val_1") -> None:
    read_ = {
        video: {"duration": 9.5, "timestamps": [[0, 1]] * len(told), "sentences": told}
        for video, told in SENTENCES.items()
    }
    (root / f"{split}.json").write_text(json.dumps(read_))


def test_sentences_are_joined_as_they_are_or_clean(tmp_path: Path) -> None:
    write(tmp_path)
    dataset = read(tmp_path, "val_1", "none")
    texts = [query.text for query in dataset.task("t2v").queries]
    assert texts == ["A man opens a door.   He walks in.", "One sentence.", "First. \nSecond."]
    assert [query.id for query in dataset.task("t2v").queries] == [f"{video}#0" for video in IDS]
    assert [query.id for query in dataset.task("v2t").queries] == list(IDS)
    assert [task.metrics for task in dataset.tasks] == [PARAGRAPH, PARAGRAPH]
    assert dataset.protocol == "ActivityNet Captions val_1, paragraphs, 3 gallery"
    clean = read(tmp_path, "val_1", "none", joining="clean")
    assert [q.text for q in clean.task("t2v").queries] == [
        "A man opens a door. He walks in.",
        "One sentence.",
        "First. Second.",
    ]
    assert clean.variant == "paragraphs, white space cleaned"


@pytest.mark.parametrize("prefix", [True, False])
def test_videos_with_and_without_the_prefix(tmp_path: Path, prefix: bool) -> None:
    write(tmp_path)
    (tmp_path / "videos").mkdir()
    for video, suffix in zip(IDS, (".mp4", ".mkv", ".webm"), strict=True):
        (tmp_path / "videos" / f"{video if prefix else video[2:]}{suffix}").touch()
    assert len(read(tmp_path, "val_1", "required").task("t2v").gallery) == 3


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("val_ids.json", json.dumps([IDS[2], IDS[1], "v_notincaption"])),
        ("val_1_list.txt", f"{IDS[2]}\n\n{IDS[1]}\nv_notincaption\n"),
        ("val_1_list.txt", f"{IDS[2][2:]}\n{IDS[1][2:]}\nnotincaption"),
    ],
)
def test_a_list_gives_the_order_and_what_it_leaves_out_is_counted(tmp_path: Path, name: str, listed: str) -> None:
    write(tmp_path)
    (tmp_path / name).write_text(listed)
    dataset = read(tmp_path, "val_1", "none")
    assert [item.id for item in dataset.task("t2v").gallery] == [IDS[2], IDS[1]]
    assert f"1 videos of val_1.json are not in {name}; they are left out." in dataset.notes
    assert f"1 videos of {name} have no sentences in val_1.json; they are left out." in dataset.notes


def test_the_list_of_another_split_is_not_used(tmp_path: Path) -> None:
    write(tmp_path, "val_2")
    (tmp_path / "val_ids.json").write_text("[]")
    assert len(read(tmp_path, "val_2", "none").task("t2v").gallery) == 3


def test_the_paragraphs_of_vic(tmp_path: Path) -> None:
    (tmp_path / "descs_ret_test_activitynet.csv").write_text(f'video_id,sentence\n{IDS[0]},"One, two.\nThree."\n')
    dataset = read(tmp_path, "val_1", "none")
    assert [query.text for query in dataset.task("t2v").queries] == ["One, two.\nThree."]
    assert dataset.variant == "paragraphs, ViC's list"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds a list, not an object"),
        ('{"v_a": {"sentences": "one"}}', "sentences of 'v_a' are 'one', not a list"),
        ('{"v_a": ["one"]}', "sentences of 'v_a' are None"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "val_1.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, "val_1", "none")


def test_a_list_of_other_videos_is_an_error(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "val_ids.json").write_text('["v_xxxxxxxxxxx"]')
    with pytest.raises(DatasetError, match="names no video of"):
        read(tmp_path, "val_1", "none")
    with pytest.raises(DatasetError, match=r"annotation file of ActivityNet Captions train[\s\S]*  train\.json"):
        read(tmp_path, "train", "none")
