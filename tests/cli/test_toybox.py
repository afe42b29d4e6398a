"""`mmrank toybox` writes what was asked and touches nothing else."""

from __future__ import annotations

import json
from pathlib import Path


def test_it_writes_what_was_asked(run, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    result = run("toybox", folder, "--images", 4, "--videos", 1, "--pages", 2, "--notes", 1, "--seed", 7, "--json")
    assert result.exit_code == 0, result.stderr
    made = json.loads(result.stdout)
    assert made["items"] == {"image": 4, "video": 1, "page": 2, "text": 1}
    assert len(list((folder / "media" / "photos").iterdir())) == 4
    assert len((folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()) == made["queries"]


def test_the_same_seed_replaces_the_same_files(run, tmp_path: Path) -> None:
    line = ["toybox", tmp_path / "toy", "--images", 2, "--videos", 0, "--pages", 0, "--notes", 0]
    assert run(*line).exit_code == 0
    before = (tmp_path / "toy" / "media" / "photos" / "photo-0001.jpg").read_bytes()
    result = run(*line)
    assert result.exit_code == 0
    assert "mmrank index" in result.stdout
    assert (tmp_path / "toy" / "media" / "photos" / "photo-0001.jpg").read_bytes() == before


def test_someone_elses_folder_is_left_alone(run, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "thesis.doc").write_text("years of work", encoding="utf-8")
    result = run("toybox", tmp_path, "--images", 1)
    assert result.exit_code == 2
    assert "thesis.doc" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media", "thesis.doc"]


def test_a_file_is_no_folder(run, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert run("toybox", tmp_path / "x").exit_code == 2
