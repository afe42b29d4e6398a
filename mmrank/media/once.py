"""A small cache that computes each value once, even when several threads ask at the same moment."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FileKey: TypeAlias = tuple[str, int, int]
"""A file as it is now: absolute path, modification time in nanoseconds, size in bytes."""


def file_key(path: str | Path, status: os.stat_result) -> FileKey:
    """What a cached fact about a file is kept under; changes when the file is written again."""
    return (str(Path(path).absolute()), status.st_mtime_ns, status.st_size)


class OnceCache(Generic[K, V]):
    """At most `capacity` values, least recently used dropped first; failures are not kept.

    >>> cache = OnceCache[str, int](capacity=2)
    >>> cache.get("a", lambda: 1)
    1
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[K, Future[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value under `key`, made by `make` when it is not there; others who ask meanwhile wait for it."""
        with self._lock:
            future = self._values.get(key)
            ours = future is None
            if future is None:
                future = self._values[key] = Future()
            self._values.move_to_end(key)
            while len(self._values) > self._capacity:
                self._values.popitem(last=False)
        if ours:
            try:
                future.set_result(make())
            except BaseException as error:  # noqa: BLE001 - handed to everyone who waits, this caller included
                with self._lock:
                    if self._values.get(key) is future:
                        del self._values[key]
                future.set_exception(error)
        return future.result()

    def clear(self) -> None:
        """Forget all values; those that are being made still reach whoever asked for them."""
        with self._lock:
            self._values.clear()

    def peek(self, key: K) -> V | None:
        """The value under `key` when it is there and ready."""
        with self._lock:
            future = self._values.get(key)
        return future.result() if future is not None and future.done() and not future.exception() else None
