"""Filters: Lance reads all of one or none of it; what it cannot read is refused before anything is searched."""

from __future__ import annotations

import runpy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.index import filters, view
from mmrank.index.filters import LANCE_ERRORS, both, check_filter, quoted, whole
from mmrank.index.index import Index
from mmrank.index.metadata import declare

_GIVEN = runpy.run_path(str(Path(__file__).with_name("given.py")))
new_store, put, random_rows = (_GIVEN[n] for n in ("new_store", "put", "random_rows"))
WordHashEmbedder = _GIVEN["WordHashEmbedder"]

HALF_READ = (
    "id = 'i1' LIMIT 3",
    "id = 'i1'; DROP TABLE items",
    "id = 'i1' ORDER BY id",
    "id = 'i1' an kind = 'page'",
    "id != 'i1') AND (id != 'i2'",
    "id = 'i1')",
    "(id = 'i1'",
    "id = 'i1' /* no end",
    "id = 'i1' --) \n LIMIT 3",
    "",
    "-- nothing",
)
READABLE = {
    "id = 'i1' -- the first": ["i1"],
    "id IN ('i1', 'i2') /* ) */": ["i1", "i2"],
    "id = 'i1' OR id = ')'": ["i1"],
    "id = 'i1' OR id = 'it''s ('": ["i1"],
    "(id = 'i1')": ["i1"],
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    store = new_store(tmp_path_factory.mktemp("filters") / "index")
    put(store, random_rows(12, kinds=("image", "text")))
    return Index(store, WordHashEmbedder())


@pytest.fixture(params=["matrix", "table"])
def either(request: pytest.FixtureRequest, index: Index) -> Index:
    return index if request.param == "matrix" else Index(index._store, WordHashEmbedder(), exact_bytes=0)


@pytest.mark.parametrize("where", HALF_READ)
def test_a_filter_that_lance_would_read_half_of_is_refused_everywhere(either: Index, where: str) -> None:
    for mode in ("vector", "text", "hybrid"):
        with pytest.raises(UsageError, match="filter"):
            either.search("number", where=where, mode=mode, kinds=["image"])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="filter"):
        either.search_vectors(WordHashEmbedder().embed_texts(["a"]), where=where)
    with pytest.raises(UsageError, match="filter"):
        either.delete(where)
    assert len(either) == 12


@pytest.mark.parametrize("where", READABLE)
def test_comments_quotes_and_brackets_are_read_as_sql_reads_them(either: Index, where: str) -> None:
    for mode in ("vector", "text", "hybrid"):
        found = either.search("number", where=where, mode=mode, kinds=["image", "text"])  # type: ignore[arg-type]
        assert sorted(found.ids) == READABLE[where]


def test_a_filter_is_checked_once_for_a_version_and_never_without_one(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(view, "check_filter", lambda table, where: asked.append(where))
    table = Index(index._store, WordHashEmbedder(), exact_bytes=0)  # a matrix in memory is asked itself
    for where in (None, "id = 'i1'", "id = 'i1'", None, "id = 'i2'", "id = 'i1'"):
        table.search("number", where=where)
    assert asked == ["id = 'i1'", "id = 'i2'"]


def test_a_filter_that_breaks_off_is_told_so(either: Index) -> None:
    """The brackets that Lance saw were not the caller's."""
    with pytest.raises(UsageError, match="Expected: an expression, found: its end"):
        either.search("x", where="id <")


def test_a_table_that_cannot_be_read_is_not_the_filters_fault(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    put(store, random_rows(3))
    for file in (tmp_path / "index" / "items.lance" / "data").iterdir():
        file.unlink()
    with pytest.raises(LANCE_ERRORS) as caught:
        check_filter(store.items, "id = 'i1'")
    assert not isinstance(caught.value, UsageError)


@given(st.text(alphabet="()'\"a-*/ \n", max_size=12))
def test_quoted_text_closes_no_bracket(text: str) -> None:
    condition = f"id = {quoted(text)}"
    assert whole(condition) == f"({condition}\n)"
    assert both(condition, None) == whole(condition)
    with pytest.raises(UsageError, match="closes no bracket"):
        whole(f"{condition})")


def test_no_condition_is_none() -> None:
    assert both(None, None) is None
    assert filters.one_of("id", []) == "false"


def test_delete_removes_what_the_whole_filter_says(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    put(store, random_rows(4))
    index: Any = Index(store, WordHashEmbedder())
    assert index.delete("id = 'i1' -- OR true") == 1
    assert len(index) == 3


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("prize < 3", r"cannot be used: No field named prize\. "),
        ("kind = 'a' LIMIT 3", r"cannot be used: LIMIT cannot stand there\."),
        ("kind = 'a", "Unterminated string literal"),
    ],
)
def test_the_reason_is_said_without_its_wrapping(index: Index, where: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check_filter(index._store.items, where)


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    store = new_store(tmp_path_factory.mktemp("typed") / "index")
    declare(store.items, {"price": "float", "year": "int", "taken": "date", "sold": "bool", "tags": "list"})
    put(store, [{**row, "price": 50.0, "taken": date(2025, 3, 1), "tags": ["cat"]} for row in random_rows(2)])
    return store.items


@pytest.mark.parametrize(
    "where", ["price < 80 and taken >= date '2025-01-01'", "array_has(tags, 'cat')", "PRICE BETWEEN 1 AND 60"]
)
def test_filters_over_typed_columns(typed: Any, where: str) -> None:
    check_filter(typed, where)
    assert typed.count_rows(where) == 2


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("prce < 80", r"No field named prce\. Did you mean price\?"),
        ("price < 'abc'", "'abc' is compared with a column of numbers; write numbers without quotes"),
        ("year < 2.5", "2.5 is compared with a column of whole numbers"),
        ("taken >= '2025-01-01'", "'2025-01-01' is compared with a column of dates; write dates as in taken >= date '"),
        ("taken >= date '2025-01-x'", "'2025-01-x' is none of the dates; write dates as in"),
        ("taken > 3", "3 is compared with a column of dates"),
        ("tags = 'cat'", r"a column of lists of texts; ask what is in them, as in array_has\(tags, 'cat'\)"),
        ("sold = 'x'", "a column of true or false"),
        ("uri < 3", "3 is compared with a column of text; write texts in single quotes"),
        ('uri = "a b"', r"No field named \"a b\"\. Texts go in single quotes: 'a b'"),
        ("len(uri) > 3", "Invalid function 'len'"),
        ("price < 'abc'", r"over the columns id, kind, .*price \(float\), year \(int\), taken \(date\)"),
    ],
)
def test_a_value_of_another_type_is_said_in_plain_words(typed: Any, where: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        check_filter(typed, where)
    assert ".rs" not in str(caught.value)
    assert "Lance" not in str(caught.value)
