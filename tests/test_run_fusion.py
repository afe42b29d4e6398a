"""Fusing Runs: each query as `fuse` ranks it alone, and nothing decided by the order of lists, items or queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmrank import columns
from mmrank.aggregate import Table
from mmrank.errors import UsageError
from mmrank.fusion import Fuse, fuse
from mmrank.fusion_rule import METHODS
from mmrank.kinship import kin_groups
from mmrank.pipeline import Stage
from mmrank.run import Run
from mmrank.run_fusion import fuse_runs
from mmrank.types import Hit, Item, Query, Ranking

QUERIES = ["q0", "q1", "q2"]
ITEMS = list("abcdef")
SETTINGS: list[dict[str, Any]] = [
    *({"method": method} for method in METHODS),
    {"method": "weighted_sum", "normalise": "z_score"},
    {"method": "weighted_sum", "normalise": "rank"},
    {"groups": ((0, 2), (1,))},
    {"absent": "left_out"},
    {"method": "rrf", "absent": "left_out", "groups": ((0, 2), (1,))},
]
BY_MIN_MAX: list[dict[str, Any]] = [{"method": m} for m in ("product", "combsum", "combmnz", "weighted_sum")]

# Small whole numbers: many exact ties, and scaling them by whole numbers is exact.
matrices = hnp.arrays(np.float64, (3, 3, 6), elements=st.integers(0, 4).map(float))
few = settings(max_examples=20, deadline=None)
cuts = st.lists(st.integers(1, 6), min_size=3, max_size=3)


def runs_of(stacked: Table, cut: list[int] | None = None) -> list[Run]:
    """One Run per matrix, the first `cut` of each query."""
    return [Run.from_matrix(m, QUERIES, ITEMS, k=k) for m, k in zip(stacked, cut or [6] * len(stacked), strict=True)]


def listed(run: Run) -> dict[str, tuple[str, ...]]:
    return {query_id: ids for query_id, ids, _ in run}


@few
@given(matrices, cuts)
def test_one_query_and_a_batch_rank_the_same(stacked: Table, cut: list[int]) -> None:
    runs = runs_of(stacked, cut)
    for setting in SETTINGS:
        together = {query_id: (ids, scores) for query_id, ids, scores in fuse_runs(runs, **setting)}
        for of_query in zip(*(run.rankings() for run in runs), strict=True):
            alone = fuse(of_query, **setting)
            ids, scores = together[alone.query.id]
            assert alone.ids == ids
            assert [hit.score for hit in alone] == scores.tolist()


@few
@given(matrices, cuts, st.permutations(range(3)))
def test_the_order_of_lists_never_decides(stacked: Table, cut: list[int], order: list[int]) -> None:
    runs = runs_of(stacked, cut)
    for setting in SETTINGS:
        moved = dict(setting)
        if groups := setting.get("groups"):
            moved["groups"] = [[order.index(at) for at in group] for group in groups]
        assert listed(fuse_runs([runs[at] for at in order], **moved)) == listed(fuse_runs(runs, **setting))


@few
@given(matrices, st.integers(1, 9), st.integers(-9, 9), st.integers(0, 2))
def test_rescaling_a_list_changes_no_min_max_fusion(stacked: Table, factor: int, shift: int, which: int) -> None:
    rescaled = stacked.copy()
    rescaled[which] = stacked[which] * factor + shift
    for setting in BY_MIN_MAX:
        first, second = fuse_runs(runs_of(stacked), **setting), fuse_runs(runs_of(rescaled), **setting)
        assert listed(first) == listed(second)
        np.testing.assert_array_equal(first.scores, second.scores)


@few
@given(matrices, cuts, st.permutations(range(6)), st.permutations(range(3)))
def test_a_shuffled_gallery_and_shuffled_queries_change_nothing(
    stacked: Table, cut: list[int], order: list[int], asked: list[int]
) -> None:
    runs = runs_of(stacked, cut)
    shuffled = [
        Run.from_matrix(m[asked][:, order], [QUERIES[q] for q in asked], [ITEMS[i] for i in order], k=k)
        for m, k in zip(stacked, cut, strict=True)
    ]
    for setting in SETTINGS:
        mixed = [runs[0], shuffled[1], shuffled[2]]
        assert listed(fuse_runs(mixed, **setting)) == listed(fuse_runs(runs, **setting))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stacked = np.random.default_rng(0).integers(0, 5, (4, 3, 6)).astype(np.float64)
    whole = fuse_runs(runs_of(stacked))
    monkeypatch.setattr(columns, "BLOCK_HITS", 1)
    apart = fuse_runs(runs_of(stacked))
    assert listed(whole) == listed(apart)
    np.testing.assert_array_equal(whole.scores, apart.scores)


def test_a_query_that_a_run_does_not_have_gets_nothing_from_it() -> None:
    one, two, three = runs_of(np.arange(54.0).reshape(3, 3, 6))
    partial = Run.from_matrix(np.array([[9.0, 1.0]]), ["q1"], ["a", "f"])
    fused = fuse_runs([one, two, three, partial], "rrf")
    assert fused.query_ids == ("q0", "q1", "q2")
    assert listed(fused)["q0"] == listed(fuse_runs([one, two, three], "rrf"))["q0"]
    assert listed(fused)["q1"][:2] == ("f", "a")


def test_empty_lists_and_empty_runs() -> None:
    empty = Run.from_rankings([Ranking(query=Query(text=q, id=q)) for q in QUERIES])
    one = runs_of(np.arange(54.0).reshape(3, 3, 6))[0]
    for setting in SETTINGS[:-3]:
        assert listed(fuse_runs([empty, one], **setting)) == listed(one)
        assert listed(fuse_runs([empty, empty], **setting)) == dict.fromkeys(QUERIES, ())
    assert len(fuse_runs([Run.from_rankings([])])) == 0


def test_k_keeps_the_best() -> None:
    runs = runs_of(np.random.default_rng(0).random((3, 3, 6)))
    whole, cut = fuse_runs(runs), fuse_runs(runs, k=2)
    assert listed(cut) == {query_id: ids[:2] for query_id, ids in listed(whole).items()}
    assert cut.name == "fuse:product"
    for wrong in (0, True, 1.5):
        with pytest.raises(UsageError, match="whole number from 1"):
            fuse_runs(runs, k=wrong)  # type: ignore[arg-type]


def test_settings_are_checked_before_any_work() -> None:
    runs = runs_of(np.zeros((3, 3, 6)))
    with pytest.raises(UsageError, match="There are 3 lists and the weights"):
        fuse_runs(runs, weights=[1.0])
    with pytest.raises(UsageError, match="exactly one group"):
        fuse_runs(runs, groups=[[0, 1]])
    with pytest.raises(UsageError, match="at least one"):
        fuse_runs([])


class _Answers(Stage):
    """Gives each query the Ranking it was made with."""

    def __init__(self, run: Run) -> None:
        self.rankings = {ranking.query.id: ranking for ranking in run.rankings()}

    def process(self, rankings: Any) -> list[Ranking]:
        return [ranking.with_hits(self.rankings[ranking.query.id].hits) for ranking in rankings]


def test_fitted_groups_rank_alike_in_a_pipeline_a_single_query_and_a_batch() -> None:
    random = np.random.default_rng(1)
    one, other = random.random((2, 3, 6))
    runs = runs_of(np.stack([one, other, one + 0.02 * random.random((3, 6))]))
    groups = kin_groups(runs)
    assert groups == ((0, 2), (1,))
    batch = listed(fuse_runs(runs, groups=groups))
    pipeline = Fuse(*map(_Answers, runs), groups=groups)
    queries = [Query(text=q, id=q) for q in QUERIES]
    assert {r.query.id: r.ids for r in pipeline.run(queries)} == batch
    assert pipeline(queries[1]).ids == batch["q1"]


def test_rankings_scored_by_two_stages_fuse_alike_alone_and_in_a_batch() -> None:
    scored = {"b": (7.0, "judge"), "a": (6.5, "judge"), "c": (0.7, "vector"), "d": (0.69, "vector")}
    hits = [Hit(item=Item(id=i, kind="text"), score=s, stage=stage) for i, (s, stage) in scored.items()]
    query = Query(text="q0", id="q0")
    mixed = Ranking(query=query, hits=hits)
    plain_scores = (("d", 2.0), ("c", 1.5), ("e", 1.0))
    plain = Ranking(query=query, hits=[Hit(item=Item(id=i, kind="text"), score=s) for i, s in plain_scores])
    batch = fuse_runs([[mixed], [plain]])
    assert batch.ids("q0") == fuse([mixed, plain]).ids == ("c", "b", "d", "a", "e")  # by scores: a before c


def _like_real_retrievers(seed: int, items: int = 300, found: int = 40) -> list[Run]:
    """Four sparse matrices like those of real retrievers: a score for the best few, exactly 0 for the rest.

    The right item of a query has its number. The second and the fourth share most of their noise: they are kin.
    """
    random = np.random.default_rng(seed)
    noise = random.normal(size=(4, items, items))
    noise[3] = 0.9 * noise[1] + 0.44 * noise[3]
    names = [f"{number:03d}" for number in range(items)]
    runs = []
    for matrix in noise:
        scores = matrix + 3.0 * np.eye(items)
        floor = np.partition(scores, items - found, axis=1)[:, [items - found]]
        runs.append(Run.from_matrix(np.where(scores >= floor, scores - floor, 0.0), names, names))
    return runs


def _recall(run: Run, *, ties_hit: bool = False) -> float:
    hits = 0
    for query_id, ids, scores in run:
        own = scores[ids.index(query_id)]
        hits += bool((scores > own).sum() == 0 and (ties_hit or (scores == own).sum() == 1))
    return hits / len(run)


def test_two_sparse_lists_tie_at_the_top_and_a_third_decides() -> None:
    runs = _like_real_retrievers(0)
    two, three = fuse_runs(runs[:2], "combsum"), fuse_runs(runs[:3], "combsum")
    assert _recall(two, ties_hit=True) - _recall(two) > 0.02
    assert _recall(three, ties_hit=True) - _recall(three) < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_a_kin_list_spoils_a_plain_product_and_kin_groups_mend_it(seed: int) -> None:
    runs = _like_real_retrievers(seed)
    groups = kin_groups(runs)
    assert groups == ((0,), (1, 3), (2,))
    grouped = _recall(fuse_runs(runs, groups=groups))
    assert grouped > _recall(fuse_runs(runs))
    assert grouped >= _recall(fuse_runs(runs[:3]))
