"""Pipeline files: what is read, and how each fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.errors import UsageError
from mmrank.fusion import Fuse
from mmrank.pipeline import Cutoff, Pipeline
from mmrank.pipeline_file import load_pipeline

FUSED = """
[[stage]]
type = "fuse"
branch = [{ stage = [{ type = "cutoff", k = 9 }] }, { stage = [{ type = "cutoff", k = 8 }] }]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    return path


def test_stages_and_branches_are_built(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        name = "two ways"
        [[stage]]
        type = "fuse"
        method = "rrf"
        weights = [1.0, 2.0]
        [[stage.branch]]
        stage = [{ type = "cutoff", k = 9 }]
        [[stage.branch]]
        stage = [{ type = "cutoff", k = 8 }, { type = "cutoff", k = 7 }]
        [[stage]]
        type = "object"
        object = "mmrank.pipeline:Cutoff"
        options = { k = 3 }
        """,
    )
    branch = Pipeline(stages=(Cutoff(k=8), Cutoff(k=7)))
    expected = Fuse(Cutoff(k=9), branch, method="rrf", weights=(1.0, 2.0)) >> Cutoff(k=3)
    assert load_pipeline(path) == expected


def test_kin_groups_and_the_other_settings_of_fusing_are_read(tmp_path: Path) -> None:
    grouped = load_pipeline(written(tmp_path, FUSED + "groups = [[0, 1]]\nepsilon = 0.2"))
    assert grouped == Fuse(Cutoff(k=9), Cutoff(k=8), groups=((0, 1),), epsilon=0.2)
    text = FUSED + 'method = "weighted_sum"\nnormalise = "z_score"\nabsent = "left_out"'
    expected = Fuse(Cutoff(k=9), Cutoff(k=8), method="weighted_sum", normalise="z_score", absent="left_out")
    assert load_pipeline(written(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage = []", "stage"),
        ("x = [", "not valid TOML"),
        ('[[stage]]\ntype = "cutoff"\nk = 0', "greater than 0"),
        ('[[stage]]\ntype = "cutoff"\nk = 3\nkk = 4', "kk: Extra inputs"),
        ('[[stage]]\ntype = "cutof"\nk = 3', "'cutoff'"),
        ('[[stage]]\ntype = "fuse"\nbranch = []', "branch"),
        (FUSED + "groups = [[0]]", "exactly one group"),
        (FUSED + 'groups = [["a"], [1]]', "groups.0.0"),
        (FUSED + "weights = [1.0]", "one finite number each"),
        (FUSED + 'method = "merge"\ngroups = [[0], [1]]', "goes round robin"),
        (FUSED + 'normalise = "rank"', "has its own scale"),
        ('[[stage]]\ntype = "object"\nobject = "nowhere.at.all:Thing"', "cannot be found"),
        ('[[stage]]\ntype = "object"\nobject = "mmrank.pipeline:Nothing"', "cannot be found"),
        ('[[stage]]\ntype = "object"\nobject = "pathlib:Path"', "needs a mmrank.Stage"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_pipeline(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pipeline file"):
        load_pipeline(tmp_path / "none.toml")
