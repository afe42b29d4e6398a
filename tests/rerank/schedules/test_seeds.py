"""Seeds follow from what is asked."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from mmrank.rerank.schedules.seeds import derive_seed


def test_the_value_is_fixed_for_all_time() -> None:
    # A resumed evaluation draws what the first half drew, also after an upgrade: these numbers must not change.
    assert derive_seed(0, "q") == 33879880
    assert derive_seed(7, "q", "block", (0, 1), 2) == 1184143752


def test_another_process_derives_the_same() -> None:
    code = "from mmrank.rerank.schedules.seeds import derive_seed; print(derive_seed(3, 'query', 1, 'a'))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(out) == derive_seed(3, "query", 1, "a")


@given(st.integers(), st.text(), st.lists(st.one_of(st.integers(), st.text()), max_size=3))
def test_range(seed: int, query_id: str, parts: list[int | str]) -> None:
    assert 0 <= derive_seed(seed, query_id, *parts) < 2**31


def test_parts_are_kept_apart() -> None:
    seeds = {derive_seed(0, "q", *p) for p in [(), (1,), ("1",), (1, 1), (11,), ("a", "b"), ("ab",), ((1, 1),)]}
    assert len(seeds) == 8
    assert len({derive_seed(s, q) for s in range(100) for q in "abcdefghij"}) == 1000
