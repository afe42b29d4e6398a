"""CIRR's two files: written under the server's rules, read back, refused when they break one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.submissions import cirr
from mmrank.evaluation.submissions.cirr import read_cirr, submit_cirr, write_cirr
from mmrank.run import Run
from mmrank.types import Item, Query

NAMES = [f"test1-{n}-0-img0" for n in range(60)]
SETS = {"12": tuple(NAMES[1:6]), "13": tuple(NAMES[31:36])}
TASK = Task(
    queries=(Query(id="12", text="x", exclude=(NAMES[0],)), Query(id="13", text=" ", exclude=(NAMES[30],))),
    gallery=tuple(Item(id=name, kind="image") for name in NAMES),
    relevant={},
    metrics=(),
    members=SETS,
)


def run(**lists: list[str]) -> Run:
    given = {"q12": NAMES, "q13": NAMES[::-1], **lists}
    return Run.from_lists([(q[1:], ids, list(range(len(ids), 0, -1))) for q, ids in given.items()])


def test_both_files_hold_what_the_server_wants(tmp_path: Path) -> None:
    made = submit_cirr(TASK, {"": run()}, tmp_path)
    assert [path.name for path in made] == ["recall.json", "recall_subset.json"]
    recall, subset = (json.loads(path.read_text()) for path in made)
    assert (recall.pop("version"), recall.pop("metric")) == ("rc2", "recall")
    assert (subset.pop("version"), subset.pop("metric")) == ("rc2", "recall_subset")
    assert recall == {"12": NAMES[1:51], "13": [n for n in NAMES[::-1] if n != NAMES[30]][:50]}
    assert subset == {"12": NAMES[1:4], "13": NAMES[35:32:-1]}


def test_what_was_written_is_read_back_and_written_the_same(tmp_path: Path) -> None:
    recall, subset = submit_cirr(TASK, {"": run()}, tmp_path)
    for path, metric in ((recall, "recall"), (subset, "recall_subset")):
        found = read_cirr(path)
        assert found.name == metric
        assert found.ids("12")[0] == NAMES[1]
        again = write_cirr(TASK, found, metric, tmp_path / "again.json")  # type: ignore[arg-type]
        assert json.loads(again.read_text()) == json.loads(path.read_text())


def test_members_that_a_list_does_not_reach_follow_and_are_said(tmp_path: Path) -> None:
    short = [NAMES[3], *NAMES[6:60]]
    *_, subset, notes = submit_cirr(TASK, {"": run(q12=short)}, tmp_path)
    assert json.loads(subset.read_text())["12"] == [NAMES[3], NAMES[1], NAMES[2]]
    assert notes.read_text().startswith("1 of 2 lists did not reach three members")


def test_subsets_ranked_on_their_own_take_their_place(tmp_path: Path) -> None:
    alone = Run.from_lists([(q, list(names[::-1]), [5, 4, 3, 2, 1]) for q, names in SETS.items()])
    _, subset = submit_cirr(TASK, {"": run(), "subset": alone}, tmp_path)
    assert json.loads(subset.read_text())["12"] == NAMES[5:2:-1]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (run(q12=NAMES[:50]), "1 lists.*fewer than the 50 items.*query '12' with 49"),
        (Run.from_lists([("12", NAMES, [0.0] * 60)]), r"1 of 2 queries.*such as '13'"),
        (run(q12=[*NAMES[:59], "dev-1-0-img0"]), "'dev-1-0-img0'"),
        (run(q12=[*NAMES[:59], NAMES[1]]), "lists items twice"),
    ],
)
def test_lists_that_the_server_would_refuse_are_not_written(tmp_path: Path, made: Run, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        submit_cirr(TASK, {"": made}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_task_without_members_or_run_cannot_be_submitted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no members"):
        submit_cirr(replace(TASK, members=None), {"": run()}, tmp_path)
    with pytest.raises(UsageError, match="no run for the task ''; there is 'other'"):
        submit_cirr(TASK, {"other": run()}, tmp_path)


def test_a_subset_of_others_is_refused(tmp_path: Path) -> None:
    strange = Run.from_lists([(q, NAMES[40:43], [3, 2, 1]) for q in SETS])
    with pytest.raises(UsageError, match="Query '12' has .* for its subset"):
        write_cirr(TASK, strange, "recall_subset", tmp_path / "s.json")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cirr, "MOST_BYTES", 1000)
    with pytest.raises(UsageError, match=r"recall\.json would have .* the test server takes 1,000"):
        submit_cirr(TASK, {"": run()}, tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"version": "rc1", "metric": "recall"}', "version 'rc1'"),
        ('{"version": "rc2", "metric": "map"}', "metric 'map'"),
        (
            '{"version": "rc2", "metric": "recall_subset", "12": ["a", "b"]}',
            "query '12' has 2 items; recall_subset has 3",
        ),
        ('{"version": "rc2", "metric": "recall_subset", "12": ["a", "b", "a"]}', "'a' twice"),
        ('{"version": "rc2", "metric": "recall_subset", "12": "a"}', "a list of item ids"),
        ('["12"]', "holds a list"),
        ('{"version": ', "cannot be read as a CIRR submission"),
    ],
)
def test_files_that_are_no_submission_are_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(UsageError, match=said):
        read_cirr(tmp_path / "s.json")
