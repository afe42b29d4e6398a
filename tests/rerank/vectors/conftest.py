"""Rankings and sources of given vectors for the vector stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from mmrank.rerank.vectors.source import GivenVectors, Matrix
from mmrank.types import Hit, Item, Query, Ranking

MakeRanking = Callable[..., Ranking]


def unit_rows(count: int, dimension: int = 8, *, seed: int = 0) -> Matrix:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def rows() -> Callable[..., Matrix]:
    """Random unit rows, float32 (count, dimension)."""
    return unit_rows


@pytest.fixture
def ranking() -> MakeRanking:
    """A Ranking of these ids for query "q", scores falling from 1 by 0.01."""

    def make(ids: Sequence[str], *, stage: str = "first", query: Query | None = None) -> Ranking:
        hits = [Hit(item=Item(id=i, kind="text", text=i), score=1 - n / 100, stage=stage) for n, i in enumerate(ids)]
        return Ranking(query=query or Query(text="q", id="q"), hits=hits)

    return make


@pytest.fixture
def source() -> GivenVectors:
    """Items i0 to i29 and query "q", 8 dimensions; i0 to i9 have frames and tokens too."""
    items = unit_rows(30)
    return GivenVectors(
        items={f"i{n}": row for n, row in enumerate(items)},
        queries={"q": unit_rows(1, seed=1)[0]},
        frames={f"i{n}": unit_rows(1 + n % 3, seed=100 + n) for n in range(10)},
        tokens={f"i{n}": unit_rows(2 + n % 4, seed=200 + n).astype(np.float16) for n in range(10)},
        asked_tokens={"q": unit_rows(3, seed=2)},
    )
