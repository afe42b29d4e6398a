"""Finished queries on disk: whole, read back, cut lines dropped, other work refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.errors import UsageError
from mmrank.evaluation.journal import QUERIES, Finished, Journal
from mmrank.types import Cost, Record

IDENTITY = {"code": "1", "pipeline": {"k": 5}}


def finished(name: str) -> Finished:
    records = (
        Record(stage="vector", cost=Cost(seconds=0.25)),
        Record(stage="judge", status="repaired", calls=2, appended=1, error="two labels were named twice", note="so"),
    )
    return Finished(
        query=name,
        ids=("b", "a"),
        scores=(2.0, float("-inf")),
        first_ids=("a", "b"),
        first_scores=(0.1 + 0.2, 0.25),
        records=records,
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, IDENTITY)
    assert journal.read() == {}
    journal.write([finished("q1"), finished("q2")])
    journal.write([finished("q3")])
    assert Journal(tmp_path, IDENTITY).read() == {name: finished(name) for name in ("q1", "q2", "q3")}


def test_a_line_cut_by_a_kill_is_dropped_and_written_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, IDENTITY)
    journal.write([finished("q1"), finished("q2")])
    path = tmp_path / QUERIES
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kept = set(Journal(tmp_path, IDENTITY).read())
        Journal(tmp_path, IDENTITY).write([finished("q9")])
        assert set(Journal(tmp_path, IDENTITY).read()) == {*kept, "q9"}


@pytest.mark.parametrize("other", [{"code": "2", "pipeline": {"k": 5}}, {"code": "1", "pipeline": {"k": 6}}])
def test_other_work_is_refused_and_named(tmp_path: Path, other: dict[str, object]) -> None:
    Journal(tmp_path, IDENTITY).write([finished("q1")])
    changed = "code" if other["code"] != "1" else "pipeline"
    with pytest.raises(UsageError, match=f"another {changed}"):
        Journal(tmp_path, other)
