"""`mmrank doctor`: everything is really tried, and what is broken is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.cli import checks, trials
from mmrank.cli.checks import tried
from mmrank.cli.trials import Trial


def test_everything_essential_works_here(run) -> None:
    result = run("doctor", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0, report["broken"]
    assert report["ok"] is True
    names = {check["name"]: check for check in report["checks"]}
    for name in ("torch", "lancedb", "images", "PDF pages", "video (PyAV)", "LanceDB", "toybox model"):
        assert names[name]["state"] == "ok"
    assert all(check["detail"] for check in report["checks"])


def test_something_essential_broken_is_exit_1_with_its_name(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path) -> str:
        raise RuntimeError("libpdfium.so is gone")

    monkeypatch.setattr(trials, "TRIALS", (Trial(group="Media", name="PDF pages", run=broken),))
    result = run("doctor")
    assert result.exit_code == 1
    assert "RuntimeError: libpdfium.so is gone" in result.stdout
    assert "1 essential part is broken: PDF pages." in result.stdout


def test_something_optional_broken_is_shown_and_no_more(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path) -> str:
        raise OSError("no codec")

    monkeypatch.setattr(trials, "TRIALS", (Trial(group="Media", name="HEIC", run=broken, essential=False),))
    result = run("doctor")
    assert result.exit_code == 0
    assert "OSError: no codec" in result.stdout


def test_a_missing_extra_comes_with_the_line_that_installs_it(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "TRIALS", ())
    monkeypatch.setattr(checks, "EXTRAS", (("no_such_module", "faiss", "faiss-cpu", "searches faster"),))
    assert "pip install 'mmrank[faiss]'" in run("doctor").stdout


def test_a_trial_that_gives_a_wrong_result_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmrank.media import video

    black = video.sample_frames(trials._clip(tmp_path), frames=1, span=(0, 0.1))
    monkeypatch.setattr(video, "sample_frames", lambda *args, **kwargs: black)
    check = tried("Media", "video", lambda: trials._video(tmp_path, "pyav"), True)
    assert check.state == "broken"
    assert "should be grey" in check.detail
