"""`mmrank search --group-by` and `--distinct`: table, JSON, page, and a judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmrank.toybox.drawing import draw
from mmrank.toybox.grammar import sample_scenes

SETTINGS = ("--threads", 1, "--device", "cpu", "--set", "max_pixels=1024")


@pytest.fixture(scope="module")
def index(run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos, two of them in three versions each, and two notes in rows of one parent, all with a shop."""
    folder = tmp_path_factory.mktemp("groups")
    rows = []
    for number, scene in enumerate(sample_scenes(3, seed=5)):
        picture = draw(scene, 160)
        picture.save(folder / f"p{number}.png")
        if number < 2:
            picture.save(folder / f"p{number}-again.jpg", quality=70)
            picture.resize((90, 90), Image.Resampling.BICUBIC).save(folder / f"p{number}-small.png")
    for path in sorted(folder.glob("p*")):
        rows.append({"id": path.stem, "image": path.name, "shop": "north" if path.stem < "p1" else "south"})
    rows += [{"id": f"n{i}", "text": f"a note of a dog, {i}", "parent": "notes"} for i in range(2)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    where = tmp_path_factory.mktemp("index") / "groups"
    result = run("index", folder / "rows.jsonl", "--to", where, "--model", "toybox", "--threads", 1)
    assert result.exit_code == 0, result.stderr
    return where


def answer(result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_distinct_pictures_and_their_copies(run, index: Path) -> None:
    found = answer(run("search", index, "a dog", "--kind", "image", "--distinct", "-k", 3, "--json"))
    assert len(found["hits"]) == 3
    for hit in found["hits"]:
        assert {other["id"][:2] for other in hit.get("folded", ())} <= {hit["id"][:2]}
        assert set(hit.get("folded", [{}])[0]) <= {"id", "kind", "uri", "score", "rank", "by"}
    assert sorted(len(hit.get("folded", ())) for hit in found["hits"]) == [0, 2, 2]
    assert found["records"][-1]["stage"] == "distinct"
    assert found["records"][-1]["note"] == "4 hits folded behind 2 others; 7 looked at."


def test_a_hit_a_parent_or_a_column_in_table_and_page(run, index: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("search", index, "a dog", "--group-by", "shop", "-k", 9, "--html", page)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("and 2 more images: ") == 1
    assert result.stdout.count("and 3 more images: ") == 1
    assert "4 hits in" in result.stderr  # two shops, and two notes without one
    assert "group_by(shop): 5 hits folded behind 2 others; 9 looked at." in result.stderr
    text = page.read_text(encoding="utf-8")
    assert text.count('<p class="behind">and ') == 2
    assert "one hit per shop" in text
    found = answer(run("search", index, "a dog", "--group-by", "parent", "--kind", "text", "--json"))
    assert [len(hit["folded"]) for hit in found["hits"]] == [1]
    assert found["hits"][0]["folded"][0]["by"] == "parent"


def test_a_judge_looks_at_parts_and_at_no_copies(run, index: Path, tiny_judge: Path) -> None:
    judged = ("--rerank", f"yes_no@{tiny_judge}", "--depth", 6, *SETTINGS, "--json")
    found = answer(run("search", index, "a dog", "--kind", "image", "--distinct", "-k", 3, *judged))
    assert [record["stage"].partition("@")[0] for record in found["records"]][-2:] == ["distinct", "yes_no"]
    assert found["records"][-1]["calls"] == 3
    assert sum(len(hit.get("folded", ())) for hit in found["hits"]) == 4
    found = answer(run("search", index, "a dog", "--group-by", "shop", "--kind", "image", "-k", 2, *judged))
    assert [record["stage"].partition("@")[0] for record in found["records"]][-2:] == ["yes_no", "group_by(shop)"]
    assert found["records"][-2]["calls"] == 6
    assert [len(hit["folded"]) for hit in found["hits"]] in ([2, 3], [3, 2])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--group-by", "shoe"], "it has parent"),
        (["--distinct", "--distinct-from", 0.9], "give one of them"),
        (["--distinct-from", 9], "less than or equal to 1"),
    ],
)
def test_wrong_usage_is_2(run, index: Path, arguments: list[Any], said: str) -> None:
    result = run("search", index, "a dog", *arguments)
    assert result.exit_code == 2, result.stderr
    assert said in " ".join(result.stderr.replace("│", "").split())
