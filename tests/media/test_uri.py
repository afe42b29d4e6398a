from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import MediaError
from mmrank.media.uri import is_utf8, item_id, path_uri, printable, regular_file, split_uri

NAMES = st.binary(min_size=1, max_size=20).filter(lambda b: b"\x00" not in b and b"/" not in b).map(os.fsdecode)
FRAGMENTS = st.sampled_from(["", "page=3", "t=10,20", "chunk=2", "row=7"])


@given(NAMES, FRAGMENTS)
def test_any_file_name_comes_back_from_its_uri(name: str, fragment: str) -> None:
    uri = path_uri(f"/folder/{name}", fragment)
    assert uri.encode("utf-8").decode("utf-8") == uri
    where = split_uri(uri)
    assert (where.path, where.fragment) == (f"/folder/{name}", fragment)


@given(NAMES, FRAGMENTS)
def test_ids_are_ascii_without_white_space(name: str, fragment: str) -> None:
    made = item_id(path_uri(f"/folder/{name}", fragment))
    assert made.isascii()
    assert made.split() == [made]
    assert made.endswith(f"#{fragment}" if fragment else "")


@given(NAMES, NAMES, FRAGMENTS, FRAGMENTS)
def test_different_parts_of_different_files_have_different_ids(a: str, b: str, x: str, y: str) -> None:
    first, second = path_uri(f"/{a}", x), path_uri(f"/{b}", y)
    assert (item_id(first) == item_id(second)) == ((a, x) == (b, y))


def test_percent_is_ordinary_in_a_path_and_an_escape_in_a_file_uri() -> None:
    assert split_uri("/a/100%20.jpg").path == "/a/100%20.jpg"
    assert split_uri("file:///a/100%20.jpg").path == "/a/100 .jpg"
    assert split_uri("file://localhost/a").path == "/a"


def test_only_known_fragments_are_fragments() -> None:
    assert split_uri("C# notes.md").path == "C# notes.md"
    assert split_uri("a#page=x").fragment == ""
    assert split_uri(path_uri("/a#page=3")).path == "/a#page=3"


@pytest.mark.parametrize(
    ("fragment", "span"),
    [
        ("t=10,20", (10, 20)),
        ("t=10", (10, math.inf)),
        ("t=,20.5", (0, 20.5)),
        ("t=npt:0:10,1:00:00", (10, 3600)),
    ],
)
def test_spans_are_w3c_media_fragments(fragment: str, span: tuple[float, float]) -> None:
    assert split_uri(f"clip.mp4#{fragment}").span == span


def test_a_span_that_cannot_be_meant_is_named() -> None:
    with pytest.raises(MediaError, match="ends before it starts"):
        _ = split_uri("clip.mp4#t=20,10").span
    with pytest.raises(MediaError, match="START,END"):
        _ = split_uri("clip.mp4#t=1.2.3,4").span


@pytest.mark.parametrize("uri", ["http://host/a.jpg", "https://host/a.jpg", "s3://bucket/a.jpg", "file://host/a.jpg"])
def test_nothing_is_fetched(uri: str) -> None:
    with pytest.raises(MediaError, match=r"not a local file|lies on the host"):
        split_uri(uri)
    assert item_id(uri) if not uri.startswith("file") else True


def test_names_that_are_not_utf8_can_be_printed() -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    assert not is_utf8(name)
    assert printable(name) == "caf\\xe9.jpg"
    assert path_uri(f"/{name}") == "file:///caf%E9.jpg"


def test_regular_file_names_what_is_wrong(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.touch()
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for path, why in [
        (empty, "empty"),
        (pipe, "pipe"),
        (tmp_path, "folder"),
        (tmp_path / "no", "No such file"),
        (tmp_path / "a\0b", "null"),
    ]:
        with pytest.raises(MediaError, match=why):
            regular_file(path)
