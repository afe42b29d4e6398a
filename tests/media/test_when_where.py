from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.media.when_where import FIRST_YEAR, MAX_WORDS, camera, clock, offset, place, place_of_text, taken, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025:01:02 03:04:05", datetime(2025, 1, 2, 3, 4, 5)),
        ("2025:01:02 03:04:05\x00", datetime(2025, 1, 2, 3, 4, 5)),
        ("2025-01-02T03:04:05.25Z", datetime(2025, 1, 2, 3, 4, 5, 250_000, UTC)),
        ("2025-01-02T03:04:05+0900", datetime(2025, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=9)))),
        ("2025-01-02", datetime(2025, 1, 2)),
        ("2025-01-02 03:04", datetime(2025, 1, 2, 3, 4)),
        ("    :  :     :  :  ", None),
        ("2025:13:02 03:04:05", None),
        ("2025:02:30 03:04:05", None),
        ("2025:01:02 24:00:00", None),
        ("1503:01:02 03:04:05", None),
        ("", None),
        (None, None),
        (b"2025:01:02 03:04:05", None),
        (20250102, None),
    ],
)
def test_times_are_read_or_refused(text: object, expected: datetime | None) -> None:
    assert clock(text) == expected


@settings(deadline=None)
@given(st.text() | st.integers() | st.none())
def test_any_text_is_a_time_or_none(text: object) -> None:
    told = clock(text)
    assert told is None or told.year >= FIRST_YEAR
    assert all(isinstance(value, datetime) for value in taken(told).values())


@pytest.mark.parametrize("text", ["+15:00", "9", "+9:00", "", None, 9])
def test_offsets_that_no_place_has(text: object) -> None:
    assert offset(text) is None


def test_a_time_without_zone_is_not_taken_for_utc() -> None:
    assert taken(datetime(2025, 1, 2)) == {"taken": datetime(2025, 1, 2)}
    west = datetime(2025, 1, 1, 20, tzinfo=timezone(timedelta(hours=-5)))
    assert taken(west) == {"taken": datetime(2025, 1, 1, 20), "taken_utc": datetime(2025, 1, 2, 1, tzinfo=UTC)}
    end = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5)))
    assert taken(end) == {"taken": datetime(9999, 12, 31, 23)}


@pytest.mark.parametrize(
    "pair", [(0, 0), (90.5, 1), (1, 180.5), (math.nan, 1), (1, math.inf), (None, 1), ("1", 2), (True, 1)]
)
def test_places_that_are_none(pair: tuple[object, object]) -> None:
    assert place(*pair) == {}


def test_places() -> None:
    assert place(0, 12.5) == {"latitude": 0.0, "longitude": 12.5}
    assert place_of_text("-33.8568+151.2153+058.3CRSWGS_84/") == {"latitude": -33.8568, "longitude": 151.2153}
    assert place_of_text("nowhere") == place_of_text(None) == place_of_text("+95+010/") == {}


def test_a_maker_is_not_said_twice() -> None:
    assert camera("FUJIFILM", "X100V") == "FUJIFILM X100V"
    assert camera("Canon\x00", "Canon EOS 5D\x00\x00") == "Canon EOS 5D"
    assert camera(None, "X100V") == "X100V"
    assert camera(" ", b"bytes") is None


def test_words_are_bounded_and_printable() -> None:
    assert words("a\x00b\n\ud800c") == "a b c"
    assert len(words("x" * 100_000) or "") == MAX_WORDS
