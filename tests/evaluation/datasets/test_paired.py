"""Two tasks from one list of captions, in both definitions of scoring several captions, with oddities counted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mmrank.evaluation.dataset import Dataset, DatasetError
from mmrank.evaluation.datasets.paired import Caption, Pairing, numbered, paired_dataset, safe_id
from mmrank.evaluation.protocols import PAIRED, V2T_GROUPED
from mmrank.types import Item

GROUPED = Pairing(names=("t2v", "v2t"), metrics=(PAIRED, V2T_GROUPED), grouped=True)
BEST = Pairing(names=("t2v", "v2t"), metrics=(PAIRED, PAIRED))


def videos(*names: str) -> list[Item]:
    return [Item(id=name, kind="video", uri=f"/v/{name}.mp4", text=f"said in {name}") for name in names]


def dataset(items: Sequence[Item], captions: Sequence[Caption], pairing: Pairing = BEST) -> Dataset:
    return paired_dataset(items, captions, pairing, name="x", title="X", split="test", variant="")


def test_every_caption_asks_for_its_video_and_every_video_for_its_captions() -> None:
    read = dataset(videos("v1", "v2"), numbered({"v1": ["a", "b"], "v2": ["c"]}))
    forward, back = read.tasks
    assert [(q.id, q.text, q.video) for q in forward.queries] == [
        ("v1#0", "a", None),
        ("v1#1", "b", None),
        ("v2#0", "c", None),
    ]
    assert [(i.id, i.kind, i.uri, i.text) for i in forward.gallery] == [
        ("v1", "video", "/v/v1.mp4", "said in v1"),
        ("v2", "video", "/v/v2.mp4", "said in v2"),
    ]
    assert forward.relevant == {"v1#0": {"v1": 1.0}, "v1#1": {"v1": 1.0}, "v2#0": {"v2": 1.0}}
    assert [(q.id, q.video, q.text) for q in back.queries] == [("v1", "/v/v1.mp4", None), ("v2", "/v/v2.mp4", None)]
    assert [(i.id, i.kind, i.text) for i in back.gallery] == [
        ("v1#0", "text", "a"),
        ("v1#1", "text", "b"),
        ("v2#0", "text", "c"),
    ]
    assert back.relevant == {"v1": {"v1#0": 1.0, "v1#1": 1.0}, "v2": {"v2#0": 1.0}}


def test_only_the_grouped_definition_has_groups() -> None:
    captions = numbered({"v1": ["a", "b"], "v2": ["c"]})
    forward, back = dataset(videos("v1", "v2"), captions, GROUPED).tasks
    assert back.groups == {"v1#0": "v1", "v1#1": "v1", "v2#0": "v2"}
    assert forward.groups is None
    assert (forward.metrics, back.metrics) == (PAIRED, V2T_GROUPED)
    assert dataset(videos("v1", "v2"), captions).tasks[1].groups is None


def test_an_image_asks_as_an_image() -> None:
    read = dataset([Item(id="42", kind="image", uri="/i/42.jpg")], numbered({"42": ["a"]}))
    assert read.tasks[1].queries[0].images == ("/i/42.jpg",)
    assert read.tasks[1].queries[0].video is None


def test_captions_of_missing_videos_are_left_out_of_both_tasks_and_listed() -> None:
    read = dataset(videos("v2"), numbered({"v1": ["a", "b"], "v2": ["c"]}))
    assert [len(task.queries) for task in read.tasks] == [1, 1]
    assert [len(task.gallery) for task in read.tasks] == [1, 1]
    assert read.dropped == ("v1#0", "v1#1", "v1")
    assert "NOT OFFICIAL" in read.protocol
    with pytest.raises(DatasetError, match=r"Nothing is left of X test: of 2 captioned"):
        dataset([], numbered({"v1": ["a"], "v2": ["c"]}))


def test_oddities_are_kept_and_counted() -> None:
    told = {"v1": ["same", "same", "", " \n "], "v2": ["same", "two\nlines"]}
    read = dataset(videos("v1", "v2", "v3"), numbered(told))
    assert [query.text for query in read.tasks[0].queries] == [*told["v1"], *told["v2"]]
    assert len(read.tasks[0].gallery) == 3
    assert len(read.tasks[1].queries) == 2
    words = " ".join(read.notes)
    assert "2 captions have exactly the text of an earlier one" in words
    assert "2 captions are blank" in words
    assert "2 captions hold line breaks" in words
    assert "1 items of the gallery have no caption" in words
    assert dataset(videos("v1"), numbered({"v1": ["a"]})).notes == ()


def test_names_with_white_space_are_encoded_the_same_way_everywhere() -> None:
    assert (safe_id("a b"), safe_id("a%20b#c"), safe_id("-x_1@N00.mov")) == ("a%20b", "a%20b#c", "-x_1@N00.mov")
    read = dataset([Item(id=safe_id("a b"), kind="video", uri="/v")], numbered({"a b": ["x", "y"]}), GROUPED)
    assert read.tasks[0].relevant == {"a%20b#0": {"a%20b": 1.0}, "a%20b#1": {"a%20b": 1.0}}
    assert read.tasks[1].relevant == {"a%20b": {"a%20b#0": 1.0, "a%20b#1": 1.0}}
    assert read.tasks[1].groups == {"a%20b#0": "a%20b", "a%20b#1": "a%20b"}
    assert read.dropped == ()
