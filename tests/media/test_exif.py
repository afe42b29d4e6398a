"""Pictures whose EXIF Pillow writes, and EXIF that no program should have written."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmrank.media.exif import PICTURE_KEYS, picture_meta
from mmrank.types import MetaValue

TOKYO = {1: "N", 2: (35.0, 41.0, 22.5), 3: "E", 4: (139.0, 41.0, 30.0)}


def exif(
    main: Mapping[int, Any] | None = None,
    detail: Mapping[int, Any] | None = None,
    gps: Mapping[int, Any] | None = None,
) -> Image.Exif:
    made = Image.Exif()
    made.update(main or {})
    made.get_ifd(0x8769).update(detail or {})
    made.get_ifd(0x8825).update(gps or {})
    return made


def meta_of(tmp_path: Path, made: Image.Exif, name: str = "a.jpg", size: tuple[int, int] = (8, 6)) -> dict[str, Any]:
    Image.new("RGB", size).save(tmp_path / name, exif=made.tobytes())
    return dict(picture_meta(tmp_path / name))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff", "a.avif"])
def test_what_a_camera_writes(tmp_path: Path, name: str) -> None:
    main = {0x010F: "FUJIFILM", 0x0110: "X100V", 0x0132: "2025:06:01 00:00:00"}
    detail = {0x9003: "2025:01:02 03:04:05", 0x9011: "+09:00"}
    expected = {
        "width": 8,
        "height": 6,
        "camera": "FUJIFILM X100V",
        "taken": datetime(2025, 1, 2, 3, 4, 5),
        "taken_utc": datetime(2025, 1, 1, 18, 4, 5, tzinfo=UTC),
        "latitude": 35.6895833,
        "longitude": 139.6916667,
    }
    assert meta_of(tmp_path, exif(main, detail, TOKYO), name) == expected
    assert list(expected) == list(PICTURE_KEYS)


def test_a_heic(tmp_path: Path) -> None:
    import pillow_heif

    made = exif({0x0110: "iPhone 12"}, {0x9003: "2025:01:02 03:04:05"})
    picture = pillow_heif.from_pillow(Image.new("RGB", (64, 48)))
    picture.save(tmp_path / "a.heic", exif=made.tobytes())
    told = picture_meta(tmp_path / "a.heic")
    assert (told["camera"], told["taken"]) == ("iPhone 12", datetime(2025, 1, 2, 3, 4, 5))
    assert (told["width"], told["height"]) == (64, 48)


def test_a_picture_without_exif_has_its_size(tmp_path: Path) -> None:
    assert meta_of(tmp_path, exif()) == {"width": 8, "height": 6}


def test_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    assert meta_of(tmp_path, exif({0x0112: 6})) == {"width": 6, "height": 8}
    assert meta_of(tmp_path, exif({0x0112: 3})) == {"width": 8, "height": 6}


def test_south_and_west_are_negative(tmp_path: Path) -> None:
    told = meta_of(tmp_path, exif(gps={**TOKYO, 1: "S", 3: "W"}))
    assert (told["latitude"], told["longitude"]) == (-35.6895833, -139.6916667)


@pytest.mark.parametrize(
    "wrong",
    [
        {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
        {2: (95.0, 0.0, 0.0)},
        {4: (181.0, 0.0, 0.0)},
        {2: (35.0, 75.0, 0.0)},
        {2: (35.0, 41.0)},
        {1: "X"},
        {1: None},
        {3: None},
        {4: None},
    ],
)
def test_places_that_make_no_sense_are_unknown(tmp_path: Path, wrong: dict[int, Any]) -> None:
    gps = {tag: value for tag, value in {**TOKYO, **wrong}.items() if value is not None}
    assert meta_of(tmp_path, exif(gps=gps)) == {"width": 8, "height": 6}


def test_a_division_by_zero_is_no_place(tmp_path: Path) -> None:
    made = exif(gps=TOKYO)
    raw = made.tobytes()
    whole = struct.pack("<LL", 35, 1) if raw[6:8] == b"II" else struct.pack(">LL", 35, 1)
    zero = struct.pack("<LL", 35, 0) if raw[6:8] == b"II" else struct.pack(">LL", 35, 0)
    assert whole in raw
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=raw.replace(whole, zero))
    assert picture_meta(tmp_path / "a.jpg") == {"width": 8, "height": 6}


def test_times_in_their_order_and_with_their_own_offset(tmp_path: Path) -> None:
    digitised = {0x9004: "2024:05:06 07:08:09", 0x9012: "-05:00", 0x9011: "+09:00"}
    told = meta_of(tmp_path, exif({0x0132: "2025:01:01 00:00:00"}, digitised))
    assert told["taken_utc"] == datetime(2024, 5, 6, 12, 8, 9, tzinfo=UTC)
    nothing = {0x9003: "0000:00:00 00:00:00", 0x9004: "    :  :     :  :  "}
    assert meta_of(tmp_path, exif({0x0132: "2025:01:01 00:00:00"}, nothing))["taken"] == datetime(2025, 1, 1)


def test_satellites_know_utc(tmp_path: Path) -> None:
    gps = {**TOKYO, 7: (18.0, 4.0, 5.0), 29: "2025:01:01"}
    told = meta_of(tmp_path, exif(detail={0x9003: "2025:01:02 03:04:05"}, gps=gps))
    assert told["taken_utc"] == datetime(2025, 1, 1, 18, 4, 5, tzinfo=UTC)
    lost = meta_of(tmp_path, exif(detail={0x9003: "2010:01:01 00:00:00"}, gps=gps))
    assert lost["taken"] == datetime(2010, 1, 1)
    assert "taken_utc" not in lost


def test_types_are_the_same_whatever_the_file_claims(tmp_path: Path) -> None:
    told = meta_of(tmp_path, exif({0x0132: 20250101}, {0x9003: 5}, {1: 3, 2: 35.0, 3: "E", 4: (1.0,)}))
    assert told == {"width": 8, "height": 6}


def test_exif_that_leads_in_circles_or_nowhere(tmp_path: Path) -> None:
    def ifd(*entries: bytes, following: int = 0) -> bytes:
        return struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<L", following)

    head = b"Exif\x00\x00II*\x00" + struct.pack("<L", 8)
    circle = head + ifd(struct.pack("<HHLL", 0x8769, 4, 1, 8), struct.pack("<HHLL", 0x8825, 4, 1, 8), following=8)
    nowhere = head + ifd(struct.pack("<HHLL", 0x8769, 4, 1, 0xFFFF_FF00), struct.pack("<HHLL", 0x010F, 2, 9, 0xFFFF))
    huge = head + ifd(struct.pack("<HHLL", 0x010F, 2, 0xFFFF_FFFF, 8), struct.pack("<HHLL", 0x9003, 10, 1 << 31, 8))
    for raw in (circle, nowhere, huge, head, b"Exif\x00\x00", b"Exif\x00\x00MM\x00*"):
        Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=raw)
        told = picture_meta(tmp_path / "a.jpg")
        assert (told["width"], told["height"]) == (8, 6)
        assert told.keys() <= {"width", "height", "camera"}


KINDS: dict[str, type] = {"width": int, "height": int, "camera": str, "latitude": float, "longitude": float}


def check_types(told: Mapping[str, MetaValue]) -> None:
    for key, value in told.items():
        assert isinstance(value, KINDS.get(key, datetime))
        if isinstance(value, datetime):
            assert (value.tzinfo is not None) == (key == "taken_utc")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=12), cut=st.integers(0, 400))
def test_damage_anywhere_never_raises_and_never_changes_a_type(
    tmp_path: Path, places: list[tuple[int, int]], cut: int
) -> None:
    made = exif({0x010F: "FUJIFILM", 0x0110: "X100V"}, {0x9003: "2025:01:02 03:04:05", 0x9011: "+09:00"}, TOKYO)
    Image.new("RGB", (8, 6)).save(tmp_path / "whole.jpg", exif=made)
    data = bytearray((tmp_path / "whole.jpg").read_bytes())
    for place, value in places:
        data[place % len(data)] = value
    (tmp_path / "a.jpg").write_bytes(bytes(data[: len(data) - cut]))
    check_types(picture_meta(tmp_path / "a.jpg"))


@pytest.mark.parametrize("data", [b"", b"junk", b"\xff\xd8\xff\xe1\xff\xff"])
def test_what_is_no_picture_tells_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    assert picture_meta(tmp_path / "a.jpg") == {}
    assert picture_meta(tmp_path) == picture_meta(tmp_path / "gone.jpg") == {}


def test_no_pixel_is_decoded(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png", exif=exif({0x0110: "X"}))
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: data.index(b"IDAT") + 4])
    assert picture_meta(tmp_path / "a.png") == {"width": 64, "height": 64, "camera": "X"}
