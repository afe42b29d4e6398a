"""MSVD from X-Pool's JSON and from CLIP4Clip's pickle."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.msvd import read

TOLD = {
    "-aB_c1d2e3f_9_15": ["a man is slicing bread", "bread is sliced", "a man is slicing bread"],
    "zzzzzzzzzzz_0_4": ["a dog, running"],
    "trainvideo_1_2": ["not of this split"],
}


def write(root: Path, *, layout: str, listed: str = "zzzzzzzzzzz_0_4\n-aB_c1d2e3f_9_15\n\n") -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "test_list.txt").write_text(listed)
    if layout == "json":
        (root / "captions_msvd.json").write_text(json.dumps(TOLD))
        return
    tokens: dict[str, list[list[str]]] = {video: [text.split() for text in told] for video, told in TOLD.items()}
    (root / "raw-captions.pkl").write_bytes(pickle.dumps(tokens, protocol=2 if layout == "old pickle" else 4))


@pytest.mark.parametrize("layout", ["json", "pickle", "old pickle"])
@pytest.mark.parametrize("folder", ["", "msvd_data"])
def test_all_captions_in_the_order_of_the_list(tmp_path: Path, layout: str, folder: str) -> None:
    write(tmp_path / folder, layout=layout)
    (tmp_path / "YouTubeClips").mkdir()
    for name in ("zzzzzzzzzzz_0_4.avi", "-aB_c1d2e3f_9_15.avi"):
        (tmp_path / "YouTubeClips" / name).touch()
    dataset = read(tmp_path, "test", "required")
    forward, back = dataset.tasks
    assert [(query.id, query.text) for query in forward.queries] == [
        ("zzzzzzzzzzz_0_4#0", "a dog, running"),
        ("-aB_c1d2e3f_9_15#0", "a man is slicing bread"),
        ("-aB_c1d2e3f_9_15#1", "bread is sliced"),
        ("-aB_c1d2e3f_9_15#2", "a man is slicing bread"),
    ]
    assert [item.id for item in forward.gallery] == ["zzzzzzzzzzz_0_4", "-aB_c1d2e3f_9_15"]
    assert forward.gallery[0].uri == str(tmp_path / "YouTubeClips" / "zzzzzzzzzzz_0_4.avi")
    assert [query.id for query in back.queries] == ["zzzzzzzzzzz_0_4", "-aB_c1d2e3f_9_15"]
    assert len(back.gallery) == 4
    assert dataset.protocol == "MSVD test, 4 captions, v2t over groups of captions (CLIP4Clip), 2 to 4 gallery"


def test_python_2_pickles_hold_bytes(tmp_path: Path) -> None:
    (tmp_path / "test_list.txt").write_text("a_1_2\n")
    (tmp_path / "raw-captions.pkl").write_bytes(pickle.dumps({b"a_1_2": [[b"caf\xc3\xa9", b"noir"]]}))
    assert [query.text for query in read(tmp_path, "test", "none").tasks[0].queries] == ["café noir"]


def test_a_pickle_that_would_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_list.txt").write_text("a\n")
    (tmp_path / "raw-captions.pkl").write_bytes(b"cos\nsystem\n(S'exit 3'\ntR.")
    with pytest.raises(DatasetError, match=r"raw-captions\.pkl .*asks for os\.system"):
        read(tmp_path, "test", "none")


def test_lists_and_captions_that_do_not_belong_together(tmp_path: Path) -> None:
    write(tmp_path, layout="json", listed="zzzzzzzzzzz_0_4\nother_1_2\n")
    with pytest.raises(DatasetError, match=r"1 of the 2 videos .* have no caption .*'other_1_2'"):
        read(tmp_path, "test", "none")


def test_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"The captions of MSVD[\s\S]*captions_msvd\.json\n  raw-captions\.pkl"):
        read(tmp_path, "test", "none")
    (tmp_path / "captions_msvd.json").write_text("[]")
    with pytest.raises(DatasetError, match=r"The list of the val videos of MSVD[\s\S]*val_list\.txt"):
        read(tmp_path, "val", "none")
    (tmp_path / "val_list.txt").write_text("a\n")
    with pytest.raises(DatasetError, match="holds a list, not an object"):
        read(tmp_path, "val", "none")
    (tmp_path / "captions_msvd.json").write_text('{"a": "text"}')
    with pytest.raises(DatasetError, match="captions of 'a' are 'text', not a list"):
        read(tmp_path, "val", "none")
