"""Protocols as papers print them, and figures over several tasks against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmrank.errors import UsageError
from mmrank.evaluation import protocols
from mmrank.evaluation.protocols import cumulative_hits, fashion_iq_mean, mean_over_tasks, rank_variance, recall_sum


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("CIRR", "R@1 R@2 R@5 R@10 R@50 Rs@1 Rs@2 Rs@3 Avg"),
        ("CIRR_SOFT", "R@1 R@2 R@5 R@10 R@50 Rs@1 Rs@2 Rs@3 Avg"),
        ("CIRCO", "mAP@5 mAP@10 mAP@25 mAP@50 Recall@5 Recall@10 Recall@25 Recall@50"),
        ("FASHION_IQ", "R@10 R@50"),
        ("GENECIS", "R@1 R@2 R@3"),
        ("PAIRED", "R@1 R@5 R@10 MdR MnR RSum"),
        ("PAIRED_LOWER_MEDIAN", "R@1 R@5 R@10 MdR MnR RSum"),
        ("PARAGRAPH", "R@1 R@5 R@10 R@50 MdR MnR"),
        ("V2T_GROUPED", "R@1 R@5 R@10 MdR MnR RSum"),
        ("V2T_BEST", "R@1 R@5 R@10 MdR MnR RSum"),
        ("KARPATHY_T2I", "R@1 R@5 R@10"),
        ("KARPATHY_I2T", "R@1 R@5 R@10"),
        ("EGOCVR_GLOBAL", "R@1 R@5 R@10"),
        ("EGOCVR_LOCAL", "R@1 R@2 R@3"),
        ("CHAT_IR", "Hits@10"),
        ("MMDOCIR_PAGE", "Recall@1 Recall@3 Recall@5"),
        ("MMDOCIR_LAYOUT", "Recall@1 Recall@5 Recall@10"),
        ("VIDORE", "nDCG@5 R@1 R@5"),
        ("VIDORE_V3", "nDCG@10 Recall@5 Recall@10 Recall@100 MRR@10"),
        ("BEIR", "nDCG@10 Recall@10 Recall@100 MAP@100 MRR@10"),
    ],
)
def test_columns_stand_in_the_order_of_the_papers(name: str, columns: str) -> None:
    metrics = getattr(protocols, name)
    assert [metric.name for metric in metrics] == columns.split()
    assert len(set(metrics)) == len(metrics)


def test_means_are_of_what_all_tasks_have() -> None:
    tasks = {"a": {"R@1": 10.0, "R@5": 1.0}, "b": {"R@1": 20.0}}
    assert mean_over_tasks(tasks) == {"R@1": 15.0}


def test_fashion_iq_row() -> None:
    tasks = {
        "dress": {"R@10": 10.0, "R@50": 30.0},
        "shirt": {"R@10": 20.0, "R@50": 40.0},
        "toptee": {"R@10": 30.0, "R@50": 50.0},
    }
    assert fashion_iq_mean(tasks) == {"R@10": 20.0, "R@50": 40.0, "Avg": 30.0}


def test_sum_of_recalls_over_both_directions() -> None:
    one = {"R@1": 50.0, "R@5": 70.0, "R@10": 80.0, "MdR": 1.0}
    assert recall_sum({"t2i": one, "i2t": one}) == {"RSum": 400.0, "R_mean": pytest.approx(400 / 6)}


@given(hits=arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 6))))
def test_a_dialogue_counts_from_the_round_it_was_found_in(hits: np.ndarray) -> None:
    rounds = {f"round {n}": {"Hits@10": np.where(row, 100.0, 0.0)} for n, row in enumerate(hits)}
    curve = list(cumulative_hits(rounds).values())
    assert curve == pytest.approx(
        [100 * np.mean([any(hits[: n + 1, q]) for q in range(hits.shape[1])]) for n in range(len(hits))]
    )
    assert curve == sorted(curve)


@given(ranks=arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.integers(1, 50)))
def test_rank_variance_is_the_population_variance_of_each_query(ranks: np.ndarray) -> None:
    loop = []
    for query in ranks.T:
        mean = sum(query) / len(query)
        loop.append(sum((rank - mean) ** 2 for rank in query) / len(query))
    found = rank_variance([{"MnR": row} for row in ranks])
    assert found == {f"MRV_{len(ranks)}": pytest.approx(np.mean(loop))}


def test_rank_variance_is_not_known_when_a_rank_is_not() -> None:
    assert np.isnan(rank_variance([{"MnR": np.array([1.0, np.inf])}, {"MnR": np.array([1.0, 2.0])}])["MRV_2"])


def test_queries_that_do_not_count_are_left_out() -> None:
    rows = [{"MnR": np.array([1.0, np.nan])}, {"MnR": np.array([3.0, np.nan])}]
    assert rank_variance(rows) == {"MRV_2": 1.0}
    assert cumulative_hits([{"Hits@10": np.array([100.0, np.nan])}]) == {"Hits@10 by round 0": 100.0}


def test_rounds_over_other_queries_do_not_add_up() -> None:
    with pytest.raises(UsageError, match=r"2 of 2 tasks, with \[1, 2\] queries"):
        cumulative_hits([{"Hits@10": np.array([100.0])}, {"Hits@10": np.array([100.0, 0.0])}])
    with pytest.raises(UsageError, match="in 0 of 1 tasks"):
        cumulative_hits([{"R@1": np.array([100.0])}])
