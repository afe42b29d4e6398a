"""EgoCVR: galleries by row numbers in either order, skipped queries, line breaks in fields, derived galleries."""

from __future__ import annotations

import csv
import io

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets import egocvr
from mmrank.evaluation.protocols import EGOCVR_GLOBAL, EGOCVR_LOCAL

CLIPS = ["a_0_5", "a_5_9", "a_9_12", "b_0_4", "b_4_8", "c_1_2"]
FILE_ROWS = [*CLIPS[:3], "a_0_5", *CLIPS[3:]]
"""As egocvr_data.csv has them: one clip twice."""

ANNOTATIONS = [
    ("a_0_5", "['a_5_9', 'a_5_9']", "Cut it.", " #C C cuts the\ncake."),
    ("a_0_5", "['a_9_12']", "Eat it, quickly.", " #C C eats"),
    ("b_0_4", "['b_4_8']", "Wash it.", " #C C washes"),
    ("c_1_2", "['b_0_4']", 'Say "no".', " #C C says no"),
]
GLOBAL = ["a_5_9 a_9_12 b_0_4 b_4_8 c_1_2", "a_5_9 b_0_4", "a_0_5 a_5_9 a_9_12 b_4_8", "a_0_5 b_0_4 b_4_8"]
LOCAL = ["a_5_9 a_9_12", "a_5_9 a_9_12", "b_4_8", ""]


def table(header: list[str], rows: list[list[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


def numbers(names: str, order: list[str]) -> str:
    return repr([order.index(name) for name in names.split()])


@pytest.fixture
def download(tmp_path, write, draw):
    def made(order=CLIPS, under="annotation/egocvr/"):
        header = ["video_clip_id", "target_clip_ids", "video_clip_narration", "target_clip_narration", "instruction"]
        header.append("modified_captions")
        rows = [
            [clip, targets, "now", f"then {n}", text, tf] for n, (clip, targets, text, tf) in enumerate(ANNOTATIONS)
        ]
        write(tmp_path / f"{under}egocvr_annotations.csv", table(header, rows))
        lists = [[numbers(GLOBAL[n], order), numbers(LOCAL[n], order)] for n in range(len(rows))]
        content = table(
            [*header, "global_idx", "local_idx"], [[*row, *both] for row, both in zip(rows, lists, strict=True)]
        )
        write(tmp_path / f"{under}egocvr_annotations_gallery.csv", content)
        data = [[clip, "a line\nand another" if n == 2 else "a line", clip[0]] for n, clip in enumerate(FILE_ROWS)]
        write(tmp_path / f"{under}egocvr_data.csv", table(["clip_name", "narration_text", "video_uid"], data))
        for clip in CLIPS:
            draw(tmp_path / f"data/egocvr_clips/{clip[0]}/{clip}.mp4")
        return tmp_path

    return made


def gallery_of(task, query) -> set[str]:
    everything = {item.id for item in task.gallery}
    return set(query.among) if query.among is not None else everything - set(query.exclude)


@pytest.mark.parametrize("order", [CLIPS, FILE_ROWS], ids=["each clip once", "row by row"])
@pytest.mark.parametrize("under", ["annotation/egocvr/", ""])
def test_galleries_are_row_numbers_of_either_order(download, order, under) -> None:
    dataset = egocvr.read(download(order, under), "test", "required")
    wide, near = dataset.task("global"), dataset.task("local")
    assert [item.id for item in wide.gallery] == CLIPS
    assert [gallery_of(wide, query) for query in wide.queries] == [set(names.split()) for names in GLOBAL]
    assert [gallery_of(near, query) for query in near.queries] == [set(names.split()) for names in LOCAL[:2]]
    assert (wide.metrics, near.metrics) == (EGOCVR_GLOBAL, EGOCVR_LOCAL)
    assert dataset.protocol == "EgoCVR test, instructions, 6 gallery"


def test_queries_with_fewer_than_two_candidates_are_skipped_and_said(download) -> None:
    dataset = egocvr.read(download(), "test", "required")
    assert [query.id for query in dataset.task("local").queries] == ["0", "1"]
    assert "local: 2 queries skipped because their gallery has fewer than 2 clips." in dataset.notes
    assert dataset.dropped == ()


def test_a_target_outside_the_gallery_cannot_be_found(download) -> None:
    dataset = egocvr.read(download(), "test", "required")
    assert dataset.task("global").relevant["1"] == {"a_9_12": 1.0}
    assert "global: 1 queries whose gallery holds no target: they count as misses." in dataset.notes


@pytest.mark.parametrize(
    ("text", "words"),
    [("instruction", "Cut it."), ("tfcvr", " #C C cuts the\ncake."), ("gt", "then 0")],
)
def test_words_of_each_setting(download, text, words) -> None:
    task = egocvr.read(download(), "test", "required", text=text).task("global")
    assert task.queries[0].text == words
    assert task.queries[0].video.endswith("data/egocvr_clips/a/a_0_5.mp4")


def test_without_the_gallery_file_derived_galleries_are_labelled(download) -> None:
    root = download()
    (root / "annotation/egocvr/egocvr_annotations_gallery.csv").unlink()
    with pytest.raises(DatasetError, match="gallery=derived"):
        egocvr.read(root, "test", "required")
    dataset = egocvr.read(root, "test", "required", gallery="derived")
    assert gallery_of(dataset.task("global"), dataset.task("global").queries[0]) == set(CLIPS) - {"a_0_5"}
    assert gallery_of(dataset.task("local"), dataset.task("local").queries[0]) == {"a_5_9", "a_9_12"}
    assert "NOT OFFICIAL: derived galleries" in dataset.protocol
    (root / "annotation/egocvr/egocvr_data.csv").unlink()
    named = egocvr.read(root, "test", "none", gallery="derived")
    assert {item.id for item in named.tasks[0].gallery} == set(CLIPS)


def test_files_that_do_not_belong_together(download, write) -> None:
    root = download()
    data = table(["clip_name"], [[f"z_{n}_{n + 1}"] for n in range(9)])
    write(root / "annotation/egocvr/egocvr_data.csv", data)
    with pytest.raises(DatasetError, match="do not belong together"):
        egocvr.read(root, "test", "none")
    write(root / "annotation/egocvr/egocvr_data.csv", "name\nx\n")
    with pytest.raises(DatasetError, match="no column 'clip_name'; it has name"):
        egocvr.read(root, "test", "none")


def test_a_list_is_read_and_not_run(download) -> None:
    root = download()
    path = root / "annotation/egocvr/egocvr_annotations_gallery.csv"
    path.write_text(path.read_text().replace("['a_9_12']", "__import__('os').getcwd()"))
    with pytest.raises(DatasetError, match="is no list of clips"):
        egocvr.read(root, "test", "none")


def test_missing_clips(download) -> None:
    root = download()
    (root / "data/egocvr_clips/b/b_0_4.mp4").unlink()
    with pytest.raises(DatasetError, match=r"1 media files of EgoCVR are not there:\n  b/b_0_4.mp4"):
        egocvr.read(root, "test", "required")
    dataset = egocvr.read(root, "test", "allow_missing", gallery="derived")
    # Asked with the clip, and after it alone.
    assert dataset.dropped == ("2", "3")
    assert "b_0_4" not in {item.id for item in dataset.task("global").gallery}


@pytest.mark.compare
def test_the_real_files(real) -> None:
    dataset = egocvr.read(real("egocvr"), "test", "none", gallery="derived")
    task = dataset.task("global")
    assert len(task.queries) == 2295
    sizes = [len(gains) for gains in task.relevant.values()]
    # 2,006 rows name one target, two more the same one twice.
    assert (sizes.count(1), max(sizes)) == (2008, 10)
