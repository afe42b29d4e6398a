"""Grouping: the best of each group leads, the others stand behind it, nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.folding import check_distinct, fold
from mmrank.group import group_by, owners_by_key
from mmrank.types import Hit, Item, Query, Ranking


def ranking(keys: list[str | None]) -> Ranking:
    hits = [
        Hit(item=Item(id=f"i{n}", kind="image", meta={} if key is None else {"shop": key}), score=-n, stage="s")
        for n, key in enumerate(keys)
    ]
    return Ranking(query=Query(text="q"), hits=hits)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=12))
def test_every_hit_leads_or_stands_behind_the_first_of_its_group(keys: list[str | None]) -> None:
    before = ranking(keys)
    after = group_by("shop")
    (folded,) = after.process([before])
    seen = [one for hit in folded for one in (hit, *(f.hit for f in hit.folded))]
    assert sorted(h.id for h in seen) == sorted(before.ids)
    for hit in folded:
        value = hit.item.meta.get("shop")
        assert all(f.hit.item.meta["shop"] == value and f.by == "shop" for f in hit.folded)
        assert [before.hits[f.hit.rank - 1].id for f in hit.folded] == [f.hit.id for f in hit.folded]
    leading = [key for key in keys if key is not None]
    assert len(folded) == len(set(leading)) + keys.count(None)
    assert [h.rank for h in folded] == [*range(1, len(folded) + 1)]


def test_the_record_counts_what_was_folded() -> None:
    (folded,) = group_by("shop").process([ranking(["a", "b", "a", "a"])])
    assert folded.records[-1].stage == "group_by(shop)"
    assert folded.records[-1].note == "2 hits folded behind 1 other; 4 looked at."
    assert folded.hits[0].score == 0


def test_a_whole_is_in_the_group_of_its_parts() -> None:
    items = [Item(id="r.pdf#page=2", kind="page", parent="r.pdf"), Item(id="r.pdf", kind="page")]
    (folded,) = group_by().process([Ranking(query=Query(text="q"), hits=[Hit(item=i, score=0.0) for i in items])])
    assert folded.ids == ("r.pdf#page=2",)


def test_only_the_first_k_groups_are_made_but_filled() -> None:
    assert owners_by_key(["a", "b", "c", "a", "c"], k=2) == [0, 1, None, 0, None]
    assert [h.id for h in fold(ranking(["a", "b", "c"]).hits, [0, None, 0], "shop")] == ["i0"]


def test_what_was_folded_before_stays_and_a_new_score_keeps_it() -> None:
    (once,) = group_by("shop").process([ranking(["a", "b", "a"])])
    (twice,) = group_by("absent").process([once])
    assert [f.hit.id for f in twice.hits[0].folded] == ["i2"]
    assert [f.hit.id for f in twice.hits[0].rescored(1.0, "judge").folded] == ["i2"]
    assert twice.records[-1].note == "Nothing to fold; 2 looked at."


@pytest.mark.parametrize("wrong", ["", 3, None])
def test_a_name_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="'parent' or the name of a metadata column"):
        group_by(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["yes", 95, -1.5])
def test_a_distinct_that_is_neither_switch_nor_cosine_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="cosine from -1 to 1"):
        check_distinct(wrong)  # type: ignore[arg-type]
