"""`mmrank fuse`: runs and matrices in, one TREC run out, and clear answers to what cannot be fused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from mmrank.cli.command import Command
from mmrank.cli.fuse import AbsentName, MethodName, NormaliseName, fuse
from mmrank.fusion_rule import METHODS, Absent
from mmrank.kinship import kin_groups
from mmrank.run import Run
from mmrank.run_fusion import fuse_runs

Fuse = Callable[..., Result]

QUERIES = [f"q{number}" for number in range(12)]
ITEMS = list("abcdefgh")


@pytest.fixture
def call() -> Fuse:
    app = typer.Typer()
    app.command(cls=Command)(fuse)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def runs() -> list[Run]:
    """Three lists; the third is nearly the first."""
    one, two, noise = np.random.default_rng(0).random((3, len(QUERIES), len(ITEMS)))
    return [Run.from_matrix(scores, QUERIES, ITEMS) for scores in (one, two, one + 0.1 * noise)]


@pytest.fixture
def files(runs: list[Run], tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("one.trec", "two.trec.gz", "three.trec")]
    for run, path in zip(runs, paths, strict=True):
        run.write(path)
    return paths


def listed(run: Run) -> list[tuple[str, tuple[str, ...]]]:
    return [(query_id, ids) for query_id, ids, _ in run]


def test_the_options_are_those_of_the_library() -> None:
    assert {name.value for name in MethodName} == set(METHODS)
    assert {name.value for name in AbsentName} == set(Absent.__args__)  # type: ignore[attr-defined]
    assert {name.value for name in NormaliseName} == {"min_max", "z_score", "rank"}


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ([], {}),
        (["--method", "rrf", "--weights", "1,0.5,2"], {"method": "rrf", "weights": [1, 0.5, 2]}),
        (["--method", "weighted_sum", "--normalise", "z_score"], {"method": "weighted_sum", "normalise": "z_score"}),
        (["--groups", "[[0,1],[2]]", "-k", 3], {"groups": [[0, 1], [2]], "k": 3}),
        (["--absent", "left_out"], {"absent": "left_out"}),
    ],
)
def test_what_is_written_is_what_the_library_fuses(
    call: Fuse, files: list[Path], runs: list[Run], tmp_path: Path, options: list[object], settings: dict
) -> None:
    result = call(*files, "--to", tmp_path / "out.trec", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "3 runs of 12 queries fused by" in result.stderr
    again = Run.read(tmp_path / "out.trec")
    assert listed(again) == listed(fuse_runs(runs, **settings))
    np.testing.assert_array_equal(again.scores, fuse_runs(runs, **settings).scores)


def test_kin_groups_are_fitted_used_and_shown(call: Fuse, files: list[Path], runs: list[Run], tmp_path: Path) -> None:
    result = call(*files, "--kin", "--to", tmp_path / "out.trec")
    assert result.exit_code == 0, result.stderr
    groups = kin_groups(runs)
    assert groups == ((0, 2), (1,))
    assert "groups = [[0, 2], [1]]" in result.stdout
    assert listed(Run.read(tmp_path / "out.trec")) == listed(fuse_runs(runs, groups=groups))
    result = call(*files, "--kin", "--threshold", 1, "--to", tmp_path / "out.trec")
    assert "groups = [[0], [1], [2]]" in result.stdout


def test_json_is_one_object(call: Fuse, files: list[Path], tmp_path: Path) -> None:
    answer = json.loads(call(*files, "--kin", "--to", tmp_path / "out.trec", "--json").stdout)
    assert answer["groups"] == [[0, 2], [1]]
    assert (answer["queries"], answer["items"], answer["hits"]) == (12, 8, 96)
    assert answer["runs"][1] == {"path": str(files[1]), "queries": 12}
    assert np.array(answer["kinship"]).shape == (3, 3)
    assert answer["seconds"] > 0
    plain = json.loads(call(*files, "--to", tmp_path / "out.trec", "--json").stdout)
    assert plain["groups"] is plain["kinship"] is None


def test_matrices_take_ids_from_files_or_count(call: Fuse, files: list[Path], tmp_path: Path) -> None:
    matrix = np.random.default_rng(1).random((len(QUERIES), len(ITEMS))).astype(np.float32)
    np.save(tmp_path / "m.npy", matrix)
    (tmp_path / "queries").write_text("\n".join(QUERIES) + "\n")
    (tmp_path / "items").write_text("\n".join(ITEMS))
    ids = ["--query-ids", tmp_path / "queries", "--item-ids", tmp_path / "items"]
    assert call(tmp_path / "m.npy", files[0], *ids, "--to", tmp_path / "out").exit_code == 0
    expected = fuse_runs([Run.from_matrix(matrix, QUERIES, ITEMS), Run.read(files[0])])
    assert listed(Run.read(tmp_path / "out")) == listed(expected)
    assert call(tmp_path / "m.npy", "--to", tmp_path / "out").exit_code == 0
    first = Run.read(tmp_path / "out")
    assert first.query_ids[:3] == ("00", "01", "02")
    assert first.ids("00")[0] == str(int(matrix[0].argmax()))


def test_a_query_that_a_run_lacks_is_said(call: Fuse, files: list[Path], tmp_path: Path) -> None:
    Run.from_matrix(np.ones((1, 1)), ["q0"], ["a"]).write(tmp_path / "short.trec")
    result = call(files[0], tmp_path / "short.trec", "--to", tmp_path / "out.trec")
    assert result.exit_code == 0
    assert "short.trec has no list for 11 queries of 12" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one.trec", "--to", "one.trec"], "would be overwritten"),
        (["one.trec", "--to", "nowhere/out"], "There is no folder"),
        (["one.trec", "--to", "."], "is a folder"),
        (["one.trec", "--to", "out.npy"], "not a matrix"),
        (["none.trec", "--to", "out"], "There is no run"),
        (["one.trec", "--to", "out", "--weights", "1,x"], "one number per run"),
        (["one.trec", "--to", "out", "--weights", "1,2"], "There are 1 lists"),
        (["one.trec", "--to", "out", "--groups", "0;1"], "one group"),
        (["one.trec", "--to", "out", "--groups", "[[0],[1]]"], "exactly one group"),
        (["one.trec", "--to", "out", "--groups", "[[0]]", "--kin"], "leave one of the two out"),
        (["one.trec", "--to", "out", "--threshold", "0.4"], "--threshold is for --kin"),
        (["one.trec", "--to", "out", "--kin", "--threshold", "4"], "-1 to 1"),
        (["one.trec", "--to", "out", "--normalise", "rank"], "has its own scale"),
        (["one.trec", "other.trec", "--to", "out"], "shares no query"),
        (["objects.npy", "--to", "out"], "no score matrix"),
        (["cube.npy", "--to", "out"], "rows for queries"),
        (["words.npy", "--to", "out"], "rows for queries"),
        (["nan.npy", "--to", "out"], "nan.npy: 1 scores of the matrix are NaN"),
        (["nan.npy", "--query-ids", "one.trec", "--to", "out"], "96 queries"),
        (["picture.trec", "--to", "out"], "is no TREC run"),
        (["half.trec.gz", "--to", "out"], "is no TREC run"),
    ],
)
def test_what_cannot_be_fused_is_said_and_nothing_is_written(
    call: Fuse, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Run.from_matrix(np.ones((1, 1)), ["other"], ["a"]).write("other.trec")
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("cube.npy", np.zeros((1, 1, 1)))
    np.save("words.npy", np.array([["a"]]))
    np.save("nan.npy", np.array([[np.nan]]))
    Path("picture.trec").write_bytes(b"\x89PNG\xff\xfe")
    Path("half.trec.gz").write_bytes(files[1].read_bytes()[:60])
    before = files[0].read_bytes()
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr.replace("\n", " ")
    assert files[0].read_bytes() == before
    assert not Path("out").exists()
