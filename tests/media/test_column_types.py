from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from mmrank.media.column_types import as_text, look_at_text, look_at_value, maker_of


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("0", "integer"),
        ("-12", "integer"),
        ("007", "text"),
        ("12345678901234567890", "text"),
        (".5", "number"),
        ("1e-3", "number"),
        ("1,5", "text"),
        ("nan", "text"),
        ("False", "truth"),
        ("2025-02-28", "date"),
        ("2025-2-28", "text"),
        ("2025-02-28 18:00", "time"),
        ("2025-02-28T18:00:00.123456Z", "zoned time"),
        ('["a"]', "list"),
        ("[1]", "text"),
        ("[draft] a note", "text"),
    ],
)
def test_what_a_cell_looks_like(cell: str, kind: str) -> None:
    assert look_at_text(cell) == kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "truth"),
        (3, "integer"),
        (3.5, "number"),
        ("3", "text"),
        ([], "empty list"),
        (["a"], "list"),
        ({}, "nested"),
    ],
)
def test_json_values_say_themselves_what_they_are(value: Any, kind: str) -> None:
    assert look_at_value(value) == kind


@pytest.mark.parametrize(
    ("kinds", "cell", "made"),
    [
        ({"integer"}, "3", 3),
        ({"integer", "number"}, "3", 3.0),
        ({"date"}, "2025-02-28", date(2025, 2, 28)),
        ({"date", "time"}, "2025-02-28", datetime(2025, 2, 28)),
        ({"zoned time"}, "2025-02-28T01:00+02:00", datetime(2025, 2, 27, 23, tzinfo=UTC)),
        ({"list"}, '["a"]', ("a",)),
        ({"list", "empty list"}, [], ()),
    ],
)
def test_cells_are_made_what_their_column_is(kinds: set[str], cell: Any, made: Any) -> None:
    maker = maker_of(kinds)
    assert maker is not None
    assert maker(cell) == made
    assert type(maker(cell)) is type(made)


@pytest.mark.parametrize("kinds", [set(), {"text"}, {"integer", "text"}, {"truth", "integer"}, {"time", "zoned time"}])
def test_other_columns_are_text(kinds: set[str]) -> None:
    assert maker_of(kinds) is None


def test_a_day_that_does_not_exist_is_refused() -> None:
    maker = maker_of({"date"})
    assert maker is not None
    with pytest.raises(ValueError, match="day"):
        maker("2025-02-30")


def test_values_as_text() -> None:
    assert [as_text(value) for value in (True, 2.5, "x", ["é"])] == ["true", "2.5", "x", '["é"]']
