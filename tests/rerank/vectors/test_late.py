"""MaxSim against a loop; pruning and early exit against exhaustive scoring."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import EmbedderError, IndexStoreError, UsageError
from mmrank.rerank.vectors import late
from mmrank.rerank.vectors.late import late_interaction, max_sim, scored_early
from mmrank.rerank.vectors.source import GivenVectors, Matrix
from mmrank.types import Query, Ranking

MakeRanking = Callable[..., Ranking]


def by_loops(query: Any, document: Any) -> float:
    return sum(max(float(np.dot(q.astype(float), d.astype(float))) for d in document) for q in query)


def test_max_sim_is_that_of_the_loop(rows: Callable[..., Matrix], monkeypatch: pytest.MonkeyPatch) -> None:
    query = rows(4, seed=1)
    documents = [rows(n, seed=10 + n) for n in (1, 7, 3, 20, 2)]
    expected = [by_loops(query, d) for d in documents]
    assert max_sim(query, documents).tolist() == pytest.approx(expected, abs=1e-5)
    assert max_sim(query, [d.astype(np.float16) for d in documents]).tolist() == pytest.approx(expected, abs=1e-2)
    monkeypatch.setattr(late, "BLOCK_TOKENS", 9)
    assert max_sim(query, documents).tolist() == pytest.approx(expected, abs=1e-5)
    assert max_sim(query, []).tolist() == []


def test_a_document_whose_products_are_all_negative_keeps_its_sign() -> None:
    query = np.array([[1, 0]], np.float32)
    assert max_sim(query, [np.array([[-1, 0], [-0.5, 0]], np.float32)]).tolist() == [-0.5]


worths = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=40)


@given(worths, st.integers(1, 12), st.integers(1, 5))
def test_alpha_1_and_patience_n_score_everything(worth: list[float], k: int, batch: int) -> None:
    scores = scored_early(
        lambda some: [worth[i] for i in some], len(worth), k=k, alpha=1.0, patience=len(worth), batch=batch, first=worth
    )
    assert scores.tolist() == worth


@given(worths, st.integers(1, 8), st.floats(0, 0.5), st.integers(1, 4))
def test_pruning_and_exit_are_the_papers_loop(worth: list[float], k: int, alpha: float, patience: int) -> None:
    first = [float((7 * i) % 13) - 4 for i in range(len(worth))]
    expected: dict[int, float] = {}
    if len(worth) > k:
        kth = sorted(first, reverse=True)[k - 1]
        todo = [i for i in range(len(worth)) if first[i] >= kth - alpha * abs(kth)]
    else:
        todo = list(range(len(worth)))
    heap: list[float] = []
    misses = 0
    for i in todo:
        if misses == patience:
            break
        expected[i] = worth[i]
        if len(heap) < k:
            heap = sorted([*heap, worth[i]])
        elif worth[i] > heap[0]:
            heap, misses = sorted([*heap[1:], worth[i]]), 0
        else:
            misses += 1
    found = scored_early(
        lambda some: [worth[i] for i in some], len(worth), k=k, alpha=alpha, patience=patience, first=first
    )
    assert {i: s for i, s in enumerate(found) if not math.isnan(s)} == expected


def test_the_stage_is_exhaustive_by_default(source: GivenVectors, ranking: MakeRanking) -> None:
    ids = [f"i{n}" for n in range(10)]
    (after,) = late_interaction(source).process([ranking(ids)])
    scores = max_sim(source.asked_tokens["q"], [source.tokens[i] for i in ids])
    assert after.ids == tuple(ids[n] for n in np.argsort(-scores, kind="stable"))
    assert after.records[0].note is None
    thorough = late_interaction(source, k=3, alpha=1, patience=10).process([ranking(ids)])[0]
    assert thorough.ids == after.ids


@dataclass
class Watched:
    """A source that notes whose tokens were fetched."""

    inner: GivenVectors
    fetched: list[str]

    def token_vectors(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
        self.fetched += ids
        return self.inner.token_vectors(ids)

    def query_tokens(self, queries: Sequence[Query]) -> Any:
        return self.inner.query_tokens(queries)


def test_what_is_not_scored_is_not_fetched_and_stays_behind(source: GivenVectors, ranking: MakeRanking) -> None:
    scores = max_sim(source.asked_tokens["q"], [source.tokens[f"i{n}"] for n in range(10)])
    ids = [f"i{n}" for n in np.argsort(-scores)]  # the first stage was right
    watched = Watched(source, [])
    (after,) = late_interaction(watched, k=3, patience=2, batch=1).process([ranking(ids)])
    assert after.ids == tuple(ids)
    assert watched.fetched == ids[:5]
    assert [h.stage for h in after] == ["late_interaction"] * 5 + ["first"] * 5
    assert after.records[0].note == "5 of 10 hits were scored; the others could not enter the best k."
    assert after.outcome == "ok"


def test_a_long_list_is_held_in_parts(
    source: GivenVectors, ranking: MakeRanking, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"i{n}" for n in range(10)]
    (whole,) = late_interaction(source).process([ranking(ids)])
    sizes: list[int] = []

    class Counted(Watched):
        def token_vectors(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
            sizes.append(len(ids))
            return super().token_vectors(ids)

    monkeypatch.setattr(late, "HELD_AT_ONCE", 4)
    watched = Counted(source, [])
    (after,) = late_interaction(watched).process([ranking(["i20", *ids])])
    assert sizes == [4, 4, 2, 1], "the first k, then the rest"
    assert after.ids == (*whole.ids, "i20")


def test_a_source_without_token_vectors_is_refused_when_the_stage_is_made() -> None:
    class Bare(GivenVectors):
        def check_token_vectors(self) -> None:
            raise IndexStoreError("holds no token vectors")

    with pytest.raises(IndexStoreError, match="no token vectors"):
        late_interaction(Bare())


def test_scores_that_do_not_compare_prune_nothing(source: GivenVectors, ranking: MakeRanking) -> None:
    before = ranking([f"i{n}" for n in range(10)])
    mixed = replace(before, hits=[replace(before.hits[0], stage="judge", score=900.0), *before.hits[1:]])
    (after,) = late_interaction(source, k=1, alpha=0.01).process([mixed])
    assert {h.stage for h in after} == {"late_interaction"}
    assert "Nothing was pruned" in str(after.records[0].note)
    (pruned,) = late_interaction(source, k=1, alpha=0.02).process([before])
    assert pruned.ids[3:] == before.ids[3:]


def test_missing_tokens_and_queries_are_said(source: GivenVectors, ranking: MakeRanking) -> None:
    unknown = ranking(["i1"], query=Query(text="who", id="who"))
    some, none, lost = late_interaction(source).process([ranking(["i20", "i1"]), ranking(["i20"]), unknown])
    assert (some.ids, some.outcome) == (("i1", "i20"), "repaired")
    assert "'i20'" in str(some.records[0].error)
    assert (none.outcome, lost.outcome) == ("fell_back", "fell_back")
    assert "'who'" in str(lost.records[0].error)


def test_tokens_of_another_embedder_are_refused(source: GivenVectors, ranking: MakeRanking) -> None:
    other = replace(source, asked_tokens={"q": np.ones((2, 5), np.float32)})
    with pytest.raises(EmbedderError, match="one embedder"):
        late_interaction(other).process([ranking(["i1"])])


@pytest.mark.parametrize("options", [{"k": 0}, {"alpha": -0.1}, {"patience": 0}, {"batch": 0}, {"depth": 0}])
def test_settings_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        late_interaction(GivenVectors(), **options)
