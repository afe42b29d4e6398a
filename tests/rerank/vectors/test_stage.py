"""What holds for every vector stage: the same Items, what is missing named, a bad query alone, batch equals single."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import EmbedderError, UsageError
from mmrank.pipeline import Stage
from mmrank.rerank.vectors import (
    STAGES,
    GivenVectors,
    clip_rerank,
    e2rank,
    late_interaction,
    mmr,
    near_duplicates,
    query_expansion,
    rocchio,
    super_global,
    text_conditioned,
    vector_stage,
)
from mmrank.rerank.vectors.stage import missing_text, portions, settled
from mmrank.types import Hit, Item, Query, Ranking

MakeRanking = Callable[..., Ranking]
Make = Callable[..., Stage]

MAKERS: dict[str, Make] = {
    "super_global": super_global,
    "clip_rerank": clip_rerank,
    "rocchio": rocchio,
    "query_expansion": query_expansion,
    "e2rank": e2rank,
    "mmr": mmr,
    "near_duplicates": near_duplicates,
    "text_conditioned": text_conditioned,
    "late_interaction": late_interaction,
}

every_stage = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def given_for(ids: list[str], missing: set[str], spoilt: set[str], seed: int) -> GivenVectors:
    rng = np.random.default_rng(seed)

    def rows(n: int) -> np.ndarray:
        x = rng.standard_normal((n, 4)).astype(np.float32)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    items = {i: rows(1)[0] if i not in spoilt else np.full(4, np.nan, np.float32) for i in ids if i not in missing}
    several = {i: rows(2) if i not in spoilt else np.full((2, 4), np.inf, np.float32) for i in items}
    return GivenVectors(
        items=items, frames=several, tokens=several, queries={"q": rows(1)[0]}, asked_tokens={"q": rows(2)}
    )


lists = st.lists(st.integers(0, 40), unique=True, max_size=14)


@every_stage
@given(lists, st.integers(1, 16), st.data())
def test_the_same_items_come_out_and_the_tail_keeps_its_order(
    make: Make, numbers: list[int], depth: int, data: st.DataObject
) -> None:
    ids = [f"i{n}" for n in numbers]
    missing = set(data.draw(st.lists(st.sampled_from(ids), unique=True))) if ids else set()
    spoilt = set(data.draw(st.lists(st.sampled_from(ids), unique=True))) if ids else set()
    hits = [Hit(item=Item(id=i, kind="text", text=i), score=float(n % 3), stage="first") for n, i in enumerate(ids)]
    before = Ranking(query=Query(text="q", id="q"), hits=hits)
    (after,) = make(given_for(ids, missing, spoilt, len(ids)), depth=depth).process([before])
    assert sorted(after.ids) == sorted(ids)
    assert after.ids[depth:] == tuple(ids[depth:])
    lacking = [i for i in ids[:depth] if i in missing | spoilt]
    unscored = [h.id for h in after.hits[:depth] if h.stage == "first"]
    assert unscored == lacking  # behind the others, in their previous order
    assert after.ids[len(ids[:depth]) - len(lacking) : depth] == tuple(lacking)
    if ids:
        (record,) = after.records
        expected = "ok" if not lacking else "repaired" if len(lacking) < len(ids[:depth]) else "fell_back"
        assert record.status == expected
        assert all(repr(i) in str(record.error) for i in lacking[:5])
        assert record.appended == len(lacking) or make is late_interaction


@every_stage
def test_a_batch_gives_what_each_query_gives_alone(make: Make, source: GivenVectors, ranking: MakeRanking) -> None:
    queries = {"q": source.queries["q"], "r": -source.queries["q"]}
    both = replace(source, queries=queries, asked_tokens={n: np.stack([v, v]) for n, v in queries.items()})
    batch = [
        ranking([f"i{n}" for n in range(10)]),
        ranking([]),
        ranking([f"i{n}" for n in (3, 1, 9, 7)], query=Query(text="r", id="r")),
    ]
    stage = make(both)
    together = stage.process(batch)
    alone = [stage.process([one])[0] for one in batch]
    assert [r.ids for r in together] == [r.ids for r in alone]
    assert [[h.score for h in r] for r in together] == [[h.score for h in r] for r in alone]
    assert together[1].records == ()


@every_stage
def test_equal_vectors_keep_the_previous_order(make: Make, ranking: MakeRanking) -> None:
    row = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    row /= np.linalg.norm(row)
    ids = [f"i{n}" for n in (4, 2, 9, 0, 7, 5, 1, 3, 8, 6, 11, 10)]
    source = GivenVectors(
        items=dict.fromkeys(ids, row),
        frames=dict.fromkeys(ids, row[None]),
        tokens=dict.fromkeys(ids, row[None]),
        queries={"q": row},
        asked_tokens={"q": row[None]},
    )
    hits = [Hit(item=Item(id=i, kind="text"), score=1.0, stage="first") for i in ids]
    (after,) = make(source).process([Ranking(query=Query(text="q", id="q"), hits=hits)])
    assert after.ids == tuple(ids)


def test_one_query_without_a_vector_leaves_the_others_alone(source: GivenVectors, ranking: MakeRanking) -> None:
    unknown = ranking(["i3", "i1"], query=Query(text="who", id="who"))
    lost, found = super_global(source).process([unknown, ranking(["i3", "i1"])])
    assert (lost.ids, lost.outcome) == (("i3", "i1"), "fell_back")
    assert "'who'" in str(lost.records[0].error)
    assert [h.stage for h in lost] == ["first", "first"]
    assert found.outcome == "ok"


def test_vectors_of_another_embedder_are_refused(source: GivenVectors, ranking: MakeRanking) -> None:
    other = replace(source, queries={"q": np.ones(5, np.float32)})
    with pytest.raises(EmbedderError, match="has 5 dimensions and that of item 'i3' has 8"):
        super_global(other).process([ranking(["i3"])])


def test_vectors_are_fetched_in_portions_and_nothing_changes(
    source: GivenVectors, ranking: MakeRanking, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [ranking([f"i{n}" for n in range(start, start + 8)]) for start in range(5)]
    stage = super_global(source)
    whole = [r.ids for r in stage.process(batch)]
    monkeypatch.setattr(type(stage), "held_at_once", 10)
    asked = []
    known = GivenVectors.known_vectors
    monkeypatch.setattr(GivenVectors, "known_vectors", lambda self, ids: asked.append(len(ids)) or known(self, ids))
    assert [r.ids for r in stage.process(batch)] == whole
    assert asked == [8] * 5


def test_portions_hold_one_query_at_least() -> None:
    query = Query(text="q")
    sizes = [5, 3, 9, 1, 1]
    batch = [(query, [Hit(item=Item(id=str(n), kind="text"), score=0) for n in range(size)]) for size in sizes]
    assert [[len(hits) for _, hits in part] for part in portions(batch, 8)] == [[5, 3], [9], [1, 1]]
    assert list(portions([], 8)) == []


def test_many_missing_hits_are_counted() -> None:
    hits = [Hit(item=Item(id=f"i{n}", kind="text"), score=0) for n in range(9)]
    told = missing_text(hits, "vector")
    assert told == (
        "9 hits have no vector here and stand behind in their previous order: 'i0', 'i1', 'i2', 'i3', 'i4' and 4 more."
    )


def test_last_bits_do_not_decide_a_tie() -> None:
    one, hair = np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(1))
    scores = settled(np.array([one, hair]))
    assert scores[0] == scores[1]


def test_stages_print_as_what_makes_them_and_compare_by_it(source: GivenVectors) -> None:
    assert repr(super_global(source, neighbours=3)) == "super_global(GivenVectors(), neighbours=3)"
    assert repr(late_interaction(source, k=5)) == "late_interaction(GivenVectors(), k=5)"
    assert repr(mmr(source) % 5) == "mmr(GivenVectors()) % 5"
    assert super_global(source) == super_global(source)
    assert super_global(source) != super_global(source, beta=0.2)
    assert hash(mmr(source, trade=0.2)) == hash(mmr(source, trade=0.2))


def test_a_stage_by_name_says_what_there_is(source: GivenVectors) -> None:
    assert [vector_stage(name, source).name for name in STAGES] == list(STAGES)
    with pytest.raises(UsageError, match="super_global, clip_rerank"):
        vector_stage("superglobal", source)
    with pytest.raises(UsageError, match="has no option 'neighbors'; it has depth, neighbours"):
        vector_stage("super_global", source, neighbors=3)
