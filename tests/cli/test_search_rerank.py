"""`mmrank search --rerank`: the head of a search in a judge's order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.cli.judging import settings, told
from mmrank.errors import UsageError
from mmrank.types import Hit, Item, Query, Ranking, Record

SETTINGS = ("--threads", 1, "--device", "cpu", "--set", "max_pixels=1024")


def found(result) -> list[dict]:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["hits"]


def test_the_head_is_judged_and_the_search_stays_in_the_trace(run, toy_index: Path, tiny_judge: Path) -> None:
    plain = json.loads(run("search", toy_index, "a dog", "-k", 6, "--json").stdout)
    result = run(
        "search", toy_index, "a dog", "-k", 6, "--rerank", f"yes_no@{tiny_judge}", "--depth", 4, *SETTINGS, "--json"
    )
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    before = {hit["id"]: hit for hit in plain["hits"]}
    assert {hit["id"] for hit in answer["hits"][:4]} == {hit["id"] for hit in plain["hits"][:4]}
    for hit in answer["hits"][:4]:
        was = before[hit["id"]]
        assert hit["stage"] == f"yes_no@{tiny_judge}"
        assert (hit["trace"][-1]["score"], hit["trace"][-1]["rank"]) == (pytest.approx(was["score"]), was["rank"])
    assert [hit["id"] for hit in answer["hits"][4:]] == [hit["id"] for hit in plain["hits"][4:]]
    assert {hit["stage"] for hit in answer["hits"][4:]} == {plain["hits"][0]["stage"]}
    assert [record["stage"] for record in answer["records"]][-1] == f"yes_no@{tiny_judge}"


def test_more_are_judged_than_are_shown(run, toy_index: Path, tiny_judge: Path) -> None:
    result = run(
        "search", toy_index, "a dog", "-k", 2, "--rerank", f"yes_no@{tiny_judge}", "--depth", 5, *SETTINGS, "--json"
    )
    answer = json.loads(result.stdout)
    assert (len(answer["hits"]), answer["records"][-1]["calls"]) == (2, 5)


def test_a_dry_run_searches_and_asks_nothing(run, toy_index: Path, tiny_judge: Path) -> None:
    arguments = ("search", toy_index, "a dog", "--rerank", f"yes_no@{tiny_judge}", "--depth", 3, *SETTINGS, "--dry-run")
    plain = run(*arguments)
    assert (plain.exit_code, plain.stdout) == (0, "")
    assert "The judge will take: 1 query: 3 calls, " in plain.stderr
    assert json.loads(run(*arguments, "--json").stdout)["estimate"]["calls"] == 3
    alone = run("search", toy_index, "a dog", "--dry-run")
    assert alone.exit_code == 2
    assert "name one with --rerank" in alone.stderr


def test_a_table_and_what_was_not_judged(run, toy_index: Path, tiny_judge: Path) -> None:
    result = run("search", toy_index, "a dog", "-k", 4, "--rerank", f"yes_no@{tiny_judge}", "--depth", 3, *SETTINGS)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 6
    assert "1 hit was not judged: its score is of an earlier stage." in result.stderr
    assert "4 hits in " in result.stderr


def test_a_judge_that_ordered_nothing_is_1_and_the_hits_stand(run, toy_index: Path, tiny_judge: Path) -> None:
    """A tiny model writes noise in place of an order: the search's order is shown, and the exit code says so."""
    arguments = ("search", toy_index, "a dog", "-k", 4)
    plain = found(run(*arguments, "--json"))
    judged = run(*arguments, "--rerank", f"retro@{tiny_judge}", *SETTINGS, "--set", "max_tokens=4", "--json")
    assert judged.exit_code == 1, judged.stderr
    answer = json.loads(judged.stdout)
    assert answer["records"][-1]["status"] == "fell_back"
    assert [hit["id"] for hit in answer["hits"]] == [hit["id"] for hit in plain]
    assert "The judge could not put the hits in order" in judged.stderr


def test_every_form_is_judged(run, toy_index: Path, toy_media: Path, tiny_judge: Path) -> None:
    photo = toy_media / "photos" / "photo-0003.jpg"
    judge = f"yes_no@{tiny_judge}"
    result = run(
        "search", toy_index, "on red ground", "--image", photo, "--compose", "image,text", "-k", 2, "--rerank", judge,
        "--depth", 3, *SETTINGS, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for one in json.loads(result.stdout)["forms"]:
        assert {hit["stage"] for hit in one["hits"]} == {judge}
        assert (len(one["hits"]), one["records"][-1]["calls"]) == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rerank", "yes_no"], "names a recipe and no model"),
        (["--rerank", "yesno@x/y"], "did you mean yes_no"),
        (["--rerank", "yes_no@x/y", "--set", "a"], "is not NAME=VALUE"),
    ],
)
def test_wrong_usage_ends_with_2(run, toy_index: Path, arguments: list[str], message: str) -> None:
    result = run("search", toy_index, "a dog", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_settings_are_read() -> None:
    assert settings(["a=1", "b=0.5", "c=TRUE", "d=none", "e=x=y", " f = g "]) == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": None,
        "e": "x=y",
        "f": "g",
    }
    assert settings(None) == {}
    with pytest.raises(UsageError, match="NAME=VALUE"):
        settings(["=3"])


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (Record(stage="s"), ""),
        (Record(stage="s", note="both orders agree on 90% of pairs"), "s: both orders agree on 90% of pairs\n"),
        (
            Record(stage="s", status="repaired", dropped=1, appended=2, retries=3),
            "s: repaired (something was mended or left out); 1 label dropped, 2 appended, asked again 3 times\n",
        ),
        (
            Record(stage="s", status="partial", error="out of time after 3 s"),
            "s: partial (it ran out of time); out of time after 3 s\n",
        ),
        (Record(stage="s", status="fell_back", error="gone"), "s: fell_back (the previous order was kept); gone\n"),
    ],
)
def test_records_in_words(capsys: pytest.CaptureFixture[str], record: Record, words: str) -> None:
    hits = [Hit(item=Item(id="a", kind="text"), score=0.0, stage="s")]
    told(Ranking(query=Query(text="q"), hits=hits, records=(record,)))
    assert capsys.readouterr().err == words
