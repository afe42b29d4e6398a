"""`mmrank demo`: the dozen searches, their truth, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.cli.demo_forms import EXAMPLE, FORMS, FUSED
from mmrank.cli.demo_judges import JUDGINGS
from mmrank.cli.demo_searches import INDEXES, TASKS, answer_id, dozen
from mmrank.toybox.assets import sample_media_folder, sample_queries_file
from mmrank.toybox.manifest import read_queries


def test_the_dozen_has_every_sort_of_search(tmp_path: Path) -> None:
    searches = dozen(read_queries(sample_queries_file()), sample_media_folder(), tmp_path)
    assert len(searches) == 12
    assert {wanted.index for wanted in searches} == set(INDEXES)
    assert any(wanted.query.composed for wanted in searches)
    assert any(wanted.query.images and not wanted.query.text for wanted in searches)
    assert any("where" in wanted.options for wanted in searches)
    assert any(wanted.options.get("mode") == "hybrid" for wanted in searches)


def test_every_answer_is_an_item_of_the_media_folder() -> None:
    from mmrank.media.scan import scan

    media = sample_media_folder()
    ids = {item.id for item in scan(media)}
    assert {answer_id(asked, media) for asked in read_queries(sample_queries_file())} <= ids


@pytest.mark.slow
def test_the_demo_runs_and_its_numbers_are_not_chance(run, tmp_path: Path) -> None:
    result = run("demo", "--to", tmp_path / "demo", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert len(report["searches"]) == 12
    assert [score["task"] for score in report["truth"]] == [label for label, _ in TASKS.values()]
    assert sum(score["queries"] for score in report["truth"]) == len(read_queries(sample_queries_file()))
    by_task = {score["task"]: score for score in report["truth"]}
    assert by_task["text to image"]["first"] > 0.5  # 1 in 120 by chance
    assert by_task["text to image"]["in_ten"] >= by_task["text to image"]["first"]
    page = Path(report["page"]).read_text(encoding="utf-8")
    before = len({judging.task for judging in JUDGINGS})  # one list before the judges for each task
    assert page.count("<section") == 12 + 1 + before + len(JUDGINGS)
    assert page.count("<h3>") == len(EXAMPLE)
    lists = {row["name"]: row for row in report["forms"]}
    assert list(lists) == [*FORMS, *(f"{' + '.join(names)}, fused" for names in FUSED)]
    assert lists["sum"]["first"] == by_task["image and change to image"]["first"]
    assert lists["sum"]["first"] > max(lists["image"]["first"], lists["text"]["first"])
    judged = {(row["task"], row["recipe"]): row for row in report["judged"]}
    assert len(judged) == len(JUDGINGS)
    for row in judged.values():
        assert sum(row["outcomes"].values()) == row["queries"]
        assert row["right_first_after"] <= row["in_reach"]
    assert judged["text_to_image", "yes_no@toybox-vl"]["right_first_after"] > 0.5
    assert page.count("data:image/") > 50
