"""Which files belong to which, and what they say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.errors import MediaError
from mmrank.media.beside import NOTHING, Beside, Sidecars
from mmrank.media.sidecars import MAX_CAPTION_BYTES, MAX_KEYS, MAX_SIDECAR_BYTES, SidecarData, read_caption, read_data

KINDS = ("image", "video", "page", "text")


def beside(*names: str) -> Beside:
    return Beside(names, KINDS)


def test_short_and_long_names() -> None:
    found = beside("a.jpg", "a.txt", "b.jpg", "b.jpg.txt", "c.PNG", "c.json", "d.mp4", "d.mp4.json", "d.txt", "e.txt")
    assert found.of("a.jpg") == Sidecars(caption="a.txt")
    assert found.of("b.jpg") == Sidecars(caption="b.jpg.txt")
    assert found.of("c.PNG") == Sidecars(data="c.json")
    assert found.of("d.mp4") == Sidecars(caption="d.txt", data="d.mp4.json")
    assert not found.is_sidecar("e.txt")
    assert found.of("e.txt") == NOTHING


def test_the_longer_name_goes_first_and_the_shorter_serves_the_others() -> None:
    found = beside("a.jpg", "a.png", "a.txt", "a.jpg.txt")
    assert (found.of("a.jpg").caption, found.of("a.png").caption) == ("a.jpg.txt", "a.txt")


def test_a_text_beside_a_pdf_is_a_document_unless_it_has_its_whole_name() -> None:
    found = beside("a.pdf", "a.txt", "b.pdf", "b.pdf.txt", "c.pdf", "c.json")
    assert found.of("a.pdf") == NOTHING
    assert not found.is_sidecar("a.txt")
    assert found.of("b.pdf").caption == "b.pdf.txt"
    assert found.of("c.pdf").data == "c.json"


def test_subtitles_of_videos_only_and_without_language_first() -> None:
    found = beside(
        "a.mp4", "a.en.srt", "a.vtt", "b.mp4", "b.de.vtt", "b.en-US.srt", "c.jpg", "c.srt", "d.mkv", "d.x1.srt"
    )
    assert found.of("a.mp4").subtitles == "a.vtt"
    assert found.of("b.mp4").subtitles == "b.en-US.srt"
    assert found.of("c.jpg") == found.of("d.mkv") == NOTHING
    assert beside("a.mp4", "a.mp4.srt", "a.vtt").of("a.mp4").subtitles == "a.mp4.srt"


@pytest.mark.parametrize(
    ("photo", "data"),
    [
        ("IMG.jpg", "IMG.jpg.json"),
        ("IMG.jpg", "IMG.jpg.supplemental-metadata.json"),
        ("IMG.jpg", "IMG.jpg.supplemental-me.json"),
        ("IMG(1).jpg", "IMG.jpg(1).json"),
        ("IMG(2).jpg", "IMG.jpg.supplemental-metadata(2).json"),
    ],
)
def test_names_of_googles_export(photo: str, data: str) -> None:
    found = beside("IMG.jpg", photo, "other.jpg", data)
    assert found.of(photo).data == data
    assert found.is_sidecar(data)
    if photo != "IMG.jpg":
        assert found.of("IMG.jpg") == NOTHING


def test_media_of_other_kinds_have_no_sidecars() -> None:
    found = Beside(["a.jpg", "a.txt"], ["text"])
    assert not found.is_sidecar("a.txt")


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_captions(tmp_path: Path) -> None:
    assert read_caption(write(tmp_path / "a.txt", "\n A dog. \n")) == "A dog."
    assert read_caption(write(tmp_path / "a.txt", "")) is None
    assert read_caption(write(tmp_path / "a.txt", " \n")) is None
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    with pytest.raises(MediaError, match="not UTF-8"):
        read_caption(tmp_path / "b.txt")
    with pytest.raises(MediaError, match="a caption at most"):
        read_caption(write(tmp_path / "a.txt", "x" * (MAX_CAPTION_BYTES + 1)))
    with pytest.raises(MediaError, match="cannot be opened"):
        read_caption(tmp_path / "gone.txt")


def test_an_object_of_metadata(tmp_path: Path) -> None:
    value = {
        "Caption": " A dog. ",
        "rating": 4,
        "price": 2.5,
        "sold": True,
        "tags": ["dog", "red"],
        "shape": {"w": 1},
        "nothing": None,
        "taken": "2025-01-02T03:04:05+09:00",
        "latitude": 35,
        "longitude": 139.5,
        "big": 10**30,
        "half": "a\ud800",
    }
    assert read_data(write(tmp_path / "a.json", value)) == SidecarData(
        text="A dog.",
        given={
            "rating": 4,
            "price": 2.5,
            "sold": True,
            "tags": ("dog", "red"),
            "shape": '{"w": 1}',
            "taken": datetime(2025, 1, 2, 3, 4, 5),
            "taken_utc": datetime(2025, 1, 1, 18, 4, 5, tzinfo=UTC),
            "latitude": 35.0,
            "longitude": 139.5,
            "big": str(10**30),
            "half": "a?",
        },
    )


def test_keys_that_cannot_be_taken_are_named(tmp_path: Path) -> None:
    value = {
        "name": "Rex",
        "camera": 5,
        "taken": "soon",
        "latitude": 99,
        "注": 1,
        "file name": 1,
        "file-name": 2,
        "ok": 1,
    }
    found = read_data(write(tmp_path / "a.json", value))
    assert found.given == {"file name": 1, "ok": 1}
    assert len(found.warnings) == 6
    for key in ("name", "camera", "taken", "latitude", "注", "file-name"):
        assert any(key in what for what in found.warnings)


def test_keys_that_would_share_a_column(tmp_path: Path) -> None:
    found = read_data(write(tmp_path / "a.json", {"id": 1, "meta_id": 2, "Id ": 3}))
    assert found.given == {"id": 1}
    assert len(found.warnings) == 2


GOOGLE: dict[str, Any] = {
    "title": "IMG.jpg",
    "description": "A dog.",
    "photoTakenTime": {"timestamp": "1735757045", "formatted": "Jan 1, 2025"},
    "geoData": {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0},
    "geoDataExif": {"latitude": 35.5, "longitude": 139.5},
    "people": [{"name": "Ann"}, {"name": "Bo"}, {}],
    "favorited": True,
    "url": "https://photos.example/1",
}


def test_googles_export(tmp_path: Path) -> None:
    found = read_data(write(tmp_path / "a.json", GOOGLE))
    assert found.text == "A dog."
    assert found.given == {"people": ("Ann", "Bo"), "favorited": True}
    assert found.spare == {
        "taken": datetime(2025, 1, 1, 18, 44, 5),
        "taken_utc": datetime(2025, 1, 1, 18, 44, 5, tzinfo=UTC),
        "latitude": 35.5,
        "longitude": 139.5,
    }


@pytest.mark.parametrize("seconds", [None, "soon", "9" * 40, [1]])
def test_googles_export_with_times_that_are_none(tmp_path: Path, seconds: Any) -> None:
    found = read_data(write(tmp_path / "a.json", {**GOOGLE, "photoTakenTime": {"timestamp": seconds}}))
    assert "taken" not in found.spare
    assert len(found.warnings) == (seconds is not None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "holds a list"),
        ("{", "not JSON"),
        ("", "empty|not JSON"),
        ("[" * 100_000, "not JSON"),
        (json.dumps({f"k{i}": i for i in range(MAX_KEYS + 1)}), "at most 100"),
        ('{"a": "' + "x" * MAX_SIDECAR_BYTES + '"}', "at most"),
    ],
)
def test_data_that_is_none(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(MediaError, match=why):
        read_data(write(tmp_path / "a.json", text))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["text", "caption", "taken", "latitude", "longitude", "people", "geoData", "description"])


@settings(deadline=None)
@given(value=st.dictionaries(keys | st.text(max_size=8), json_values, max_size=8), google=st.booleans())
def test_any_object_gives_metadata_that_a_table_takes(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any], google: bool
) -> None:
    import pyarrow as pa

    from mmrank.index.metadata import columns_of

    if google:
        value = {**value, "photoTakenTime": value.get("taken")}
    path = tmp_path_factory.getbasetemp() / "any.json"
    found = read_data(write(path, value))
    columns_of(pa.schema([]), {**found.spare, **found.given})
    (found.text or "").encode()
