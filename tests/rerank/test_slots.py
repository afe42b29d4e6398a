"""Slots: hits, once or once per list that found them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from mmrank.rerank.recipe import find_recipe
from mmrank.rerank.slots import candidate_slots, collapse, expanded, source_slots
from mmrank.types import Hit, Item, Ranking, Source


def hit(name: str, **sources: int) -> Hit:
    found = tuple(Source(name=source, rank=rank, score=0.0) for source, rank in sources.items())
    return Hit(item=Item(id=name, kind="text"), score=0.0, sources=found)


def test_round_robin_rank_by_rank() -> None:
    hits = [hit("x", a=1, b=3), hit("y", b=1), hit("z", a=2, b=2)]
    assert source_slots(hits) == [0, 1, 2, 2, 0]
    assert source_slots(hits, 3) == [0, 1, 2]


def test_a_hit_of_no_list_counts_by_its_own_place() -> None:
    assert source_slots([hit("x", a=1), hit("y"), hit("z", a=2)]) == [0, 2, 1]
    assert source_slots([hit("x"), hit("y")]) == [0, 1]


@given(st.lists(st.lists(st.integers(1, 9), max_size=3), max_size=8), st.integers(1, 9))
def test_every_source_has_one_slot(ranks: list[list[int]], most: int) -> None:
    hits = [hit(f"h{i}", **{f"s{j}": rank for j, rank in enumerate(row)}) for i, row in enumerate(ranks)]
    slots = source_slots(hits)
    assert all(slots.count(i) == max(1, len(row)) for i, row in enumerate(ranks))
    assert source_slots(hits, most) == slots[:most]
    assert sorted(set(collapse(range(len(slots)), slots))) == list(range(len(hits)))


def test_a_recipe_says_which(sourced: Callable[[dict[str, list[int]]], Ranking]) -> None:
    hits = sourced({"a": [1, 2], "b": [2, 1]}).hits
    assert expanded(hits, find_recipe("vic")) == [0, 1, 1, 0]
    assert expanded(hits, find_recipe("yes_no")) == candidate_slots(hits) == [0, 1]
