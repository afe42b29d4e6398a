from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mmrank.media import digest, load, scan
from mmrank.media.shards import read_shard, split_key
from mmrank.types import Item

Tar = Callable[..., Path]


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 10), (shade, 0, 0)).save(out, "PNG")
    return out.getvalue()


def test_keys_end_at_the_first_dot_of_the_base_name() -> None:
    assert split_key("a.b/000.seg.PNG") == ("a.b/000", ".seg.png")
    assert split_key("000") == ("000", "")


@pytest.mark.parametrize(("name", "mode"), [("s.tar", "w"), ("s.tar.gz", "w:gz")])
def test_samples_become_items_that_open_again(name: str, mode: str, tmp_path: Path, tar: Tar) -> None:
    path = tar(
        tmp_path / name,
        ("a/1.json", json.dumps({"caption": "from json", "n": 1, "tags": ["x"]}).encode()),
        ("a/1.png", picture(1)),
        ("a/1.txt", b" a caption\n"),
        ("a/1.cls", b"7"),
        ("a/2.png", picture(2)),
        ("a/2.json", b'{"text": "from json"}'),
        ("a/2.npy", b"numbers"),
        ("a/2.en.txt", b"second"),
        ("note.txt", b"a note"),
        mode=mode,
    )
    one, two, note = scan(path)
    assert (one.id, one.uri) == (f"{path}#member=a/1.png", f"{path}#member=a/1.png")
    assert (one.kind, one.text) == ("image", "a caption")
    assert dict(one.meta) == {"name": "a/1", "caption": "from json", "n": 1, "tags": ("x",), "cls": 7}
    assert (two.text, dict(two.meta)) == ("from json", {"name": "a/2", "en_txt": "second"})
    assert (note.kind, note.text) == ("text", "a note")
    for item, shade in ((one, 1), (two, 2)):
        later = replace(item, image=None)  # as it comes out of an index
        loaded = load(later, size=10, frames=1)
        assert loaded.image is not None
        assert loaded.image.getpixel((0, 0)) == (shade, 0, 0)
        assert digest(later) == digest(item)


def test_equal_pictures_have_equal_digests_wherever_they_lie(tmp_path: Path, tar: Tar) -> None:
    (tmp_path / "a.png").write_bytes(picture(3))
    tar(tmp_path / "s.tar", ("b.png", picture(3)))
    first, second = scan(tmp_path)
    assert digest(first) == digest(second)


def test_pages_and_spans_lie_in_shards_too(
    tmp_path: Path, clip: Callable[..., Path], pdf: Callable[..., Path], tar: Tar
) -> None:
    clip(tmp_path / "c.mp4", 70, fps=10, size=(64, 48))
    pdf(tmp_path / "d.pdf", [["one"], ["two"]])
    path = tar(tmp_path / "s.tar", *((name, (tmp_path / name).read_bytes()) for name in ("c.mp4", "d.pdf")))
    items = list(scan(path, span_seconds=3.0))
    whole = f"{path}#member="
    assert [item.id for item in items] == [
        f"{whole}c.mp4&t=0,3",
        f"{whole}c.mp4&t=3,7",
        f"{whole}d.pdf&page=1",
        f"{whole}d.pdf&page=2",
    ]
    assert [item.parent for item in items] == [f"{whole}{name}" for name in ("c.mp4", "c.mp4", "d.pdf", "d.pdf")]
    assert (items[1].meta["start"], items[1].meta["duration"]) == (3.0, 7.0)
    loaded = load(items[1], size=32, frames=2)
    assert all(3 <= time <= 7 for time in loaded.times)
    assert load(items[3], size=64, frames=1).text == "two"
    assert len({digest(item) for item in items}) == 4


def test_bad_members_are_named_and_the_rest_goes_on(tmp_path: Path, tar: Tar) -> None:
    path = tar(
        tmp_path / "s.tar",
        ("1.png", picture(1)),
        ("1.json", b"{no json"),
        ("2.pdf", b"no pdf"),
        ("../3.png", picture(3)),
        ("4.png", picture(4)),
        ("4.txt", b"\xff\xfe\xfa"),
    )
    found = list(read_shard(str(path), "s", None))
    assert [row.id for row in found if isinstance(row, Item)] == ["s#member=1.png", "s#member=4.png"]
    failures = {uri.partition("member=")[2]: why for uri, why in (row for row in found if isinstance(row, tuple))}
    assert set(failures) == {"1.json", "2.pdf", "../3.png", "4.txt"}
    assert "not JSON" in failures["1.json"]
    assert "leads out" in failures["../3.png"]
    assert "not UTF-8" in failures["4.txt"]


def test_a_shard_that_breaks_off_gives_what_came_before(tmp_path: Path, tar: Tar) -> None:
    path = tar(tmp_path / "s.tar", *((f"{i}.png", picture(i) + b"\0" * 3000) for i in range(5)))
    path.write_bytes(path.read_bytes()[:9000])
    found = scan(path)
    assert len(list(found)) == 2
    ((uri, why),) = found.failures
    assert uri == str(path)
    assert "end" in why


def test_shards_may_have_names_that_need_escapes(tmp_path: Path, tar: Tar) -> None:
    path = tar(tmp_path / "my shard.tar", ("a b/ü&#.png", picture(9)))
    (item,) = scan(path)
    assert item.uri == f"{path}#member=a%20b/%C3%BC%26%23.png"
    assert item.id == f"{str(path).replace(' ', '%20')}#member=a%20b/%C3%BC%26%23.png"
    assert load(item, size=10, frames=1).image is not None
