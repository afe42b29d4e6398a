"""`mmrank datasets`: the list, one data set, JSON."""

from __future__ import annotations

import json

from mmrank.evaluation.datasets.registry import list_datasets


def test_each_is_listed_with_splits_protocol_and_source(run) -> None:
    result = run("datasets")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for row in list_datasets():
        assert any(line.startswith(f"{row.name} ") for line in lines), row.name
    assert "val: 4,181 queries, 2,297 images" in result.stdout
    assert "github.com/miccunifi/CIRCO" in result.stdout
    assert "…" not in result.stdout
    assert max(map(len, lines)) <= 120


def test_json_has_every_data_set(run) -> None:
    rows = {row["name"]: row for row in json.loads(run("datasets", "--json").stdout)["datasets"]}
    assert set(rows) == {row.name for row in list_datasets()}
    assert rows["cirr"]["splits"][0] == {
        "name": "val",
        "size": "4,181 queries, 2,297 images",
        "tasks": {"": {"queries": 4181, "gallery": 2297}},
    }
    assert rows["cirr"]["options"][0]["values"] == ["hard", "soft"]
    assert rows["cirr"]["aliases"] == {"test": "test1"}


def test_one_data_set_in_full(run) -> None:
    words = run("datasets", "FashionIQ").stdout
    assert "fashioniq: FashionIQ" in words
    assert "(clip4cir or searle or magiclens; default: clip4cir)" in words
    assert "licence:" in words
    assert "(also: test)" in run("datasets", "cirr").stdout


def test_an_unknown_data_set_is_wrong_usage(run) -> None:
    result = run("datasets", "cir")
    assert result.exit_code == 2
    assert "Did you mean cirr?" in result.stderr
