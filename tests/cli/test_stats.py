"""`mmrank stats`: an index described, from a build with declared metadata to its failures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROWS = """sku,photo,price,taken,brand
a1,one.jpg,12,2025-01-31,Leica
a2,two.jpg,99.5,2024-06-01,Nikon
a3,three.jpg,7,yesterday,
"""


@pytest.fixture
def shop(picture: bytes, tmp_path: Path) -> Path:
    """A table with three photos, one of them broken, and a config that declares its columns."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(picture)
    (folder / "two.jpg").write_bytes(picture[:40])
    (folder / "three.jpg").write_bytes(picture)
    (folder / "rows.csv").write_text(ROWS, encoding="utf-8")
    (folder / "shop.toml").write_text(
        'paths = ["rows.csv"]\nto = "shop.index"\nmodel = "toybox"\nthreads = 1\n'
        'columns = {id = "sku", image = "photo"}\n[metadata]\nprice = "float"\ntaken = "date"\nshop = "place"\n',
        encoding="utf-8",
    )
    return folder


def test_stats_of_declared_metadata_and_failures(run, shop: Path) -> None:
    built = run("index", "--config", shop / "shop.toml", "--json")
    assert built.exit_code == 0, built.stderr
    why = dict(json.loads(built.stdout)["failed"])
    assert any("Column 'taken' is date, and 'yesterday' does not fit" in reason for reason in why.values())
    folder = shop / "shop.index"
    told = json.loads(run("stats", folder, "--json").stdout)
    assert (told["rows"], told["kinds"], told["failures"]) == (1, {"image": 1}, 2)
    columns = {column["name"]: column for column in told["metadata"]}
    assert columns["price"] == {"name": "price", "type": "float", "filled": 1.0, "least": 12.0, "most": 12.0}
    assert columns["taken"]["least"] == "2025-01-31"
    assert columns["brand"]["examples"] == ["Leica"]
    assert columns["shop_lat"]["filled"] == 0.0
    assert sorted(one["why"] for one in told["failed"]) == sorted(why.values())
    shown = run("stats", folder)
    assert shown.exit_code == 0
    assert "Items       1 (1 image)" in shown.stdout
    assert "2 failures:" in shown.stdout
    assert max(map(len, shown.stdout.split("2 failures:")[0].splitlines())) <= 80
    whole = run("stats", folder, "--failures").stdout
    assert "yesterday" in whole
    assert max(map(len, whole.splitlines())) > 120
    assert max(map(len, shown.stdout.splitlines())) <= 120  # what a pipe is given; a terminal's own width on one
    assert shown.stdout.endswith("…\n  --failures shows them whole\n") or "…" in shown.stdout
    found = json.loads(
        run("search", folder, "a red cube", "--where", "price < 80 and taken >= date '2025-01-01'", "--json").stdout
    )
    assert [hit["id"] for hit in found["hits"]] == ["a1"]
    wrong = run("search", folder, "a red cube", "--where", "prce < 80")
    assert wrong.exit_code == 2
    assert "Did you mean price?" in wrong.stderr


def test_a_wrong_type_in_the_config_is_wrong_usage(run, shop: Path) -> None:
    config = shop / "shop.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('"date"', '"dates"'), encoding="utf-8")
    result = run("index", "--config", config)
    assert result.exit_code == 2
    assert "'taken' is declared 'dates'" in result.stderr
    assert "Did you mean 'date'?" in result.stderr


def test_no_index_is_said(run, tmp_path: Path) -> None:
    result = run("stats", tmp_path / "nothing")
    assert result.exit_code == 1
    assert "There is no index" in result.stderr
