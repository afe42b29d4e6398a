"""`mmrank index`: builds, goes on, and says what it left out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KEYS = {"added", "updated", "unchanged", "failed", "seconds", "recall"}
TOY = ("--model", "toybox", "--threads", "1")


@pytest.fixture
def photos(toy_media: Path, tmp_path: Path) -> Path:
    """Three photos of one's own."""
    folder = tmp_path / "my photos"
    folder.mkdir()
    for photo in sorted((toy_media / "photos").iterdir())[:3]:
        shutil.copy(photo, folder)
    return folder


def test_json_is_the_contract_and_stdout_holds_nothing_else(run, photos: Path, tmp_path: Path) -> None:
    result = run("index", photos, "--to", tmp_path / "i", *TOY, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert set(report) >= KEYS
    assert (report["added"], report["updated"], report["unchanged"], report["failed"]) == (3, 0, 0, [])
    assert "trained on toybox scenes only" in result.stderr


def test_again_adds_nothing_and_needs_no_model_name(run, photos: Path, tmp_path: Path) -> None:
    run("index", photos, "--to", tmp_path / "i", *TOY)
    result = run("index", photos, "--to", tmp_path / "i", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["added"], report["updated"], report["unchanged"]) == (0, 0, 3)


def test_a_broken_file_is_listed_and_the_rest_goes_on(run, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (photos / "empty.pdf").touch()
    (photos / "program.exe").write_bytes(b"MZ")
    result = run("index", photos, "--to", tmp_path / "i", *TOY)
    assert result.exit_code == 0, result.stderr
    assert "3 added, 0 updated, 0 unchanged, 2 failed" in result.stdout
    assert "broken.jpg cannot be" in result.stdout or "broken.jpg is not" in result.stdout
    assert "empty.pdf is empty" in result.stdout
    assert "1 .exe" in result.stdout


def test_strict_turns_a_failure_into_exit_1_with_the_rest_done(run, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    result = run("index", photos, "--to", tmp_path / "i", *TOY, "--strict", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["added"] == 3
    assert [Path(uri).name for uri, _ in report["failed"]] == ["broken.jpg"]


def test_a_config_file_says_the_same_as_options(run, photos: Path, tmp_path: Path) -> None:
    config = tmp_path / "photos.toml"
    config.write_text('paths = ["my photos"]\nto = "i"\nmodel = "toybox"\nthreads = 1\nworkers = 1\n', encoding="utf-8")
    result = run("index", "--config", config, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["added"] == 3
    assert (tmp_path / "i").is_dir()


def test_kinds_leave_out_the_others(run, toy_media: Path, tmp_path: Path) -> None:
    result = run("index", toy_media, "--to", tmp_path / "i", *TOY, "--kind", "text", "--kind", "page", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["added"] == 4


def test_the_log_holds_the_work_with_time_and_process(run, photos: Path, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    assert run("index", photos, "--to", tmp_path / "i", *TOY, "--log", log).exit_code == 0
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines
    assert all(f" {os.getpid()} " in line for line in lines)
    assert "mmrank.index" in log.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_stopped_build_goes_on_where_it_stopped(run, tmp_path: Path) -> None:
    from mmrank.media.scan import scan
    from mmrank.toybox.assets import sample_media_folder

    media, log = sample_media_folder(), tmp_path / "build.log"
    # A shell that runs the tests in the background has its children ignore Ctrl-C; here it must be heard.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    main = hear + "import sys; sys.argv[0] = 'mmrank'; from mmrank.cli.app import main; main()"
    line = ["index", media, "--to", tmp_path / "i", *TOY, "--batch-size", 1, "--log", log]
    process = subprocess.Popen([sys.executable, "-c", main, *map(str, line)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not (log.exists() and "embedding batch 6:" in log.read_text(encoding="utf-8")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "run the same command again" in errors
    report = json.loads(run("index", media, "--to", tmp_path / "i", *TOY, "--json").stdout)
    assert report["unchanged"] >= 5  # what the batches before it gave
    assert report["added"] + report["unchanged"] == len(list(scan(media)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Nothing to index"),
        (["somewhere"], "Give --to DIR"),
        (["not/there", "--to", "i", "--model", "toybox"], "does not exist"),
        ([".", "--to", "i", "--model", "no-such-model"], "There is no embedder called 'no-such-model'"),
        ([".", "--to", "i", "--model", "toybox", "--device", "cuda:77"], "not on this machine"),
        ([".", "--to", "i", "--config", "gone.toml"], "gone.toml cannot be read"),
        ([".", "--to", "i", "--log", "gone/x.log"], "--log gone/x.log cannot be written"),
    ],
)
def test_wrong_usage_is_2_and_builds_nothing(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("index", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "i").exists()


def test_a_folder_with_other_things_is_not_built_in(run, photos: Path) -> None:
    result = run("index", photos, "--to", photos, *TOY)
    assert result.exit_code == 1
    assert "holds other things" in result.stderr


def test_another_models_index_is_refused_by_name(run, toy_index: Path, photos: Path) -> None:
    result = run("index", photos, "--to", toy_index, "--model", "toybox", "--precision", "no-such")
    assert result.exit_code == 2
    assert "no-such" in result.stderr


def test_another_listed_model_is_refused_before_it_is_downloaded(run, toy_index: Path, photos: Path) -> None:
    result = run("index", photos, "--to", toy_index, "--model", "vit-b-32")
    assert result.exit_code == 1
    assert "were made by toybox; vit-b-32 makes others" in result.stderr
    assert "hub" not in result.stderr


def test_prune_forgets_what_is_gone(run, tmp_path: Path, photos: Path) -> None:
    folder = tmp_path / "some"
    shutil.copytree(photos, folder)
    assert run("index", folder, "--to", tmp_path / "i", *TOY).exit_code == 0
    next(iter(sorted(folder.rglob("*.jpg")))).unlink()
    result = run("index", folder, "--to", tmp_path / "i", "--prune", "--json", *TOY)
    assert json.loads(result.stdout)["removed"] == 1


def test_a_damaged_index_is_named_before_any_model_is_looked_for(run, tmp_path: Path, photos: Path) -> None:
    assert run("index", photos, "--to", tmp_path / "i", *TOY).exit_code == 0
    shutil.rmtree(tmp_path / "i" / "thumbnails.lance")
    result = run("index", photos, "--to", tmp_path / "i")
    assert result.exit_code == 1
    assert "is damaged" in result.stderr
    assert "downloaded" not in result.stderr
