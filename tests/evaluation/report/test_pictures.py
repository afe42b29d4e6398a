"""Thumbnails: once each, small, and never an exception."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from mmrank.evaluation.report.pictures import SIDE, Pictures, query_items
from mmrank.toybox import ToyboxManifest
from mmrank.types import Item, Query


def opened(coded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(coded)))


def test_every_kind_of_media_gives_a_thumbnail(toys: ToyboxManifest) -> None:
    wanted = Pictures()
    kinds = {}
    for item in toys.items:
        kinds.setdefault(item.kind, Item(id=item.path, kind=item.kind, uri=str(toys.media / item.path)))
    keys = {kind: wanted.want(item) for kind, item in kinds.items()}
    assert keys.pop("text") is None
    coded, made = wanted.made()
    assert len(coded) == len(made) == 3
    for kind, key in keys.items():
        assert key is not None
        place = made[key].place
        assert place is not None, kind
        assert max(opened(coded[place]).size) == SIDE
    page = made[keys["page"]].place  # type: ignore[index]
    assert page is not None
    assert opened(coded[page]).size[1] > opened(coded[page]).size[0]


def test_one_source_is_decoded_once_and_equal_pictures_are_there_once(toys: ToyboxManifest, tmp_path: Path) -> None:
    photo = next(item for item in toys.items if item.kind == "image")
    file = toys.media / photo.path
    copy = tmp_path / "copy.png"
    copy.write_bytes(file.read_bytes())
    wanted = Pictures()
    one = wanted.want(Item(id="a", kind="image", uri=str(file)))
    reference = wanted.want(query_items(Query(text="t", image=str(file)))[0])
    again = wanted.want(Item(id="b", kind="image", uri=str(copy)))
    assert one == reference != again
    told: list[tuple[int, int]] = []
    coded, made = wanted.made(lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert len(coded) == 1
    assert {picture.place for picture in made.values()} == {0}


def test_pictures_in_memory_and_videos_of_queries(toys: ToyboxManifest) -> None:
    clip = next(item for item in toys.items if item.kind == "video")
    red = Image.new("RGB", (300, 200), "red")
    blue = Image.fromarray(np.full((50, 60, 3), (0, 0, 255), dtype=np.uint8))
    held = io.BytesIO()
    blue.save(held, "PNG")
    query = Query(text="t", image=[red, held.getvalue()], video=str(toys.media / clip.path))
    wanted = Pictures()
    keys = [wanted.want(item) for item in query_items(query)]
    coded, made = wanted.made()
    places = [made[key].place for key in keys if key is not None]
    assert places == [0, 1, 2]
    assert [opened(coded[place or 0]).size for place in places[:2]] == [(SIDE, 75), (60, 50)]


def test_what_cannot_be_read_has_a_cause(toys: ToyboxManifest, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 64)
    (tmp_path / "empty.png").touch()
    bad = [
        Item(id="gone", kind="image", uri=str(tmp_path / "gone.png")),
        Item(id="empty", kind="image", uri=str(tmp_path / "empty.png")),
        Item(id="broken", kind="video", uri=str(broken)),
        Item(id="page", kind="page", uri=f"{next(toys.media.rglob('*.pdf'))}#page=999"),
        Item(id="nothing", kind="image"),
    ]
    wanted = Pictures()
    keys = [wanted.want(item) for item in bad]
    coded, made = wanted.made()
    assert coded == []
    for key in keys:
        assert key is not None
        assert made[key].place is None
        assert len(made[key].cause) > 10
