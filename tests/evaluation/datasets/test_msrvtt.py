"""MSR-VTT in every layout it is handed around in."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrank.evaluation.dataset import Dataset, DatasetError
from mmrank.evaluation.datasets.msrvtt import read
from mmrank.evaluation.datasets.registry import load_dataset
from mmrank.evaluation.protocols import PAIRED, V2T_BEST, V2T_GROUPED

CSV = (
    "key,vid_key,video_id,sentence\n"
    "ret0,msr9770,video9770,someone folds a paper boat\n"
    "ret1,msr7020,video7020,a cook slices an onion\n"
    "ret2,msr9771,video9771,someone folds a paper boat\n"
)
"""Not in the order of the numbers, and with a caption that is there twice, as in the real file."""

SENTENCES = [
    ("video9770", "hands fold paper"),
    ("video7020", "an onion is cut"),
    ("video9770", "someone folds a paper boat"),
    ("video3", "a train leaves"),
    ("video6513", "two people dance"),
    ("video7020", "a cook slices an onion"),
    ("video9770", "a boat of paper"),
]
LABELS = {"video9770": "test", "video7020": "test", "video3": "train", "video6513": "validate"}


def clips(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def release(root: Path, *, labels: Mapping[str, str] = LABELS, ids: Sequence[int] | None = None) -> None:
    """`MSRVTT_data.json` as CLIP4Clip hands it out; sentences are not grouped by video."""
    numbers = ids or range(100, 100 + len(SENTENCES))
    write_json(
        root / "MSRVTT_data.json",
        {
            "info": {},
            "videos": [
                {
                    "id": n,
                    "video_id": video,
                    "category": 9,
                    "url": "",
                    "start time": 1.0,
                    "end time": 2.0,
                    "split": part,
                }
                for n, (video, part) in enumerate(labels.items())
            ],
            "sentences": [
                {"sen_id": number, "video_id": video, "caption": caption}
                for number, (video, caption) in zip(numbers, SENTENCES, strict=True)
            ],
        },
    )


def frozen(root: Path, chosen: Mapping[str, int]) -> None:
    """The zip of Frozen in Time."""
    base = root / "MSRVTT"
    write_json(
        base / "annotation" / "MSR_VTT.json",
        {"images": [], "annotations": [{"image_id": video, "caption": caption} for video, caption in SENTENCES]},
    )
    lists = base / "high-quality" / "structured-symlinks"
    lists.mkdir(parents=True)
    (lists / "val_list_jsfusion.txt").write_text("video7020\n\nvideo9770")
    (lists / "train_list_jsfusion.txt").write_text("video3\nvideo6513\n")
    (lists / "test_list_full.txt").write_text("video9770\nvideo7020\n")
    (lists / "jsfusion_val_caption_idx.pkl").write_bytes(pickle.dumps(dict(chosen)))


def asked(dataset: Dataset) -> list[tuple[str, str | None, str]]:
    """Query, text and answer of t2v."""
    task = dataset.task("t2v")
    return [(query.id, query.text, *task.relevant[query.id]) for query in task.queries]


def test_the_csv_pairs_one_caption_with_each_video(tmp_path: Path) -> None:
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text(CSV)
    clips(tmp_path / "MSRVTT_Videos", "video9770.mp4", "video7020.webm", "video9771.mp4", "video1.mp4")
    dataset = read(tmp_path, "1k-A", "required")
    assert asked(dataset) == [
        ("ret0", "someone folds a paper boat", "video9770"),
        ("ret1", "a cook slices an onion", "video7020"),
        ("ret2", "someone folds a paper boat", "video9771"),
    ]
    assert [item.id for item in dataset.task("t2v").gallery] == ["video9770", "video7020", "video9771"]
    assert [item.id for item in dataset.task("v2t").gallery] == ["ret0", "ret1", "ret2"]
    assert dataset.task("v2t").queries[1].video == str(tmp_path / "MSRVTT_Videos" / "video7020.webm")
    assert [task.metrics for task in dataset.tasks] == [PAIRED, PAIRED]
    assert dataset.notes == (
        "1 captions have exactly the text of an earlier one; a model scores them alike, so they tie.",
    )
    assert dataset.protocol == "MSR-VTT 1k-A, 1 caption a video, 3 gallery"


@pytest.mark.parametrize("folder", ["", "msrvtt_data", "download/msrvtt_data"])
@pytest.mark.parametrize("name", ["MSRVTT_JSFUSION_test.csv", "msrvtt_test.csv", "descs_ret_test_msrvtt.csv"])
def test_the_csv_under_its_names_in_any_folder(tmp_path: Path, folder: str, name: str) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / name).write_text(CSV)
    assert len(read(tmp_path, "1k-A", "none").task("t2v").queries) == 3


@pytest.mark.parametrize(
    "where", ["MSRVTT_Videos", "MSRVTT/videos/all", "TrainValVideo", "TestVideo", "somewhere/else/entirely", "."]
)
def test_videos_in_every_known_folder_and_any_other(tmp_path: Path, where: str) -> None:
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text(CSV)
    clips(tmp_path / where, "video9770.mp4", "video7020.mkv", "video9771.avi")
    assert read(tmp_path, "1k-A", "required").missing == ()


def test_missing_videos_are_named_or_left_out_under_a_name_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text(CSV)
    clips(tmp_path / "TestVideo", "video7020.mp4", "video9771.mp4")
    with pytest.raises(DatasetError, match=r"1 media files of MSR-VTT are not there:\n  video9770\.mp4"):
        read(tmp_path, "1k-A", "required")
    rest = read(tmp_path, "1k-A", "allow_missing")
    assert [query.id for query in rest.task("t2v").queries] == ["ret1", "ret2"]
    assert [query.id for query in rest.task("v2t").queries] == ["video7020", "video9771"]
    assert rest.missing == ("video9770.mp4",)
    assert rest.dropped == ("ret0", "video9770")
    assert "NOT OFFICIAL: 1 media files missing, 2 queries left out" in rest.protocol


def test_frozens_lists_and_pickle_choose_one_caption_of_each_video(tmp_path: Path) -> None:
    frozen(tmp_path, {"video9770": 1, "video7020": 0})
    clips(tmp_path / "MSRVTT" / "videos" / "all", "video9770.mp4", "video7020.mp4")
    for root in (tmp_path, tmp_path / "MSRVTT"):
        assert asked(read(root, "1k-A", "required")) == [
            ("video7020#0", "an onion is cut", "video7020"),
            ("video9770#1", "someone folds a paper boat", "video9770"),
        ]


@pytest.mark.parametrize("chosen", [{"video9770": 1}, {"video9770": 1, "video7020": 2}])
def test_a_pickle_that_belongs_to_other_captions_is_an_error(tmp_path: Path, chosen: dict[str, int]) -> None:
    frozen(tmp_path, chosen)
    with pytest.raises(DatasetError, match=r"lack 1 of the 2 videos of MSR-VTT 1k-A, such as video7020"):
        read(tmp_path, "1k-A", "none")


def test_a_pickle_or_captions_of_another_form_are_refused(tmp_path: Path) -> None:
    frozen(tmp_path, {})
    lists = tmp_path / "MSRVTT" / "high-quality" / "structured-symlinks"
    (lists / "jsfusion_val_caption_idx.pkl").write_bytes(pickle.dumps([1, 0]))
    with pytest.raises(DatasetError, match=r"jsfusion_val_caption_idx\.pkl holds a list, not a dict"):
        read(tmp_path, "1k-A", "none")
    write_json(tmp_path / "MSRVTT_data.json", {"sentences": [{"video_id": "video7020", "caption": None}]})
    with pytest.raises(DatasetError, match="the caption None for video7020; it must be a text"):
        read(tmp_path, "full", "none")


def test_lists_without_the_pickle_are_not_enough(tmp_path: Path) -> None:
    frozen(tmp_path, {})
    (tmp_path / "MSRVTT" / "high-quality" / "structured-symlinks" / "jsfusion_val_caption_idx.pkl").unlink()
    with pytest.raises(DatasetError, match=r"The list of the chosen captions[\s\S]*jsfusion_val_caption_idx\.pkl"):
        read(tmp_path, "1k-A", "none")


@pytest.mark.parametrize("key", ["", "retrieval_key"])
def test_json_lines_of_blip_and_its_kin(tmp_path: Path, key: str) -> None:
    rows = [{"clip_name": "video9770", "caption": "folding"}, {"clip_name": "video7020", "caption": "cutting"}]
    lines = [json.dumps(row | ({key: f"ret{n}"} if key else {})) for n, row in enumerate(rows)]
    (tmp_path / "msrvtt_test.jsonl").write_text("\n".join(lines) + "\n\n")
    expected = ["ret0", "ret1"] if key else ["video9770#0", "video7020#0"]
    assert [row[0] for row in asked(read(tmp_path, "1k-A", "none"))] == expected


@pytest.mark.parametrize("name", ["msrvtt_test_1k.json", "test_1k/test-00000-of-00001.parquet"])
def test_rows_of_the_hugging_face_copies(tmp_path: Path, name: str) -> None:
    rows = [
        {"video_id": "video9770", "video": "video9770.mp4", "caption": "folding", "source": "MSR-VTT", "category": 1},
        {"video_id": "video7020", "video": "video7020.mp4", "caption": "cutting", "source": "MSR-VTT", "category": 2},
    ]
    path = tmp_path / name
    if path.suffix == ".json":
        write_json(path, rows)
    else:
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
    assert asked(read(tmp_path, "1k-A", "none")) == [
        ("video9770#0", "folding", "video9770"),
        ("video7020#0", "cutting", "video7020"),
    ]


def test_training_rows_of_the_hugging_face_copies_hold_all_captions(tmp_path: Path) -> None:
    write_json(tmp_path / "msrvtt_train_9k.json", [{"video_id": "video3", "caption": ["a train", "it leaves"]}])
    assert [row[:2] for row in asked(read(tmp_path, "train-9k", "none"))] == [
        ("video3#0", "a train"),
        ("video3#1", "it leaves"),
    ]


@pytest.mark.parametrize("source", ["labels", "numbers", "list"])
def test_the_full_split_takes_all_captions_of_the_test_videos(tmp_path: Path, source: str) -> None:
    release(tmp_path, labels={} if source == "numbers" else LABELS)
    if source == "list":
        (tmp_path / "test_list_full.txt").write_text("video7020\nvideo9770\n\n")
    dataset = read(tmp_path, "full", "none")
    onion = [("101", "an onion is cut", "video7020"), ("105", "a cook slices an onion", "video7020")]
    boat = [
        ("100", "hands fold paper", "video9770"),
        ("102", "someone folds a paper boat", "video9770"),
        ("106", "a boat of paper", "video9770"),
    ]
    assert asked(dataset) == (boat + onion if source == "labels" else onion + boat)
    assert dataset.task("v2t").groups == {row[0]: row[2] for row in asked(dataset)}
    assert dataset.variant == "5 captions, v2t over groups of captions (CLIP4Clip)"
    assert dataset.task("v2t").metrics == V2T_GROUPED
    best = read(tmp_path, "full", "none", v2t="best")
    assert best.task("v2t").groups is None
    assert best.task("v2t").metrics == V2T_BEST


def test_val_and_train_by_their_labels(tmp_path: Path) -> None:
    release(tmp_path)
    assert [row[2] for row in asked(read(tmp_path, "val", "none"))] == ["video6513"]
    assert [row[2] for row in asked(read(tmp_path, "train", "none"))] == ["video3"]


def test_sentence_numbers_that_repeat_are_not_ids(tmp_path: Path) -> None:
    release(tmp_path, ids=[0] * len(SENTENCES))
    assert [row[0] for row in asked(read(tmp_path, "val", "none"))] == ["0"]
    expected = ["video9770#0", "video9770#1", "video9770#2", "video7020#0", "video7020#1"]
    assert [row[0] for row in asked(read(tmp_path, "full", "none"))] == expected


@pytest.mark.parametrize(
    ("split", "name", "content"),
    [
        ("train-9k", "MSRVTT_train.9k.csv", "video_id\nvideo6513\nvideo3\nvideo12\n"),
        ("train-7k", "MSRVTT_train.7k.csv", "video_id\r\nvideo6513\r\nvideo3\r\nvideo12\r\n"),
        ("train-9k", "train_list_jsfusion.txt", "video6513\nvideo3\nvideo12\n\n"),
        ("1k-B", "test_list_miech.txt", "video6513\nvideo3\nvideo12"),
    ],
)
def test_lists_choose_videos_in_their_order(tmp_path: Path, split: str, name: str, content: str) -> None:
    release(tmp_path)
    (tmp_path / name).write_text(content, newline="")
    dataset = read(tmp_path, split, "none")
    assert [row[2] for row in asked(dataset)] == ["video6513", "video3"]
    assert "1 videos of the split have no caption in MSRVTT_data.json, such as video12." in dataset.notes


def test_subtitles_join_the_videos_and_not_the_queries(tmp_path: Path) -> None:
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text(CSV)
    write_json(tmp_path / "msrvtt_subtitles.json", [{"video_id": "video7020", "subtitle": " slice it thinly"}])
    dataset = read(tmp_path, "1k-A", "none", subtitles=tmp_path)
    assert [item.text for item in dataset.task("t2v").gallery] == [None, "slice it thinly", None]
    assert all(query.text is None for query in dataset.task("v2t").queries)


def test_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"An annotation file of MSR-VTT 1k-A[\s\S]*MSRVTT_JSFUSION_test\.csv"
    ) as caught:
        read(tmp_path, "1k-A", "none")
    assert str(tmp_path) in str(caught.value)
    release(tmp_path)
    with pytest.raises(DatasetError, match=r"The list of the videos of MSR-VTT 1k-A[\s\S]*val_list_jsfusion\.txt"):
        read(tmp_path, "1k-A", "none")
    with pytest.raises(DatasetError, match="split is '2k'; it must be one of '1k-A'"):
        read(tmp_path, "2k", "none")
    (tmp_path / "MSRVTT_data.json").write_text('{"a": 1}')
    with pytest.raises(DatasetError, match="neither sentences"):
        read(tmp_path, "full", "none")


def test_through_the_registry_with_a_limit_and_other_counts_said(tmp_path: Path) -> None:
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text(CSV)
    dataset = load_dataset("msrvtt", tmp_path, media="none", limit=2)
    assert [len(task.queries) for task in dataset.tasks] == [2, 2]
    assert [len(task.gallery) for task in dataset.tasks] == [3, 3]
    assert "NOT THE OFFICIAL FILES: 3 queries" in dataset.protocol
    assert dataset.sample == 2
