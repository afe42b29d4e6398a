"""Indexes for filters: which columns get one, of what kind, and that a filter says the same with it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from mmrank.index import scalar
from mmrank.index.metadata import declare

_GIVEN = runpy.run_path(str(Path(__file__).with_name("given.py")))
new_store, put, random_rows = (_GIVEN[n] for n in ("new_store", "put", "random_rows"))


def test_the_kind_of_index_follows_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(tmp_path / "index")
    types = {"price": "float", "sold": "bool", "brand": "str", "sku": "str", "tags": "list", "empty": "int"}
    declare(store.items, types)
    rows = [
        {**row, "price": i / 2, "sold": i % 2 == 0, "brand": f"b{i % 5}", "sku": f"s{i}", "tags": [f"t{i % 3}"]}
        for i, row in enumerate(random_rows(300))
    ]
    put(store, rows)
    assert scalar.make_scalar_indexes(store.items) == [], "a small table needs none"
    filters = {"price < 30": 60, "sold": 150, "brand = 'b1'": 60, "sku = 's7'": 1, "array_has(tags, 't0')": 100}
    assert {where: store.items.count_rows(where) for where in filters} == filters
    monkeypatch.setattr(scalar, "SCALAR_ROWS", 300)
    assert scalar.make_scalar_indexes(store.items) == ["price", "sold", "brand", "sku", "tags"]
    kinds = {i.columns[0]: str(i.index_type) for i in store.items.list_indices()}
    assert {name: kinds[name].lower() for name in ("price", "sold", "brand", "sku", "tags")} == {
        "price": "btree",
        "sold": "bitmap",
        "brand": "bitmap",
        "sku": "btree",
        "tags": "labellist",
    }
    assert {where: store.items.count_rows(where) for where in filters} == filters
    assert scalar.make_scalar_indexes(store.items) == []
