"""Block designs keep the counts they promise."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.rerank.schedules.designs import DEAL, Dealt, equi_replicate, latin, most_blocks, triangular


def appearances(blocks: Dealt) -> Counter[int]:
    return Counter(slot for block in blocks for slot in block)


def meetings(blocks: Dealt) -> Counter[tuple[int, int]]:
    return Counter(pair for block in blocks for pair in combinations(sorted(block), 2))


@given(st.integers(2, 10), st.integers(1, 8), st.integers(1, 5), st.integers())
def test_equi_replicate_is_exact_when_the_size_divides(size: int, times: int, repeats: int, seed: int) -> None:
    blocks = equi_replicate(size * times, size, repeats, Random(seed))
    assert set(appearances(blocks).values()) == {repeats}
    assert len(blocks) == repeats * times
    assert all(len(set(b)) == len(b) == size for b in blocks)


@given(st.integers(2, 10), st.integers(11, 60), st.integers(1, 4), st.integers())
def test_equi_replicate_fills_short_blocks_with_others(size: int, slots: int, repeats: int, seed: int) -> None:
    blocks = equi_replicate(slots, size, repeats, Random(seed))
    counts = appearances(blocks)
    assert all(len(set(b)) == len(b) == size for b in blocks)
    assert min(counts.values()) >= repeats
    assert sorted(counts) == list(range(slots))
    assert sum(counts.values()) - repeats * slots == repeats * (-slots % size)


@pytest.mark.parametrize("side", [2, 3, 4, 5, 6, 7, 9])
def test_latin_lets_no_two_slots_meet_twice(side: int) -> None:
    factor = next(p for p in range(2, side + 1) if side % p == 0)
    repeats = factor + 1
    blocks = latin(side * side, side, repeats, Random(0))
    assert {len(b) for b in blocks} == {side}
    assert set(appearances(blocks).values()) == {repeats}
    assert set(meetings(blocks).values()) == {1}
    assert len(blocks) == repeats * side


@pytest.mark.parametrize("side", [3, 5, 7])
def test_latin_of_prime_side_lets_every_two_meet_once(side: int) -> None:
    blocks = latin(side * side, side, side + 1, Random(1))
    assert len(meetings(blocks)) == side * side * (side * side - 1) // 2


def test_latin_goes_on_with_a_new_square_when_one_is_used_up() -> None:
    blocks = latin(16, 4, 7, Random(0))
    assert set(appearances(blocks).values()) == {7}
    assert len(meetings(blocks)) > len(meetings(blocks[:12]))


@pytest.mark.parametrize("corners", [3, 4, 6, 11])
def test_triangular_has_any_two_blocks_share_one_slot(corners: int) -> None:
    slots, size = corners * (corners - 1) // 2, corners - 1
    blocks = triangular(slots, size, 2, Random(0))
    assert len(blocks) == corners
    assert {len(b) for b in blocks} == {size}
    assert set(appearances(blocks).values()) == {2}
    assert all(len(set(a) & set(b)) == 1 for a, b in combinations(blocks, 2))


@given(st.sampled_from(sorted(DEAL)), st.integers(2, 12), st.data(), st.integers())
def test_no_design_shows_a_slot_twice_in_a_block_or_makes_blocks_too_large(
    design: str, size: int, data: st.DataObject, seed: int
) -> None:
    most = {"latin": size * size, "triangular": size * (size + 1) // 2}.get(design, 60)
    slots = data.draw(st.integers(size + 1, max(size + 1, most)))
    if slots > most:
        return
    repeats = data.draw(st.sampled_from([2, 4] if design == "triangular" else [1, 2, 3]))
    blocks = DEAL[design](slots, size, repeats, Random(seed))  # type: ignore[index]
    assert len(blocks) <= most_blocks(design, slots, size, repeats)  # type: ignore[arg-type]
    for block in blocks:
        assert 2 <= len(block) <= size
        assert len(set(block)) == len(block)
        assert set(block) <= set(range(slots))
    assert max(appearances(blocks).values()) <= (len(blocks) if design in ("equi", "random") else repeats)


@pytest.mark.parametrize("slots", [11, 13, 20, 24])
def test_a_partly_filled_square_or_triangle_shows_almost_every_slot_as_often(slots: int) -> None:
    assert set(appearances(triangular(slots, 7, 2, Random(0))).values()) <= {1, 2}
    assert set(appearances(latin(slots, 5, 3, Random(0))).values()) <= {2, 3}


def test_too_many_slots_for_a_design_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="raise size to 11"):
        latin(101, 10, 2, Random(0))
    with pytest.raises(UsageError, match="takes up to 55 slots, and there are 56"):
        triangular(56, 10, 2, Random(0))
    with pytest.raises(UsageError, match="repeats is 3"):
        triangular(55, 10, 3, Random(0))


def test_the_inner_order_is_shuffled() -> None:
    """Else a slot would be shown at the same place in each of its blocks."""
    for blocks in (latin(25, 5, 2, Random(0)), triangular(15, 5, 2, Random(0)), equi_replicate(25, 5, 2, Random(0))):
        assert any(list(b) != sorted(b) for b in blocks)
