"""`mmrank models`."""

from __future__ import annotations

import json

from mmrank.cli.models import download_size
from mmrank.embed.registry import list_models, parse_spec


def test_json_names_every_model_and_one_default(run) -> None:
    rows = json.loads(run("models", "--json").stdout)["models"]
    assert [row["alias"] for row in rows] == [model.alias for model in list_models()]
    assert sum(row["default"] for row in rows) == 1
    for row in rows:
        parse_spec(row["spec"])
        assert row["good_for"]
        assert row["licence"]


def test_the_table_shows_name_size_and_purpose(run) -> None:
    words = " ".join(run("models").stdout.split())
    for model in list_models():
        assert model.alias in words
        assert download_size(model.download_mb) in words
