"""Working ahead of a consumer, within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def bounded_map(
    executor: Executor,
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    ahead: int,
    first: int = 8,
    weigh: Callable[[T], int] = lambda _: 1,
    glance: Callable[[T], R | None] = lambda _: None,
) -> Iterator[R]:
    """``map`` in an executor, in order, with at most `ahead` worth of items taken and not yet given out.

    The window opens from `first` by two for every result taken, so that the first results come at once although
    filling the whole window may wait for `items`. One item is always let in, however much it weighs.
    `glance` is asked first, in this thread: what it gives is the result, and None sends the item to the executor.
    What `function` raises is raised here; work not yet begun is cancelled when the consumer stops.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(bounded_map(pool, abs, [-1, -2, -3], ahead=2))
    [1, 2, 3]
    """
    waiting: deque[tuple[Future[R] | R, int]] = deque()
    held, window = 0, min(first, ahead)
    try:
        for item in items:
            weight = weigh(item)
            while waiting and held + weight > window:
                result, done = waiting.popleft()
                held -= done
                window = min(window + 2, ahead)
                yield result.result() if isinstance(result, Future) else result
            seen = glance(item)
            waiting.append((executor.submit(function, item) if seen is None else seen, weight))
            held += weight
        while waiting:
            result, _ = waiting.popleft()
            yield result.result() if isinstance(result, Future) else result
    finally:
        for result, _ in waiting:
            if isinstance(result, Future):
                result.cancel()


def batched(items: Iterable[T], size: int, *, first: int, weigh: Callable[[T], int] = lambda _: 1) -> Iterator[list[T]]:
    """Lists of items that weigh `size` together or little more; the first only `first`, then doubling.

    Small ones first, so that whoever consumes them starts while most of the large ones is still being made.

    >>> list(batched("abcdefgh", 4, first=1))
    [['a'], ['b', 'c'], ['d', 'e', 'f', 'g'], ['h']]
    """
    batch: list[T] = []
    held, limit = 0, min(first, size)
    for item in items:
        batch.append(item)
        held += weigh(item)
        if held >= limit:
            yield batch
            batch, held, limit = [], 0, min(2 * limit, size)
    if batch:
        yield batch
