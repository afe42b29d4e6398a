"""Kinship against a literal loop, and groups that neither scale nor order can change."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.kinship import groups_above, kin_groups, kinship
from mmrank.run import Run

ITEMS = list("abcdefgh")


def sparse_runs(seed: int = 0, lists: int = 4, queries: int = 5) -> list[Run]:
    """Lists of which the last is the second with a little noise; cut to different depths."""
    random = np.random.default_rng(seed)
    scores = random.random((lists, queries, len(ITEMS)))
    scores[-1] = scores[1] + 0.1 * random.random(scores[1].shape)
    names = [f"q{q}" for q in range(queries)]
    return [Run.from_matrix(m, names, ITEMS, k=8 - i) for i, m in enumerate(scores)]


def correlation(one: Run, two: Run, runs: list[Run]) -> float:
    found = []
    for query_id in one.query_ids:
        seen = sorted({i for run in runs for i in run.ids(query_id)})
        rows = []
        for run in (one, two):
            own = next(scores for q, scores in scores_of(run) if q == query_id)
            low, high = min(own.values()), max(own.values())
            rows.append([(own.get(i, low) - low) / (high - low) for i in seen])
        found.append(np.corrcoef(rows)[0, 1])
    return float(np.mean(found))


def scores_of(run: Run) -> list[tuple[str, dict[str, float]]]:
    return [(q, dict(zip(ids, scores.tolist(), strict=True))) for q, ids, scores in run]


def test_kinship_against_a_literal_loop() -> None:
    runs = sparse_runs()
    alike = kinship(runs)
    for one, two in itertools.combinations(range(4), 2):
        assert alike[one, two] == alike[two, one] == pytest.approx(correlation(runs[one], runs[two], runs))
    assert np.diag(alike).tolist() == [1.0] * 4


@pytest.mark.parametrize("seed", range(5))
def test_a_noisy_copy_is_kin_whatever_the_order_or_the_scale(seed: int) -> None:
    runs = sparse_runs(seed, queries=20)
    assert kin_groups(runs) == ((0,), (1, 3), (2,))
    assert kin_groups([runs[1], runs[0], runs[3], runs[2]]) == ((0, 2), (1,), (3,))
    scaled = Run(
        query_ids=runs[1].query_ids,
        offsets=runs[1].offsets,
        items=runs[1].items,
        codes=runs[1].codes,
        scores=runs[1].scores * 100 - 7,
    )
    np.testing.assert_allclose(kinship([runs[0], scaled, *runs[2:]]), kinship(runs), atol=1e-9)


def test_queries_that_say_nothing_are_left_out() -> None:
    names = ["q0", "q1"]
    one = Run.from_matrix(np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]), names, ["a", "b", "c"])
    two = Run.from_matrix(np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]]), names, ["a", "b", "c"])
    assert kinship([one, two])[0, 1] == pytest.approx(0.5)
    only = Run.from_matrix(np.array([[3.0, 1.0, 2.0]]), ["q0"], ["a", "b", "c"])
    assert kinship([one, only])[0, 1] == pytest.approx(0.5)
    flat = Run.from_matrix(np.ones((2, 3)), names, ["a", "b", "c"])
    assert kinship([one, flat])[0, 1] == 0.0


def test_kin_of_kin_are_kin() -> None:
    chain = np.eye(4)
    chain[0, 3] = chain[3, 0] = chain[3, 2] = chain[2, 3] = 0.8
    assert groups_above(chain, 0.5) == ((0, 2, 3), (1,))


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.floats(-1, 1), min_size=n * n, max_size=n * n)))
def test_each_list_is_in_exactly_one_group(values: list[float]) -> None:
    count = round(len(values) ** 0.5)
    alike = np.array(values).reshape(count, count)
    alike = (alike + alike.T) / 2
    groups = groups_above(alike, 0.2)
    assert sorted(at for group in groups for at in group) == list(range(count))
    where = {at: number for number, group in enumerate(groups) for at in group}
    for one, two in itertools.combinations(range(count), 2):
        if alike[one, two] > 0.2:
            assert where[one] == where[two]


def test_a_threshold_is_a_correlation() -> None:
    for wrong in (2, -1.5, True, "half", float("nan")):
        with pytest.raises(UsageError, match="correlation, -1 to 1"):
            kin_groups(sparse_runs(), wrong)  # type: ignore[arg-type]
    assert kin_groups(sparse_runs(), 1) == ((0,), (1,), (2,), (3,))
    assert kin_groups(sparse_runs()[:1]) == ((0,),)
