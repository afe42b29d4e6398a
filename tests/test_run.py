"""Run: columns, TREC files, and the order they keep."""

from __future__ import annotations

from pathlib import Path

import ir_measures
import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.run import Run
from mmrank.types import Hit, Item, Query, Ranking


def sample() -> Run:
    hits = [Hit(item=Item(id=i, kind="text"), score=s) for i, s in (("a", 0.5), ("b", 0.7), ("c", 0.7))]
    return Run.from_rankings(
        [Ranking(query=Query(text="one", id="q1"), hits=hits), Ranking(query=Query(text="two", id="q2"), hits=hits[:1])]
    )


def test_rankings_to_columns_and_back_keep_order_and_scores() -> None:
    rankings = sample().rankings()
    assert [(r.query.id, r.ids) for r in rankings] == [("q1", ("a", "b", "c")), ("q2", ("a",))]
    assert [h.score for h in rankings[0]] == [0.5, 0.7, 0.7]


def test_matrix_keeps_the_best_k_with_ties_by_id() -> None:
    run = Run.from_matrix(np.array([[0.1, 0.9, 0.9], [0.3, 0.2, 0.1]]), ["q1", "q2"], ["a", "b", "c"], k=2)
    assert run.ids("q1") == ("b", "c")
    assert run.ids("q2") == ("a", "b")
    assert Run.from_matrix(np.array([[0.9, 0.1, 0.9]]), ["q"], ["c", "a", "b"], k=2).ids("q") == ("b", "c")


def test_matrix_of_the_wrong_shape_or_with_nan_is_refused() -> None:
    with pytest.raises(UsageError, match="Transpose"):
        Run.from_matrix(np.zeros((3, 2)), ["q1", "q2"], ["a", "b", "c"])
    with pytest.raises(UsageError, match="1 scores of the matrix are NaN"):
        Run.from_matrix(np.array([[np.nan]]), ["q"], ["a"])


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_write_and_read_round_trip(tmp_path: Path, name: str) -> None:
    sample().write(tmp_path / name)
    again = Run.read(tmp_path / name)
    assert [(q, ids, s.tolist()) for q, ids, s in again] == [(q, ids, s.tolist()) for q, ids, s in sample()]


def test_a_name_with_spaces_is_one_column(tmp_path: Path) -> None:
    """A pipeline's own words are such names: "judged, recipe yes_no"."""
    run = Run.from_lists([("q", ["a", "b"], [2.0, 1.0])], "judged, recipe yes_no")
    run.write(tmp_path / "run.trec")
    assert len((tmp_path / "run.trec").read_text().splitlines()[0].split()) == 6
    again = Run.read(tmp_path / "run.trec")
    assert (again.name, [*again.items]) == ("judged,_recipe_yes_no", [*run.items])


def test_tools_that_sort_by_score_see_our_order(tmp_path: Path) -> None:
    sample().write(tmp_path / "run")
    (tmp_path / "qrels").write_text("q1 0 a 1\n")
    scored = ir_measures.read_trec_run(str(tmp_path / "run"))
    qrels = ir_measures.read_trec_qrels(str(tmp_path / "qrels"))
    assert ir_measures.calc_aggregate([ir_measures.RR], qrels, scored)[ir_measures.RR] == 1.0


def test_reading_sorts_by_score_then_rank_and_takes_tabs(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("q1\tQ0\tb\t2\t0.5\tx\nq1 Q0 a 1 0.5 x\nq1 Q0 c 3 0.9 x\n\n")
    assert Run.read(tmp_path / "run").ids("q1") == ("c", "a", "b")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 a 1 0.5", ":1: 5 columns"),
        ("q1 Q0 a 1 much x", "must be numbers"),
        ("q1 Q0 a 1 nan x", "is NaN"),
        ("q1 Q0 a 1 0.5 x\nq1 Q0 a 2 0.4 x", ":2: item 'a' is in query 'q1' twice"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "run").write_text(line + "\n")
    with pytest.raises(UsageError, match=message):
        Run.read(tmp_path / "run")


def test_ids_with_white_space_are_not_written(tmp_path: Path) -> None:
    run = Run.from_matrix(np.zeros((1, 1)), ["two words"], ["a"])
    with pytest.raises(UsageError, match="Percent-encode"):
        run.write(tmp_path / "run")


def test_an_id_that_is_there_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="item id is in the Run twice"):
        Run.from_matrix(np.zeros((1, 2)), ["q"], ["a", "a"])
    with pytest.raises(UsageError, match="query id is in the Run twice"):
        Run.from_matrix(np.zeros((2, 1)), ["q", "q"], ["a"])


def test_a_file_that_is_no_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UsageError, match="picture is no TREC run"):
        Run.read(tmp_path / "picture")
    sample().write(tmp_path / "run.gz")
    (tmp_path / "half.gz").write_bytes((tmp_path / "run.gz").read_bytes()[:-12])
    with pytest.raises(UsageError, match="a whole gzip file"):
        Run.read(tmp_path / "half.gz")
    (tmp_path / "run.gz.native").write_bytes((tmp_path / "run.gz").read_bytes())
    with pytest.raises(UsageError, match=r"native:1: .* write that run again, or delete it"):
        Run.read(tmp_path / "run.gz")
