"""Fusing Rankings: what goes in comes out once, ties are decided, sources and records are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.fusion import Fuse, fuse, merge
from mmrank.fusion_rule import METHODS
from mmrank.pipeline import Cutoff
from mmrank.types import Cost, Hit, Item, Query, Ranking, Record

QUERY = Query(text="q")


def ranking(ids: str, scores: list[float] | None = None, stage: str = "s") -> Ranking:
    values = scores or [float(len(ids) - i) for i in range(len(ids))]
    hits = [Hit(item=Item(id=i, kind="text"), score=s, stage=stage) for i, s in zip(ids, values, strict=True)]
    return Ranking(query=QUERY, hits=hits, records=(Record(stage=stage, cost=Cost(model_calls=1)),))


def test_agreement_wins() -> None:
    fused = fuse([ranking("abc"), ranking("bca"), ranking("bac")], "rrf")
    assert fused.ids[0] == "b"
    assert fused.hits[0].stage == "fuse:rrf"
    assert [s.rank for s in fused.hits[0].sources] == [2, 1, 1]


def test_exact_ties_are_decided_by_best_rank_then_id_whatever_the_order_of_lists() -> None:
    one, two = ranking("ab", [1.0, 0.0]), ranking("ba", [1.0, 0.0])
    assert fuse([one, two], "combsum").ids == fuse([two, one], "combsum").ids == ("a", "b")


def test_trace_keeps_the_old_score_and_records_add_up() -> None:
    fused = fuse([ranking("ab", stage="x"), ranking("ba", stage="y")])
    assert fused.hits[0].trace[0].stage in {"x", "y"}
    assert fused.cost.model_calls == 2


def test_lists_of_different_queries_are_refused() -> None:
    other = Ranking(query=Query(text="another"))
    with pytest.raises(UsageError, match="2 different queries"):
        fuse([ranking("a"), other])
    with pytest.raises(UsageError, match="at least one"):
        fuse([])


def test_names_must_fit() -> None:
    with pytest.raises(UsageError, match="1 lists and 2 names"):
        fuse([ranking("a")], names=["x", "y"])


def test_merge_goes_round_robin_and_keeps_the_votes() -> None:
    merged = merge([ranking("abc"), ranking("bd")], names=["x", "y"])
    assert merged.ids == ("a", "b", "d", "c")
    assert [(s.name, s.rank) for s in merged.hits[1].sources] == [("x", 2), ("y", 1)]
    assert merge([ranking("abc"), ranking("bd")], k=2).ids == ("a", "b")


def test_a_list_scored_by_two_stages_goes_in_by_its_ranks() -> None:
    scores = {"b": (-1.0, "judge"), "a": (-3.0, "judge"), "c": (0.7, "vector"), "d": (0.6, "vector")}
    hits = [Hit(item=Item(id=i, kind="text"), score=s, stage=stage) for i, (s, stage) in scores.items()]
    reranked = Ranking(query=QUERY, hits=hits)
    for method in ("product", "combsum", "combmnz"):
        assert fuse([reranked], method).ids == ("b", "a", "c", "d")  # type: ignore[arg-type]


@given(st.lists(st.permutations("abcdef").map("".join), min_size=1, max_size=4), st.integers(0, 6))
def test_nothing_is_lost_and_nothing_comes_twice(orders: list[str], cut: int) -> None:
    lists = [ranking(order[cut:]) for order in orders]
    everything = {i for r in lists for i in r.ids}
    for method in METHODS:
        fused = fuse(lists, method)
        assert set(fused.ids) == everything
        assert len(fused) == len(everything)
    assert set(merge(lists).ids) == everything


def test_scores_that_rise_down_the_list_give_way_to_its_order() -> None:
    assert fuse([ranking("abc", [0.1, 0.9, 0.5])]).ids == ("a", "b", "c")


def test_a_kin_list_counts_as_one_voice() -> None:
    lists = [ranking("abc"), ranking("bca"), ranking("abc")]
    assert fuse(lists, "combsum").ids == ("a", "b", "c")
    assert fuse(lists, "combsum", groups=[[0, 2], [1]]).ids == ("b", "a", "c")
    assert fuse(lists, "combsum", weights=[0.2, 1, 0.2]).ids == ("b", "c", "a")


def test_an_item_can_leave_out_the_lists_that_do_not_have_it() -> None:
    lists = [ranking("abc"), ranking("bd")]
    assert fuse(lists, "combsum").ids == ("b", "a", "d", "c")
    assert fuse(lists, "combsum", absent="left_out").hits[0].id == "a"


def test_fuse_checks_its_settings_when_it_is_made() -> None:
    with pytest.raises(UsageError, match="exactly one group"):
        Fuse(Cutoff(k=1), Cutoff(k=2), groups=[[0]])
    with pytest.raises(UsageError, match="There are 2 lists and the weights"):
        Fuse(Cutoff(k=1), Cutoff(k=2), weights=[1.0])
    for setting in ({"weights": [1.0]}, {"groups": [[0]]}, {"absent": "left_out"}):
        with pytest.raises(UsageError, match="goes round robin"):
            Fuse(Cutoff(k=1), method="merge", **setting)  # type: ignore[arg-type]


def test_fuse_prints_and_compares_by_what_it_does() -> None:
    stage = Fuse(Cutoff(k=1), Cutoff(k=2), groups=[[0, 1]], absent="left_out")
    assert repr(stage) == "Fuse(% 1, % 2, method='product', groups=((0, 1),), absent='left_out')"
    assert stage == Fuse(Cutoff(k=1), Cutoff(k=2), groups=((0, 1),), absent="left_out")
    assert hash(stage) != hash(Fuse(Cutoff(k=1), Cutoff(k=2)))
    assert repr(Fuse(Cutoff(k=1), method="merge")) == "Fuse(% 1, method='merge')"
    assert Fuse(Cutoff(k=1), method="merge").method == "merge"


def test_merge_in_a_pipeline_keeps_the_votes() -> None:
    (merged,) = Fuse(Cutoff(k=2), Cutoff(k=1), method="merge").process([ranking("abc")])
    assert merged.ids == ("a", "b")
    assert [len(hit.sources) for hit in merged] == [2, 1]
    assert merged.records[-1].stage == "fuse:merge"
