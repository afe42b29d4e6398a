"""Exact top k: against a sort of all products, ties by name, batch equal to single, with and without FAISS."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.index import exact
from mmrank.index.exact import best, ranked


def names(positions: np.ndarray) -> list[str]:
    return [f"r{p:05d}" for p in positions]


def vectors(n: int, d: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def reference(matrix: np.ndarray, query: np.ndarray, k: int, rows: np.ndarray) -> list[int]:
    scores = {int(r): np.float32(np.dot(matrix[r].astype(np.float64), query.astype(np.float64))) for r in rows}
    return sorted(scores, key=lambda r: (-scores[r], names(np.array([r]))[0]))[:k]


@pytest.fixture(params=["faiss", "numpy"])
def batch_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "numpy":
        monkeypatch.setattr(exact, "_faiss", lambda: None)
    else:
        pytest.importorskip("faiss")
    return str(request.param)


@pytest.mark.parametrize("k", [1, 10, 700])
def test_batches_and_single_queries_equal_a_full_sort(batch_by: str, k: int) -> None:
    matrix, queries = vectors(500, 24, 0), vectors(9, 24, 1)
    together = best(matrix, names, queries, k)
    for query, found in zip(queries, together, strict=True):
        alone = best(matrix, names, query[None], k)[0]
        assert found.positions.tolist() == reference(matrix, query, k, np.arange(500))
        assert found.positions.tolist() == alone.positions.tolist()
        assert found.scores.tolist() == alone.scores.tolist()


def test_blocks_meet_without_a_seam(batch_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "BLOCK_ROWS", 7)
    monkeypatch.setattr(exact, "BLOCK_QUERIES", 3)
    matrix, queries = vectors(100, 8, 2), vectors(10, 8, 3)
    for query, found in zip(queries, best(matrix, names, queries, 12), strict=True):
        assert found.positions.tolist() == reference(matrix, query, 12, np.arange(100))


def test_more_copies_than_the_margin_still_tie_by_name(batch_by: str) -> None:
    matrix = np.repeat(vectors(4, 16, 4), 100, axis=0)[np.random.default_rng(5).permutation(400)]
    queries = vectors(6, 16, 6)
    for query, found in zip(queries, best(matrix, names, queries, 10), strict=True):
        assert found.positions.tolist() == reference(matrix, query, 10, np.arange(400))
        assert len(set(found.scores.tolist())) == 1


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 60),
    k=st.integers(1, 70),
    q=st.integers(1, 8),
    seed=st.integers(0, 10_000),
    copies=st.booleans(),
    share=st.sampled_from([None, 0.0, 0.1, 0.6, 1.0]),
    barred=st.integers(0, 30),
)
def test_allowed_and_excluded_rows_are_respected_and_k_stays_full(
    n: int, k: int, q: int, seed: int, copies: bool, share: float | None, barred: int
) -> None:
    rng = np.random.default_rng(seed)
    matrix = vectors(n, 6, seed)
    if copies:
        matrix = matrix[rng.integers(0, max(n // 4, 1), n)]
    queries = vectors(q, 6, seed + 1)
    allowed = None if share is None else rng.random(n) < share
    exclude = [np.unique(rng.integers(0, n, barred)) if barred else np.empty(0, np.int64) for _ in range(q)]
    for query, bar, found in zip(
        queries, exclude, best(matrix, names, queries, k, allowed=allowed, exclude=exclude), strict=True
    ):
        open_rows = np.setdiff1d(np.arange(n) if allowed is None else np.flatnonzero(allowed), bar)
        assert found.positions.tolist() == reference(matrix, query, k, open_rows)


def test_ranked_scores_every_row_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "SETTLE_ROWS", 3)
    matrix, query = vectors(20, 5, 7), vectors(1, 5, 8)[0]
    rows = np.array([3, 19, 0, 7, 11, 2])
    assert ranked(matrix, names, query, 4, rows).positions.tolist() == reference(matrix, query, 4, rows)


def test_nothing_to_search_gives_nothing() -> None:
    empty = np.empty((0, 4), np.float32)
    assert [len(f.positions) for f in best(empty, names, vectors(5, 4, 0), 3)] == [0] * 5


@pytest.mark.parametrize("closed", [40_000, exact.BLOCK_ROWS - 3])
def test_a_filter_that_closes_the_first_rows_neither_spoils_nor_blows_up_a_batch(
    closed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged: list[int] = []
    merge = exact._merged

    def watched(scores: np.ndarray, positions: np.ndarray, who: np.ndarray, *rest: np.ndarray) -> object:
        merged.append(len(who))
        return merge(scores, positions, who, *rest)

    monkeypatch.setattr(exact, "_merged", watched)
    matrix, queries = vectors(60_000, 8, 1), vectors(6, 8, 2)
    allowed = np.arange(60_000) >= closed
    for found, query in zip(best(matrix, names, queries, 5, allowed=allowed), queries, strict=True):
        scores = matrix @ query
        scores[~allowed] = -1
        assert found.positions.tolist() == np.argsort(-scores)[:5].tolist()
    assert max(merged, default=0) <= 6 * (5 + exact.MARGIN)


def test_rows_in_rising_order_are_merged_by_the_best_of_each_block(monkeypatch: pytest.MonkeyPatch) -> None:
    merged: list[int] = []
    merge = exact._merged

    def watched(scores: np.ndarray, positions: np.ndarray, who: np.ndarray, *rest: np.ndarray) -> object:
        merged.append(len(who))
        return merge(scores, positions, who, *rest)

    monkeypatch.setattr(exact, "_merged", watched)
    monkeypatch.setattr(exact, "_faiss", lambda: None)
    angle = np.linspace(1.5, 0.0, 40_000)
    matrix = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    query = np.array([1.0, 0.0], np.float32)
    for found in best(matrix, names, np.stack([query] * 4), 3):
        assert found.positions.tolist() == reference(matrix, query, 3, np.arange(39_000, 40_000))
    assert merged
    assert max(merged) <= 4 * (3 + exact.MARGIN)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.6])
def test_a_filtered_batch_is_what_single_queries_give(share: float) -> None:
    rng = np.random.default_rng(3)
    matrix = rng.standard_normal((3_000, 16)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    allowed = rng.random(len(matrix)) < share
    queries = matrix[:9]
    exclude = [np.flatnonzero(rng.random(len(matrix)) < 0.1) for _ in queries]

    batched = best(matrix, names, queries, 40, allowed=allowed, exclude=exclude)
    for query, bar, many in zip(queries, exclude, batched, strict=True):
        [one] = best(matrix, names, query[None], 40, allowed=allowed, exclude=[bar])
        open_rows = np.setdiff1d(np.flatnonzero(allowed), bar)
        scores = matrix[open_rows].astype(np.float64) @ query.astype(np.float64)
        truth = open_rows[np.lexsort((open_rows, -scores.astype(np.float32)))][:40]
        assert many.positions.tolist() == one.positions.tolist() == truth.tolist()
        assert np.array_equal(many.scores, one.scores)
