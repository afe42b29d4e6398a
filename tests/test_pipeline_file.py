"""Pipeline files: what is read, and how each fault is named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmrank.errors import MmrankError, UsageError
from mmrank.fusion import Fuse, merge
from mmrank.group import group_by
from mmrank.mllm.base import Generated, Limits, Sampling
from mmrank.mllm.prompt import Prompt
from mmrank.pipeline import Cutoff, Pipeline
from mmrank.pipeline_file import load_pipeline, read_pipeline
from mmrank.rerank.load import load_reranker
from mmrank.types import Hit, Item, Query, Ranking

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
        ("[[stag]]", "stag: there is no such key here; there are stage, name, names. Did you mean stage?"),
        ("x = 1\n[[stage]]", "stage.0: Unable to extract tag"),
        ('[[stage]]\ntype = "cutoff"', "stage.0.cutoff.k: this key is missing"),
        ('[[stage]]\ntype = "retriever"\nindex = "x"\ncompose = "sume"', "Did you mean sum?"),
        ("x = [", "not valid TOML"),
        ('[[stage]]\ntype = "cutoff"\nk = 0', "greater than 0"),
        (
            '[[stage]]\ntype = "cutoff"\nk = 3\nkk = 4',
            "kk: there is no such key here; there are type, k. Did you mean k?",
        ),
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


RERANK = '[[stage]]\ntype = "rerank"\njudge = "yes_no@./tiny"\n'


def test_a_judge_is_loaded_with_its_model_from_the_files_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which model is looked for, without one: the error names the folder."""
    path = written(tmp_path, RERANK + "depth = 5\n")
    monkeypatch.chdir(Path(__file__).parent)
    with pytest.raises(MmrankError, match=re.escape(str(tmp_path / "tiny"))):
        load_pipeline(path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("options = { widow = 3 }", "no setting 'widow'"),
        ("options = { depth = 3 }", "depth of a rerank stage stand beside options"),
        ("depth = 0", "stage.0.rerank.depth"),
        ("form = 'none'", "no form 'none'"),
        ("deadline = -1", "deadline is -1"),
        ("deadline_ms = 0", "deadline_ms is 0"),
        ("options = { deadline_ms = 9 }", "deadline_ms of a rerank stage stand beside options"),
        ("window = 8", "window: there is no such key here; there are type, judge, depth"),
    ],
)
def test_a_judge_that_cannot_be_meant_is_named(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_pipeline(written(tmp_path, RERANK + more))


def test_a_judge_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"stage.0.rerank.judge.*\(it is 'yes_no'\)"):
        load_pipeline(written(tmp_path, '[[stage]]\ntype = "rerank"\njudge = "yes_no"\n'))


def test_merge_and_groups_reach_the_fusion(tmp_path: Path) -> None:
    branches = '[[stage.branch]]\nstage = [{ type = "cutoff", k = 2 }]\n' * 3
    head = '[[stage]]\ntype = "fuse"\n'
    three = (Cutoff(k=2), Cutoff(k=2), Cutoff(k=2))
    assert load_pipeline(written(tmp_path, head + 'method = "merge"\n' + branches)) == Fuse(*three, method="merge")
    grouped = load_pipeline(written(tmp_path, head + "groups = [[0, 2], [1]]\n" + branches))
    assert grouped == Fuse(*three, groups=((0, 2), (1,)))
    with pytest.raises(UsageError, match="takes no weights, groups"):
        load_pipeline(written(tmp_path, head + 'method = "merge"\nweights = [1.0, 1.0, 1.0]\n' + branches))


def test_merged_lists_are_voted_on_by_a_judge() -> None:
    """`mm.Fuse(..., method="merge") >> judge`: the votes that merging keeps are what the judge is shown."""
    judge = load_reranker("vic", model=FirstOfAll())
    lists = [Ranking(query=Query(text="q"), hits=[text(name) for name in names]) for names in ("abc", "cad")]
    merged = merge(lists, names=["one", "two"])
    assert [len(hit.sources) for hit in merged] == [2, 2, 1, 1]
    (after,) = judge.process([merged])
    assert judge.mllm.labels == ("1", "2", "3", "4", "5", "6")  # type: ignore[attr-defined]
    # shown are a c, b a, c d, and the answer puts the fourth, a again, before the last
    assert after.ids == ("a", "d", "c", "b")
    assert after.outcome == "ok"


def text(name: str) -> Hit:
    return Hit(item=Item(id=name, kind="text", text=f"text {name}"), score=0.0, stage="x")


class FirstOfAll:
    """A model that always writes the same order."""

    spec, warning, limits = "same", None, Limits()
    capabilities = frozenset({"generate"})
    labels: tuple[str, ...] = ()

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Generated]:
        self.labels = prompts[0].labels
        return [Generated(text="[4, 6, 5, 2, 3, 1]")] * len(prompts)


def test_files_that_come_with_the_package_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_pipeline("indexes/square.toml").name == read_pipeline("square.toml").name == "SQUARE"
    (tmp_path / "square.toml").write_text('name = "mine"\n[[stage]]\ntype = "cutoff"\nk = 1\n')
    assert read_pipeline("square.toml").name == "mine"
    with pytest.raises(UsageError, match="no pipeline file"):
        read_pipeline("elsewhere/square.toml")


def test_grouping_and_near_duplicates_are_stages(tmp_path: Path) -> None:
    found = load_pipeline(
        written(tmp_path, '[[stage]]\ntype = "group_by"\nby = "shop"\n[[stage]]\ntype = "cutoff"\nk = 3')
    )
    assert found == group_by("shop") >> Cutoff(k=3)
    search = '[[stage]]\ntype = "retriever"\nindex = "x"\n'
    told = read_pipeline(written(tmp_path, search + 'group_by = "parent"\ndistinct = true\nparts = true')).stage[0]
    assert told.model_dump(include={"group_by", "distinct", "parts"}) == {
        "group_by": "parent",
        "distinct": True,
        "parts": True,
    }
    assert read_pipeline(written(tmp_path, search + "distinct = 0.95")).stage[0].model_dump()["distinct"] == 0.95
    read_pipeline(written(tmp_path, '[[stage]]\ntype = "distinct"\nindex = "x"\nthreshold = 0.9'))
    for wrong, said in (("parts = true", 'say group_by = "parent" too'), ("distinct = 95", "less than or equal to 1")):
        with pytest.raises(UsageError, match=said):
            read_pipeline(written(tmp_path, search + wrong))
