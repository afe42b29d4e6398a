from __future__ import annotations

import string
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.index.metadata import RESERVED, add_columns, column_name, columns_of, new_fields
from mmrank.index.rows import row_to_item
from mmrank.index.schema import OWN_COLUMNS
from mmrank.index.store import Store

PLAIN = pa.schema([pa.field("id", pa.string(), nullable=False)])


@pytest.mark.parametrize(
    ("key", "column"),
    [
        ("year", "year"),
        ("Year", "Year"),
        ("date", "date"),
        ("File Name", "File_Name"),
        ("a.b", "a_b"),
        ("größe", "gr__e"),
        ("2024", "meta_2024"),
        ("_rowid", "meta_rowid"),
        ("ID", "meta_ID"),
        ("vector", "meta_vector"),
        ("null", "meta_null"),
    ],
)
def test_names(key: str, column: str) -> None:
    assert column_name(key) == column


@pytest.mark.parametrize("key", ["", "_", "学习", " "])
def test_a_key_without_a_letter_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="no letter or digit"):
        column_name(key)


@given(st.text(min_size=1))
def test_every_name_is_safe(key: str) -> None:
    try:
        name = column_name(key)
    except UsageError:
        return
    assert set(name) <= set(string.ascii_letters + string.digits + "_")
    assert name[0] in string.ascii_letters
    assert name.lower() not in RESERVED
    assert column_name(name) == name


def test_filters_work_on_names_that_are_sql_words(tmp_path: Path) -> None:
    """What `SQL_WORDS` leaves out is really fine, and what it holds is mended by the name it gets."""
    keys = ["order", "group", "from", "select", "date", "user", "all", "not", "null", "true", "interval", "trim", "id"]
    meta: dict[str, Any] = dict.fromkeys(keys, 7)
    fields = new_fields(PLAIN, [meta])
    schema = pa.schema([*PLAIN, *fields])
    table = lancedb.connect(tmp_path).create_table("t", schema=schema)
    table.add(pa.table([["x"], *([[7]] * len(fields))], schema=schema))
    for field in fields:
        assert table.count_rows(f"{field.name} IS NOT NULL AND {field.name} > 6 AND {field.name} IN (7)") == 1, field


VALUES: list[tuple[Any, pa.DataType, Any]] = [
    (True, pa.bool_(), True),
    (3, pa.int64(), 3),
    (np.int32(3), pa.int64(), 3),
    (2.5, pa.float64(), 2.5),
    (np.float32(2.5), pa.float64(), 2.5),
    ("a", pa.string(), "a"),
    (np.str_("a"), pa.string(), "a"),
    (date(2024, 2, 29), pa.date32(), date(2024, 2, 29)),
    (datetime(2024, 2, 29, 12, 30), pa.timestamp("us"), datetime(2024, 2, 29, 12, 30)),
    (
        datetime(2024, 2, 29, 1, tzinfo=timezone(timedelta(hours=2))),
        pa.timestamp("us", tz="UTC"),
        datetime(2024, 2, 28, 23, tzinfo=UTC),
    ),
    (("a", "b"), pa.list_(pa.string()), ("a", "b")),
    ((), pa.list_(pa.string()), ()),
]


@pytest.mark.parametrize(("value", "kind", "back"), VALUES)
def test_types(value: Any, kind: pa.DataType, back: Any) -> None:
    meta = {"key": value}
    [field] = new_fields(PLAIN, [{"key": None}, meta])
    assert field == pa.field("key", kind)
    columns = columns_of(pa.schema([*PLAIN, field]), meta)
    stored = pa.array([columns["key"]], kind).to_pylist()[0]
    assert stored == columns["key"]  # so that a build sees that nothing has changed
    assert row_to_item({"id": "a", "kind": "image", "key": stored}).meta == {"key": back}


_scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]))).map(tuple),
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), _scalars | st.none()))
def test_what_goes_in_comes_out(meta: dict[str, Any]) -> None:
    schema = pa.schema([*PLAIN, *new_fields(PLAIN, [meta])])
    columns = columns_of(schema, meta)
    values = [["x"], *([columns.get(f.name)] for f in list(schema)[1:])]
    back = row_to_item({"kind": "text", **pa.table(values, schema=schema).to_pylist()[0]}).meta
    assert back == {key: value for key, value in meta.items() if value is not None}


@pytest.mark.parametrize("value", [None, float("nan"), np.float64("nan")])
def test_unknown_values_make_no_column(value: Any) -> None:
    assert new_fields(PLAIN, [{"key": value}]) == []
    assert columns_of(PLAIN, {"key": value}) == {}


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (pa.int64(), "abc", "Column 'key' is int64, and 'abc' does not fit"),
        (pa.int64(), 2.5, "is int64, and 2.5"),
        (pa.int64(), True, "is int64, and True"),
        (pa.bool_(), 1, "is bool, and 1"),
        (pa.string(), 3, "is string, and 3"),
        (pa.float64(), 2**53 + 1, "is double"),
        (pa.date32(), datetime(2024, 1, 1), "is date32"),
        (pa.timestamp("us"), datetime(2024, 1, 1, tzinfo=UTC), "does not fit"),
        (None, {"a": 1}, "must be str, int"),
        (None, b"x", "must be str, int"),
        (None, (1, 2), "must be str, int"),
        (None, 2**63, "64 bits"),
        (None, "\udcff", "not valid Unicode"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(kind: pa.DataType | None, value: Any, why: str) -> None:
    schema = PLAIN if kind is None else PLAIN.append(pa.field("key", kind))
    with pytest.raises(UsageError, match=why):
        columns_of(schema, {"key": value})
    assert new_fields(schema, [{"key": value}]) == []


def test_whole_numbers_go_into_a_float_column() -> None:
    columns = columns_of(PLAIN.append(pa.field("price", pa.float64())), {"price": 3})
    assert columns == {"price": 3.0}
    assert isinstance(columns["price"], float)


def test_case_does_not_make_another_column() -> None:
    schema = PLAIN.append(pa.field("Year", pa.int64()))
    assert columns_of(schema, {"year": 1}) == {"Year": 1}
    assert new_fields(schema, [{"YEAR": 1}]) == []
    assert [f.name for f in new_fields(PLAIN, [{"Year": 1}, {"year": 2}])] == ["Year"]


def test_two_keys_of_one_column_are_refused() -> None:
    with pytest.raises(UsageError, match="Two metadata keys go into column 'File_Name'"):
        columns_of(PLAIN, {"File Name": "a", "File-Name": "b"})


def test_the_first_type_wins_and_what_cannot_be_stored_makes_no_column() -> None:
    metas: list[dict[str, Any]] = [{"a": b"bytes", "b": 1}, {"a": "text", "b": 2.5}, {"b": 3}]
    assert new_fields(PLAIN, metas) == [pa.field("a", pa.string()), pa.field("b", pa.float64())]


def test_columns_are_added_by_two_at_once(store: Store) -> None:
    """Both looked at the same version; Lance lets one of them go first."""
    other = Store.open(store.uri)
    add_columns(store.items, [{"year": 2024}])
    add_columns(other.items, [{"year": 2025, "place": "sea"}])
    store.refresh()
    assert store.items.schema.names == [*OWN_COLUMNS, "year", "place"]


def test_a_type_that_another_process_chose_first_holds(store: Store) -> None:
    other = Store.open(store.uri)
    add_columns(store.items, [{"year": 2024}])
    add_columns(other.items, [{"year": "this year", "place": "sea"}])
    assert other.items.schema.field("year").type == pa.int64()
    with pytest.raises(UsageError, match="'this year'"):
        columns_of(other.items.schema, {"year": "this year"})
