"""Judgement files in all their columns."""

from __future__ import annotations

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.qrels import judged_only, read_qrels
from mmrank.types import Query


@pytest.mark.parametrize(
    "text",
    [
        "query-id\tcorpus-id\tscore\nq1\td 1\t2\nq1\td2\t0\n\nq2\td2\t1\n",
        "q1\td 1\t2\r\nq1\td2\t0\r\nq2\td2\t1",
        "q1\t0\td 1\t2\nq1\t0\td2\t0\nq2\t0\td2\t1\n",
        "\ufeffq1\t0\td 1\t2\t7\nq1\t0\td2\t0\t7\nq2\t0\td2\t1\t7\n",
    ],
    ids=["BEIR with a header", "BEIR, carriage returns", "TREC", "M-BEIR"],
)
def test_columns(tmp_path, text) -> None:
    (tmp_path / "qrels").write_text(text)
    assert read_qrels(tmp_path / "qrels") == {"q1": {"d 1": 2.0, "d2": 0.0}, "q2": {"d2": 1.0}}


def test_spaces(tmp_path) -> None:
    (tmp_path / "qrels").write_text("q1 0 d1 1\nq1  Q0   d2 -1\n")
    assert read_qrels(tmp_path / "qrels") == {"q1": {"d1": 1.0, "d2": -1.0}}


@pytest.mark.parametrize(
    ("text", "words"),
    [("q d 1\nq d\n", "qrels:2: 'q d'"), ("q d 1\nq d x\n", "qrels:2"), ("\n", "holds no judgements")],
)
def test_what_is_no_judgement_is_named(tmp_path, text, words) -> None:
    (tmp_path / "qrels").write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_qrels(tmp_path / "qrels")


def test_only_judged_queries_stay() -> None:
    queries = [Query(id=name, text="?") for name in ("a", "b", "c")]
    gains = {"a": {"x": 1.0, "y": -1.0}, "b": {"x": 0.0}, "z": {"x": 1.0}}
    rows, notes = judged_only(queries, gains, {"x", "y"})
    assert [(row.query.id, row.relevant) for row in rows] == [("a", {"x": 1.0})]
    assert notes[0].startswith("2 queries without")
    with pytest.raises(DatasetError, match="do the query ids agree"):
        judged_only(queries[1:], gains, {"x"})
