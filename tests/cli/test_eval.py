"""``mmrank eval`` from end to end: the toybox in CIRR's and MSR-VTT's layout, runs and matrices, kills, wrong input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from mmrank.run import Run
from mmrank.toybox import write_toybox

INDEXES = Path(__file__).parents[2] / "indexes"
Command = Callable[..., Result]


@pytest.fixture(scope="module")
def toybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets of six pictures with ten composed queries, and six clips."""
    root = tmp_path_factory.mktemp("toybox")
    write_toybox(root, images=12, videos=6, pages=0, notes=0, seed=4, layouts=["cirr", "msrvtt"])
    return root


def judged(recipe: str) -> str:
    return f"{INDEXES / 'judged.toml'}?recipe={recipe}&depth=6&k=12"


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output + result.stderr
    return json.loads(result.stdout)


def test_one_table_of_first_stage_and_judges_in_cirrs_layout(run: Command, toybox: Path, tmp_path: Path) -> None:
    pipelines = [INDEXES / "retrieved.toml", judged("yes_no"), judged("first"), judged("square")]
    chosen = [part for path in pipelines for part in ("--pipeline", path)]
    models = ("--model", "toybox", "--set", "judge=toybox-vl")
    result = run("eval", "toybox-cirr", "--root", toybox, *chosen, *models, "--to", tmp_path, "--threads", "1")
    assert result.exit_code == 0, result.output + result.stderr
    for word in ("R@1", "Rs@1", "Avg", "recipe yes_no", "recipe first", "recipe square", "12 gallery", "Significance"):
        assert word in result.stdout, word
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert len(told) == 4
    assert all(sum(each["outcomes"].values()) == each["queries"] == 10 for each in told)
    assert all(each["gallery"] == 12 for each in told)
    page = (tmp_path / "report.html").read_text()
    assert "<script" in page
    written = Run.read(tmp_path / "runs" / "retrieved.trec")
    assert len(written) == 10
    assert all(len(ids) == 11 for _, ids, _ in written), "the reference is not among the answers"
    assert len((tmp_path / "qrels.trec").read_text().splitlines()) == 10


def test_both_directions_in_msrvtts_layout(run: Command, toybox: Path, tmp_path: Path) -> None:
    chosen = ("--pipeline", INDEXES / "retrieved.toml", "--model", "toybox", "--to", tmp_path, "--limit", "3")
    told = answer(run("eval", "toybox-msrvtt", "--root", toybox, *chosen, "--json"))
    assert set(told["metrics"]) == {"t2v", "v2t"}
    assert "SAMPLE" in told["protocol"]


def test_a_papers_pipeline_on_one_task(run: Command, toybox: Path, tmp_path: Path) -> None:
    """ViC as its file has it: both of its indexes are the gallery's."""
    chosen = ("--pipeline", INDEXES / "retrieved.toml", "--pipeline", INDEXES / "vic_t2v.toml", "--task", "t2v")
    models = ("--model", "toybox", "--set", "judge=toybox-vl", "--set", "slots=10")
    told = answer(run("eval", "toybox-msrvtt", "--root", toybox, *chosen, *models, "--to", tmp_path, "--json"))
    assert [each["queries"] for each in told] == [6, 6]
    assert sum(told[1]["outcomes"].values()) == 6


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_with_nothing_done_twice(toybox: Path, tmp_path: Path) -> None:
    arguments = [
        *(sys.executable, "-c", "from mmrank.cli.app import main; main()", "eval", "toybox-cirr"),
        *("--root", str(toybox), "--pipeline", judged("yes_no")),
        *("--model", "toybox", "--set", "judge=toybox-vl", "--to", str(tmp_path), "--batch", "2", "--json"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    kept = tmp_path / "queries"
    begun = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while begun.poll() is None and time.monotonic() < deadline and _lines(kept) < 4:
        time.sleep(0.02)  # a look at the file that grows
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    before = _content(kept)
    assert 4 <= before.count(b"\n") < 10, "it was to be killed half-way"
    finished = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    told = json.loads(finished.stdout)
    assert told["queries"] == 10
    after = _content(kept)
    assert after.startswith(before[: before.rfind(b"\n") + 1]), "what was finished is as it was"
    assert sorted(json.loads(line)["query"] for line in after.splitlines()) == sorted(_queries(toybox))
    again = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout)["metrics"] == told["metrics"]
    assert _content(kept) == after


def _content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("queries.jsonl"))


def _lines(folder: Path) -> int:
    return _content(folder).count(b"\n") if folder.exists() else 0


def _queries(toybox: Path) -> list[str]:
    rows = json.loads((toybox / "cirr" / "captions" / "cap.rc2.val.json").read_text())
    return [str(row["pairid"]) for row in rows]


@pytest.fixture
def matrix(toybox: Path, tmp_path: Path) -> Path:
    """Clips against their captions: the right one best, in every row."""
    rows = (toybox / "msrvtt" / "MSRVTT_JSFUSION_test.csv").read_text().splitlines()[1:]
    path = tmp_path / "scores.npy"
    np.save(path, np.eye(len(rows)) + np.arange(len(rows)) / 100)
    return path


def test_matrices_serve_both_directions_without_media(run: Command, toybox: Path, matrix: Path, tmp_path: Path) -> None:
    told = answer(run("eval", "toybox-msrvtt", "--root", toybox, "--scores", matrix, "--to", tmp_path / "o", "--json"))
    assert told["metrics"]["t2v"]["R@1"] == told["metrics"]["v2t"]["R@1"] == 100
    assert told["ties"] == "averaging"


def test_runs_are_scored_and_fused(run: Command, toybox: Path, tmp_path: Path) -> None:
    rows = json.loads((toybox / "cirr" / "captions" / "cap.rc2.val.json").read_text())
    right = Run.from_lists([(str(row["pairid"]), [row["target_hard"]], [1.0]) for row in rows])
    wrong = Run.from_lists([(str(row["pairid"]), [_another(row), row["target_hard"]], [2.0, 1.0]) for row in rows])
    right.write(tmp_path / "right.trec")
    wrong.write(tmp_path / "wrong.trec")
    files = ("--run", tmp_path / "right.trec", "--run", tmp_path / "wrong.trec")
    told = answer(run("eval", "toybox-cirr", "--root", toybox, *files, "--to", tmp_path / "o", "--json"))
    assert [each["metrics"]["R@1"] for each in told] == [100, 0]
    fused = answer(
        run("eval", "toybox-cirr", "--root", toybox, *files, "--fuse", "rrf", "--to", tmp_path / "f", "--json")
    )
    assert fused["metrics"]["R@1"] == 100


def _another(row: dict[str, Any]) -> str:
    return next(name for name in row["img_set"]["members"] if name not in (row["target_hard"], row["reference"]))


def test_a_dry_run_tells_calls_and_asks_nothing(run: Command, toybox: Path, tmp_path: Path) -> None:
    chosen = ("--pipeline", judged("yes_no"), "--model", "toybox", "--set", "judge=toybox-vl")
    told = answer(run("eval", "toybox-cirr", "--root", toybox, *chosen, "--to", tmp_path, "--dry-run", "--json"))
    [systems] = told["systems"].values()
    assert systems[0]["calls"] == 60  # ten queries, six candidates each
    assert not (tmp_path / "queries").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Nothing to evaluate"),
        (("--run", "nowhere.trec"), "nowhere.trec"),
        (("--pipeline", "nowhere.toml"), "nowhere.toml"),
        (("--pipeline", f"{INDEXES / 'judged.toml'}?recipes=first"), "recipes"),
        (("--pipeline", str(INDEXES / "judged.toml"), "--set", "nothing=1"), "nothing"),
        (("--pipeline", str(INDEXES / "judged.toml"), "--model", "other=toybox"), "other"),
    ],
)
def test_wrong_usage_is_said(run: Command, toybox: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("eval", "toybox-cirr", "--root", toybox, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_wrong_root_says_what_was_looked_for(run: Command, tmp_path: Path) -> None:
    result = run("eval", "cirr", "--root", tmp_path, "--run", "x.trec")
    assert result.exit_code == 2
    assert "cap.rc2.val.json" in result.stderr
    assert str(tmp_path) in result.stderr


def test_missing_pictures_are_named_and_may_be_allowed(run: Command, toybox: Path, tmp_path: Path) -> None:
    gone = sorted((toybox / "cirr" / "img_raw" / "dev").glob("*.png"))[0]
    moved = tmp_path / gone.name
    gone.rename(moved)
    try:
        chosen = ("--pipeline", INDEXES / "retrieved.toml", "--model", "toybox", "--to", tmp_path / "o")
        refused = run("eval", "toybox-cirr", "--root", toybox, *chosen)
        assert refused.exit_code == 2
        assert gone.name in refused.stderr
        told = answer(run("eval", "toybox-cirr", "--root", toybox, *chosen, "--allow-missing", "--json"))
        assert "NOT OFFICIAL" in told["protocol"]
        assert told["gallery"] == 11
        assert told["queries"] < 10
    finally:
        moved.rename(gone)
