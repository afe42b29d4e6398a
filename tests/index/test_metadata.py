from __future__ import annotations

import string
from concurrent.futures import ThreadPoolExecutor
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
from mmrank.index import widen as widening
from mmrank.index.commit import upsert
from mmrank.index.declared import TYPES
from mmrank.index.metadata import RESERVED, add_columns, column_name, columns_of, declare, new_fields
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
        (pa.int64(), "abc", r"Column 'key' is int, and 'abc' does not fit\. Give a whole number, such as 3, or use"),
        (pa.int64(), "2.5", "is int, and '2.5'"),
        (pa.int64(), "", "is int, and ''"),
        (pa.int64(), True, "is int, and True"),
        (pa.int64(), "9" * 19, "64 bits"),
        (pa.bool_(), 1, "is bool, and 1"),
        (pa.bool_(), "maybe", "Give true or false"),
        (pa.string(), 3, "is str, and 3"),
        (pa.float64(), 2**53 + 1, r"is float, and 9007199254740993 does not fit \(beyond 2\^53\)"),
        (pa.float64(), "1,5", "is float, and '1,5'"),
        (pa.float64(), "nan", "is float, and 'nan'"),
        (pa.date32(), datetime(2024, 1, 1), "is date, and"),
        (pa.date32(), "2025-02-30", r"is date, and '2025-02-30' does not fit \(day is out of range"),
        (pa.date32(), "31.1.2025", "Give a date, such as 2025-01-31"),
        (pa.date32(), "20250131", "is date, and"),
        (pa.timestamp("us"), datetime(2024, 1, 1, tzinfo=UTC), "the value has a time zone and the column has none"),
        (pa.timestamp("us"), "2024-01-01T12:00:00Z", "the value has a time zone"),
        (pa.timestamp("us", tz="UTC"), "2024-01-01T12:00:00", "the column has a time zone"),
        (pa.list_(pa.string()), "a, b", "Give a list of texts"),
        (None, (91.0, 0.0), r"which is no place\. Give \(latitude, longitude\)"),
        (None, (float("nan"), 0.0), "which is no place"),
        (None, {"a": 1}, "must be str, int"),
        (None, b"x", "must be str, int"),
        (None, (1, 2, 3), "must be str, int"),
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


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", " -3 ", -3),
        ("float", "12.50", 12.5),
        ("float", "1e3", 1000.0),
        ("bool", "Yes", True),
        ("bool", "0", False),
        ("date", "2025-01-31", date(2025, 1, 31)),
        ("datetime", "2025-01-31 18:30", datetime(2025, 1, 31, 18, 30)),
        ("datetime", "2025-01-31", datetime(2025, 1, 31)),
        ("datetime_utc", "2025-01-31T18:30:00+01:00", datetime(2025, 1, 31, 17, 30, tzinfo=UTC)),
    ],
)
def test_strings_are_read_as_the_columns_type(kind: str, text: str, value: Any) -> None:
    schema = PLAIN.append(pa.field("key", TYPES[kind].arrow))
    found = columns_of(schema, {"key": text}, settled=True)
    assert found == {"key": value}
    assert type(found["key"]) is type(value)
    assert pa.array([found["key"]], TYPES[kind].arrow).to_pylist() == [value]


def test_a_place_is_two_columns_that_a_filter_can_name(store: Store) -> None:
    add_columns(store.items, [{"where": (52.5, 13)}])
    assert store.items.schema.names[-2:] == ["where_lat", "where_lon"]
    schema = store.items.schema
    assert columns_of(schema, {"where": "-33.9 , 18.4"}) == {"where_lat": -33.9, "where_lon": 18.4}
    for wrong in ("Berlin", (0.0, 181.0)):
        with pytest.raises(UsageError, match="no place"):
            columns_of(schema, {"where": wrong})


def test_declared_columns_are_there_before_any_value(store: Store) -> None:
    types = {"price": "float", "Taken On": "date", "where": "place", "tags": "list"}
    for _ in range(2):  # the second time nothing is new
        declare(store.items, types)
    kinds = {f.name: f.type for f in store.items.schema if f.name not in OWN_COLUMNS}
    assert kinds == {
        "price": pa.float64(),
        "Taken_On": pa.date32(),
        "where_lat": pa.float64(),
        "where_lon": pa.float64(),
        "tags": pa.list_(pa.string()),
    }
    assert columns_of(store.items.schema, {"price": 3, "Taken On": "2025-01-31"}) == {
        "price": 3.0,
        "Taken_On": date(2025, 1, 31),
    }


def test_wrong_declarations_are_refused_and_change_nothing(store: Store) -> None:
    add_columns(store.items, [{"year": "this year"}])
    version = store.items.version
    for types, why in (
        ({"price": "flaot"}, "Did you mean 'float'"),
        ({"new": "int", "year": "int"}, "declared int, but the column in this index is str. Declare it str"),
        ({"a b": "int", "a.b": "int"}, "go into column 'a_b'"),
    ):
        with pytest.raises(UsageError, match=why):
            declare(store.items, types)
    store.refresh()
    assert store.items.version == version


def fill(table: Any, values: dict[str, int | float | None]) -> None:
    """Rows with a price, as a build writes them."""
    schema = table.schema
    vector = [0.0] * schema.field("vector").type.list_size
    rows = [{"id": i, "kind": "image", "content": i, "vector": vector, "price": p} for i, p in values.items()]
    upsert(table, pa.Table.from_pylist(rows, schema=schema))


def prices(table: Any) -> dict[str, Any]:
    table.checkout_latest()
    return {row["id"]: row["price"] for row in table.search().select(["id", "price"]).to_list()}


def test_whole_numbers_become_floats_when_one_comes(store: Store) -> None:
    add_columns(store.items, [{"price": 3}])
    fill(store.items, {"a": 3, "b": None})
    assert columns_of(store.items.schema, {"price": 2.5}) == {"price": 2.5}
    add_columns(store.items, [{"price": 2.5}])
    assert store.items.schema.field("price").type == pa.float64()
    assert not [name for name in store.items.schema.names if name.startswith(("_wide_", "_was_"))]
    assert prices(store.items) == {"a": 3.0, "b": None}
    assert columns_of(store.items.schema, {"price": 2.5}, settled=True) == {"price": 2.5}


def test_numbers_that_a_float_cannot_hold_keep_their_column(store: Store) -> None:
    add_columns(store.items, [{"price": 3}])
    fill(store.items, {"a": 2**53 + 1})
    add_columns(store.items, [{"price": 2.5}])
    assert prices(store.items) == {"a": 2**53 + 1}
    with pytest.raises(UsageError, match=r"2\.5 does not fit \(the column holds whole numbers beyond 2\^53"):
        columns_of(store.items.schema, {"price": 2.5}, settled=True)
    with pytest.raises(UsageError, match="declared float, but its column holds whole numbers beyond"):
        declare(store.items, {"price": "float"})


def test_first_whole_then_another_number_makes_one_float_column() -> None:
    assert new_fields(PLAIN, [{"price": 3}, {"price": 2.5}]) == [pa.field("price", pa.float64())]


@pytest.mark.parametrize("killed", ["copied", "exchanged"])
def test_what_a_kill_left_of_a_widening_is_finished_and_late_rows_are_kept(store: Store, killed: str) -> None:
    add_columns(store.items, [{"price": 3}])
    fill(store.items, {"a": 3, "b": 4})
    store.items.add_columns({"_wide_price": "cast(price as double)"})
    late = Store.open(store.uri).items
    narrow = pa.schema([f for f in late.schema if f.name != "_wide_price"])
    vector = [0.0] * narrow.field("vector").type.list_size
    row = {"id": "a", "kind": "image", "content": "a", "vector": vector, "price": 7}
    upsert(late, pa.Table.from_pylist([row, {**row, "id": "new"}], schema=narrow))
    if killed == "exchanged":
        store.items.checkout_latest()
        store.items.alter_columns({"path": "price", "rename": "_was_price"}, {"path": "_wide_price", "rename": "price"})
    add_columns(store.items, [{"price": 2.5}])
    assert store.items.schema.field("price").type == pa.float64()
    assert not [name for name in store.items.schema.names if name.startswith(("_wide_", "_was_"))]
    assert prices(store.items) == {"a": 7.0, "b": 4.0, "new": 7.0}


def test_two_processes_widen_at_once_while_a_third_writes(store: Store) -> None:
    add_columns(store.items, [{"price": 3}])
    fill(store.items, {f"row{i}": i for i in range(50)})
    tables = [Store.open(store.uri).items for _ in range(3)]
    schema = tables[2].schema

    def write() -> None:
        vector = [0.0] * schema.field("vector").type.list_size
        for i in range(12):
            row = {"id": f"row{i}", "kind": "image", "content": "c", "vector": vector, "price": 100 + i}
            upsert(tables[2], pa.Table.from_pylist([row, {**row, "id": f"new{i}"}], schema=schema))

    with ThreadPoolExecutor(3) as pool:
        works = [pool.submit(widening.widen, table, "price") for table in tables[:2]]
        for work in [pool.submit(write), *works]:
            work.result()
    widening.settle(store.items)
    expected = {f"row{i}": float(100 + i if i < 12 else i) for i in range(50)}
    assert prices(store.items) == expected | {f"new{i}": float(100 + i) for i in range(12)}
