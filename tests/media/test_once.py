from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmrank.media.once import OnceCache


def test_threads_that_ask_together_compute_once() -> None:
    cache: OnceCache[str, int] = OnceCache(4)
    calls: list[int] = []
    gate = threading.Event()

    def make() -> int:
        gate.wait(5)
        calls.append(1)
        return 7

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(cache.get, "k", make) for _ in range(8)]
        gate.set()
        assert [f.result() for f in asked] == [7] * 8
    assert len(calls) == 1


def test_the_least_recently_used_goes_first() -> None:
    cache: OnceCache[str, str] = OnceCache(2)
    for key in ("a", "b", "a", "c"):
        cache.get(key, lambda key=key: key)
    assert [cache.get(k, lambda: "new") for k in ("a", "b")] == ["a", "new"]


def test_failures_are_told_and_tried_again() -> None:
    cache: OnceCache[str, int] = OnceCache(2)
    with pytest.raises(OSError, match="gone"):
        cache.get("k", lambda: (_ for _ in ()).throw(OSError("gone")))
    assert cache.get("k", lambda: 1) == 1
