import json

import av
import pytest

from mmrank.toybox.msrvtt_layout import write_msrvtt


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_msrvtt(tmp_path_factory.mktemp("root"), videos=5, seed=1)


def test_csv_is_unquoted_with_four_fields(base) -> None:
    raw = (base / "MSRVTT_JSFUSION_test.csv").read_bytes()
    assert b"\r" not in raw
    header, *rows = raw.decode().splitlines()
    assert header == "key,vid_key,video_id,sentence"
    assert len(rows) == 5
    for index, row in enumerate(rows):
        key, vid_key, video_id, sentence = row.split(",")
        assert (key, vid_key, video_id) == (f"ret{index}", f"msr{7010 + index}", f"video{7010 + index}")
        assert sentence.strip()


def test_json_has_the_real_schema(base) -> None:
    data = json.loads((base / "MSRVTT_data.json").read_text())
    assert set(data) == {"info", "videos", "sentences"}
    keys = {"id", "video_id", "category", "url", "start time", "end time", "split"}
    assert all(set(video) == keys and video["split"] == "test" for video in data["videos"])
    assert [row["sen_id"] for row in data["sentences"]] == list(range(len(data["sentences"])))
    assert {row["video_id"] for row in data["sentences"]} == {video["video_id"] for video in data["videos"]}


def test_csv_sentences_are_among_the_json_ones(base) -> None:
    data = json.loads((base / "MSRVTT_data.json").read_text())
    known = {(row["video_id"], row["caption"]) for row in data["sentences"]}
    for row in (base / "MSRVTT_JSFUSION_test.csv").read_text().splitlines()[1:]:
        _, _, video_id, sentence = row.split(",")
        assert (video_id, sentence) in known


def test_videos_open_and_last_as_long_as_said(base) -> None:
    data = json.loads((base / "MSRVTT_data.json").read_text())
    for video in data["videos"]:
        with av.open(str(base / "videos" / "all" / f"{video['video_id']}.mp4")) as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(video=0))
            assert frames / float(stream.average_rate) == pytest.approx(video["end time"])
