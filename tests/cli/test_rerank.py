"""`mmrank rerank`: files in order for a query, by a real small model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = ("--threads", 1, "--device", "cpu", "--set", "max_pixels=1024")


@pytest.fixture
def files(toy_media: Path) -> list[Path]:
    """Two photos, a PDF of two pages, a clip and a note."""
    return [
        *sorted((toy_media / "photos").iterdir())[:2],
        *sorted((toy_media / "reports").iterdir())[:1],
        *sorted((toy_media / "clips").iterdir()),
        *sorted((toy_media / "notes").iterdir())[:1],
    ]


def test_files_of_every_kind_are_put_in_order(run, tiny_judge: Path, files: list[Path]) -> None:
    result = run("rerank", "a dog", *files, "--with", f"yes_no@{tiny_judge}", *SETTINGS, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert set(answer) == {"query", "hits", "outcome", "records", "cost"}
    assert {hit["kind"] for hit in answer["hits"]} == {"image", "page", "video", "text"}
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert {hit["stage"] for hit in answer["hits"]} == {f"yes_no@{tiny_judge}"}
    assert answer["records"][0]["calls"] == len(scores) == answer["cost"]["model_calls"]
    assert (answer["outcome"], answer["records"][0]["error"]) == ("ok", None)


def test_features_of_pictures_are_kept_for_the_next_command(
    run, tiny_judge: Path, files: list[Path], tmp_path: Path
) -> None:
    given = ("a dog", *files[:2], "--with", f"yes_no@{tiny_judge}", *SETTINGS, "--json")
    kept = ("--set", f"feature_cache={tmp_path / 'kept'}")
    fresh, first, second = (json.loads(run("rerank", *given, *more).stdout) for more in ((), kept, kept))
    costs = [(one["cost"]["images_encoded"], one["cost"]["cache_hits"]) for one in (fresh, first, second)]
    assert costs == [(2, 0), (2, 0), (0, 2)]
    scores = [[hit["score"] for hit in one["hits"]] for one in (fresh, first, second)]
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)
    assert scores[2] == pytest.approx(scores[0], abs=1e-4)


def test_a_table_with_what_was_not_judged(run, tiny_judge: Path, files: list[Path]) -> None:
    result = run("rerank", "a dog", *files, "--with", f"yes_no@{tiny_judge}", *SETTINGS, "--depth", 2)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0].split()[:4] == ["rank", "score", "kind", "where"]
    hits = len(result.stdout.splitlines()) - 2
    assert f"{hits - 2} hits were not judged and have no score." in result.stderr
    scores = [line.split()[1] for line in result.stdout.splitlines()[2:]]
    assert scores[2:] == ["-"] * (hits - 2)
    assert "-" not in scores[:2]
    assert f"{hits} hits from 5 files in " in result.stderr


def test_a_reference_picture(run, tiny_judge: Path, files: list[Path]) -> None:
    result = run("rerank", "", *files[:2], "--image", files[0], "--with", f"yes_no@{tiny_judge}", *SETTINGS, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["query"]["images"] == [str(files[0])]


def test_a_reference_video(run, tiny_judge: Path, files: list[Path]) -> None:
    (clip,) = [file for file in files if file.suffix == ".mp4"]
    judged = ("--with", f"yes_no@{tiny_judge}", *SETTINGS, "--json")
    result = run("rerank", "", *files[-1:], *files[:1], "--video", clip, *judged)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["query"]["video"], answer["outcome"]) == (str(clip), "ok")
    assert answer["cost"]["images_encoded"] == 2  # the clip's sheet, which stands in both prompts, and the photo


def test_a_dry_run_says_what_it_would_take(run, tiny_judge: Path, files: list[Path]) -> None:
    plain = run("rerank", "a dog", *files[:2], "--with", f"yes_no@{tiny_judge}", *SETTINGS, "--dry-run")
    assert (plain.exit_code, plain.stdout) == (0, "")
    assert "The judge will take: 1 query: 2 calls, " in plain.stderr
    told = run("rerank", "a dog", *files[:2], "--with", f"yes_no@{tiny_judge}", *SETTINGS, "--dry-run", "--json")
    estimate = json.loads(told.stdout)["estimate"]
    assert (estimate["queries"], estimate["calls"], estimate["pictures"]) == (1, 2, 2)
    assert estimate["seconds"] > 0
    real = run("rerank", "a dog", *files[:2], "--with", f"yes_no@{tiny_judge}", *SETTINGS, "--json")
    assert json.loads(real.stdout)["cost"]["tokens_in"] == pytest.approx(estimate["tokens_in"], rel=0.03)


def test_a_file_that_cannot_be_read_is_named_and_the_rest_goes_on(
    run, tiny_judge: Path, files: list[Path], tmp_path: Path
) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(files[0].read_bytes()[:400])
    result = run("rerank", "a dog", torn, *files[:2], "--with", f"yes_no@{tiny_judge}", *SETTINGS)
    assert result.exit_code == 0, result.stderr
    assert "repaired (something was mended or left out); not shown to the judge: " in result.stderr
    assert "torn.jpg" in result.stderr
    assert result.stdout.rstrip().splitlines()[-1].split()[:4] == ["3", "-", "image", "torn.jpg"]


def test_a_judge_that_cannot_answer_keeps_the_order_and_ends_with_1(run, tiny_judge: Path, files: list[Path]) -> None:
    noise = ("--set", "max_tokens=5", "--set", "n_retries=1")
    result = run("rerank", "a dog", *files[:2], "--with", f"rankgpt@{tiny_judge}", *SETTINGS, *noise)
    assert result.exit_code == 1
    assert [line.split()[3] for line in result.stdout.splitlines()[2:]] == [file.name for file in files[:2]]
    assert "fell_back (the previous order was kept); asked again 1 time; no order of 2 labels" in result.stderr
    assert "they stand as they were given" in result.stderr


def test_a_transcript_is_played_back_without_the_model(
    run, tiny_judge: Path, files: list[Path], tmp_path: Path
) -> None:
    calls = tmp_path / "calls.jsonl"
    first = run(
        "rerank", "a dog", *files[:2], "--with", f"first@{tiny_judge}", *SETTINGS, "--transcript", calls, "--json"
    )
    assert first.exit_code == 0, first.stderr
    pixels = ("--set", "max_pixels=1024")
    again = run("rerank", "a dog", *files[:2], "--with", "first", *pixels, "--replay", calls, "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["hits"] == json.loads(first.stdout)["hits"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--with", "yes_no"], "names a recipe and no model. Write RECIPE@MODEL, such as yes_no@"),
        (["--with", "yes_noo@x/y"], "did you mean yes_no?"),
        (["--with", "yes_no@x/y", "--set", "windw=3"], "no setting 'windw'"),
        (["--with", "rankgpt@x/y", "--set", "windw=3"], "did you mean window"),
        (["--with", "rankgpt@x/y", "--set", "window"], "is not NAME=VALUE"),
        (["--with", "rankgpt@x/y", "--set", "window=4"], "windows must overlap"),
        (["--with", "rankgpt@x/y", "--set", "depth=4"], "give --depth instead"),
        (["--with", "yes_no@x/y", "--form", "none"], "There is no form 'none'"),
        (["--with", "yes_no@nowhere"], "There is no chat model called 'nowhere'"),
        (["--with", "yes_no@x/y", "--image", "none.jpg"], "There is no file none.jpg"),
        (["--with", "yes_no@x/y", "--depth", "0"], "greater than or equal to 1"),
    ],
)
def test_wrong_usage_ends_with_2(run, files: list[Path], arguments: list[str], message: str) -> None:
    result = run("rerank", "a dog", *files[:2], *arguments)
    assert result.exit_code == 2, result.stderr
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_what_is_asked_and_what_is_there_is_checked_first(run, files: list[Path]) -> None:
    result = run("rerank", "a dog", *files[:1], "none.jpg", "--with", "yes_no@x/y")
    assert result.exit_code == 2
    assert "none.jpg does not exist" in result.stderr
    result = run("rerank", "", *files[:1], "--with", "yes_no@x/y")
    assert result.exit_code == 2
    assert "Nothing to judge by" in result.stderr


def test_a_model_that_is_not_there_ends_with_1(run, files: list[Path], tmp_path: Path) -> None:
    result = run("rerank", "a dog", *files[:1], "--with", f"yes_no@{tmp_path / 'none'}")
    assert result.exit_code == 1
    assert "There is no folder" in result.stderr


@pytest.mark.parametrize("command", ["rerank", "recipes", "search"])
def test_help_loads_no_model_library(command: str) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from mmrank.cli.app import app; "
        f"assert CliRunner().invoke(app, ['{command}', '--help']).exit_code == 0; "
        "print([m for m in ('torch', 'transformers', 'httpx', 'lancedb', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
