"""Media by id: the right kind of file, wherever it lies and whatever its suffix."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.by_id import MediaById, without_suffix
from mmrank.media.kinds import IMAGE_SUFFIXES


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def relative(found: str | None, root: Path) -> str | None:
    return None if found is None else str(Path(found).relative_to(root))


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".avi", ".MOV", ".3gp"])
def test_any_video_suffix_however_deep(tmp_path: Path, suffix: str) -> None:
    make(tmp_path, f"a/b/c/video1{suffix}")
    assert relative(MediaById([tmp_path], "required").find("video1"), tmp_path) == f"a/b/c/video1{suffix}"


def test_files_of_another_kind_with_the_same_stem_are_no_videos(tmp_path: Path) -> None:
    make(tmp_path, "video1.srt", "video1.json", "video1.jpg", "z/video1.webm", "video2.npy")
    files = MediaById([tmp_path], "allow_missing")
    assert relative(files.find("video1"), tmp_path) == "z/video1.webm"
    assert files.find("video2") is None
    assert files.check("MSR-VTT") == ("video2.mp4",)


def test_of_several_suffixes_mp4_is_taken_and_an_earlier_root_wins(tmp_path: Path) -> None:
    make(tmp_path, "videos/video1.avi", "videos/video1.mp4", "videos/video1.webm", "other/video1.mp4", "video1.mp4")
    files = MediaById([tmp_path / "nowhere", tmp_path / "videos", tmp_path], "required")
    assert relative(files.find("video1"), tmp_path) == "videos/video1.mp4"


@pytest.mark.parametrize(
    ("on_disk", "named"),
    [("12@N00_3.mov", "12@N00_3.mov"), ("12@N00_3.mov.mp4", "12@N00_3.mov"), ("12@N00_3.mp4", "12@N00_3.mov")],
)
def test_a_full_name_then_that_and_a_suffix_then_its_stem(tmp_path: Path, on_disk: str, named: str) -> None:
    make(tmp_path, on_disk)
    files = MediaById([tmp_path], "required")
    assert relative(files.find(named, without_suffix(named)), tmp_path) == on_disk


def test_the_full_name_is_better_than_the_stem(tmp_path: Path) -> None:
    make(tmp_path, "a/3.mp4", "b/3.mov.mp4", "c/3.mov")
    files = MediaById([tmp_path], "required")
    assert relative(files.find("3.mov", "3"), tmp_path) == "c/3.mov"


def test_ids_with_dots_keep_them(tmp_path: Path) -> None:
    clip = "0001_Film_00.05.16.065-00.05.21.941"
    make(tmp_path, f"0001_Film/{clip}.avi", "0001_Film/0001_Film_00.05.16.065-00.05.21.942.avi")
    assert relative(MediaById([tmp_path], "required").find(clip), tmp_path) == f"0001_Film/{clip}.avi"


def test_links_are_followed_dangling_ones_are_missing_and_loops_end(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/video1.mp4")
    root = tmp_path / "root"
    root.mkdir()
    (root / "videos").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    (root / "video2.mp4").symlink_to(tmp_path / "gone.mp4")
    files = MediaById([root], "allow_missing")
    assert relative(files.find("video1"), root) == "videos/video1.mp4"
    assert files.find("video2") is None


def test_missing_files_are_counted_and_named_before_anything_runs(tmp_path: Path) -> None:
    files = MediaById([tmp_path], "required", suffixes=IMAGE_SUFFIXES, usual=".jpg")
    for number in range(7):
        assert files.find(f"{number}") is None
    with pytest.raises(DatasetError, match=r"7 media files of COCO are not there:\n  0\.jpg[\s\S]* and 2 more"):
        files.check("COCO")


def test_without_media_the_expected_path_stands_for_what_is_not_there(tmp_path: Path) -> None:
    make(tmp_path, "x/video1.webm")
    files = MediaById([tmp_path], "none")
    assert relative(files.find("video1"), tmp_path) == "x/video1.webm"
    assert relative(files.find("video2"), tmp_path) == "video2.mp4"
    assert relative(files.find("video3.mov"), tmp_path) == "video3.mov"
    assert files.check("MSR-VTT") == ()
