from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.index.ahead import batched, bounded_map


@given(st.lists(st.integers(1, 20)), st.integers(1, 30), st.integers(1, 8))
def test_results_come_in_order_and_the_window_holds(weights: list[int], ahead: int, first: int) -> None:
    taken = given_out = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for weight in weights:
            taken += weight
            # What is taken and not given out: the window, or the one item that is let in whatever it weighs,
            # and the item that has just been asked for.
            assert taken - given_out - weight <= max(ahead, *weights)
            yield weight

    with ThreadPoolExecutor(2) as pool:
        results = []
        for result in bounded_map(pool, lambda n: n, source(), ahead=ahead, first=first, weigh=lambda n: n):
            given_out += result
            results.append(result)
    assert results == weights


def test_the_first_result_comes_before_the_window_is_full() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for number in range(200):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(1) as pool:
        results = bounded_map(pool, abs, source(), ahead=64, first=4)
        assert next(results) == 0
        assert len(taken) == 5
        for _ in range(40):
            next(results)
        assert len(taken) - 41 == 64


def test_an_error_is_raised_in_its_place_and_the_rest_is_cancelled() -> None:
    started: list[int] = []
    gate = threading.Event()

    def work(number: int) -> int:
        started.append(number)
        gate.wait(5)
        return 1 // (number - 1)

    with ThreadPoolExecutor(1) as pool:
        results = bounded_map(pool, work, range(50), ahead=20, first=20)
        gate.set()
        assert next(results) == -1
        with pytest.raises(ZeroDivisionError):
            next(results)
    assert len(started) < 22


@given(st.lists(st.integers(1, 9)), st.integers(1, 16), st.integers(1, 16))
def test_batches_hold_everything_once_and_little_more_than_their_size(items: list[int], size: int, first: int) -> None:
    batches = list(batched(items, size, first=first, weigh=lambda n: n))
    assert [one for batch in batches for one in batch] == items
    limit = min(first, size)
    for batch in batches[:-1]:
        assert sum(batch[:-1]) < limit <= sum(batch)
        limit = min(2 * limit, size)
