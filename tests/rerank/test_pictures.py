"""The bounded cache of rendered pictures."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrank.rerank.pictures import PictureCache


def test_the_oldest_goes_first() -> None:
    cache = PictureCache(capacity=3 * 300)
    for key in "abc":
        cache.put(key, Image.new("RGB", (10, 10)))
    assert cache.get("a") is not None
    cache.put("d", Image.new("RGB", (10, 10)))
    assert cache.get("b") is None
    assert all(cache.get(key) is not None for key in "acd")


def test_a_picture_larger_than_the_cache_is_not_kept_and_drops_nothing() -> None:
    cache = PictureCache(capacity=300)
    cache.put("small", Image.new("RGB", (10, 10)))
    cache.put("large", Image.new("RGB", (100, 100)))
    assert cache.get("large") is None
    assert cache.get("small") is not None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 30))))
def test_it_never_holds_more_than_its_capacity(puts: list[tuple[str, int]]) -> None:
    cache = PictureCache(capacity=1_000)
    for key, side in puts:
        cache.put(key, Image.new("RGB", (side, side)))
        held = [cache.get(k) for k in "abcdef"]
        assert cache.bytes == sum(3 * p.width * p.height for p in held if p is not None) <= 1_000


def test_threads_leave_the_count_right() -> None:
    cache = PictureCache(capacity=20 * 300)

    def work(offset: int) -> None:
        for i in range(200):
            cache.put(str((i * 7 + offset) % 50), Image.new("RGB", (10, 10)))
            cache.get(str(i % 50))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.bytes == 300 * sum(cache.get(str(i)) is not None for i in range(50)) <= 20 * 300
