"""BM25 and its fusion: words decide, query text is data, ties are by id, filters hold, sources are kept."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.index import hybrid
from mmrank.index.index import Index
from mmrank.index.rows import row_to_item
from mmrank.index.upkeep import after_build
from mmrank.types import Query

_GIVEN = runpy.run_path(str(Path(__file__).with_name("given.py")))
new_store, put, WordHashEmbedder = _GIVEN["new_store"], _GIVEN["put"], _GIVEN["WordHashEmbedder"]

TEXTS = {
    "a": "a dog on a red sofa",
    "b": "two dogs run along the beach",
    "c": "a harbour with white boats",
    "d": "quarterly results of the harbour company",
    "e": "the cat is not on the sofa",
    "f": "学习 机器",
    "g": None,
    **{f"t{i:02d}": "the same caption" for i in range(40)},
}


@pytest.fixture(scope="module", params=["indexed", "unindexed"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """With the text index that upkeep makes, and as a killed build leaves it, without one."""
    store, embedder = new_store(tmp_path_factory.mktemp("hybrid") / "index"), WordHashEmbedder()
    put(
        store,
        [
            {
                "id": name,
                "kind": "page" if name == "d" else "image",
                "text": text,
                "vector": embedder.embed_texts([text or "nothing"])[0],
            }
            for name, text in TEXTS.items()
        ],
    )
    if request.param == "indexed":
        after_build(store, embedder, changed=len(TEXTS))
        assert any(i.columns == ["text"] for i in store.items.list_indices())
    return Index(store, embedder)


def ids(index: Index, text: str | Query, **options: Any) -> tuple[str, ...]:
    return index.search(text, mode="text", **options).ids


def test_only_items_that_share_a_word_are_found(index: Index) -> None:
    assert set(ids(index, "sofa")) == {"a", "e"}
    assert ids(index, "zebra") == ()
    assert set(ids(index, "harbour boats")) == {"c", "d"}
    assert ids(index, "harbour boats")[0] == "c"


def test_stems_stop_words_and_scripts_without_spaces(index: Index) -> None:
    if index._store.items.list_indices():
        assert set(ids(index, "dog")) == {"a", "b"}
        assert "e" in ids(index, "not")
        assert ids(index, "学习") == ("f",)


def test_ties_go_by_id_however_deep_they_are(index: Index) -> None:
    assert ids(index, "caption", k=5) == tuple(f"t{i:02d}" for i in range(5))
    assert ids(index, Query(text="caption", exclude=("t00", "t02")), k=3) == ("t01", "t03", "t04")


def test_filters_kinds_among_and_exclude(index: Index) -> None:
    assert ids(index, "harbour", kinds=["page"]) == ("d",)
    assert ids(index, "sofa", where="id <> 'a'") == ("e",)
    assert ids(index, Query(text="sofa", among=("e", "c"))) == ("e",)
    assert ids(index, Query(text="sofa", among=())) == ()
    assert ids(index, Query(text="sofa", exclude=("e",))) == ("a",)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=30))
def test_any_text_can_be_asked(index: Index, text: str) -> None:
    if text.strip():
        assert set(ids(index, text)) <= set(TEXTS)


@pytest.mark.parametrize(
    "text", ['"sofa', "sofa AND (", "text:sofa*", "so'fa sofa", "+sofa -dog ~ ^2", "sofa\0", "sofa\\"]
)
def test_characters_that_are_operators_elsewhere_are_data(index: Index, text: str) -> None:
    assert {"a", "e"} <= set(ids(index, text))


def test_a_query_without_text_is_refused_in_both_modes(index: Index) -> None:
    for mode in ("text", "hybrid"):
        with pytest.raises(UsageError, match="has no text"):
            index.search(Query(image=b"..."), mode=mode)  # type: ignore[arg-type]


def test_hybrid_is_reciprocal_rank_fusion_of_the_two_lists(index: Index) -> None:
    query = Query(text="a dog on the sofa")
    ranking = index.search(query, k=6, mode="hybrid")
    lists = {m: index.search(query, k=200, mode=m).ids for m in ("vector", "text")}  # type: ignore[arg-type]
    by_hand = {
        i: sum(1 / (60 + found.index(i) + 1) for found in lists.values() if i in found)
        for i in {*lists["vector"], *lists["text"]}
    }
    best = {i: min(found.index(i) for found in lists.values() if i in found) for i in by_hand}
    assert list(ranking.ids) == sorted(by_hand, key=lambda i: (-by_hand[i], best[i], i))[:6]
    for hit in ranking:
        assert {s.name: s.rank for s in hit.sources} == {
            name: found.index(hit.id) + 1 for name, found in lists.items() if hit.id in found
        }
        assert hit.score == pytest.approx(by_hand[hit.id])


def test_a_batch_equals_single_searches(index: Index) -> None:
    texts = ["dog", "harbour company", "caption", "学习"]
    for mode in ("text", "hybrid"):
        together = index.search_many(texts, k=5, mode=mode)  # type: ignore[arg-type]
        assert [r.ids for r in together] == [index.search(t, k=5, mode=mode).ids for t in texts]  # type: ignore[arg-type]


def test_a_tie_over_many_rows_reads_ids_and_scores_and_only_the_wanted_rows_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path / "index")
    vector = WordHashEmbedder().embed_texts(["same"])[0]
    put(store, [{"id": f"t{i:03d}", "text": "the same caption", "vector": vector} for i in range(300)][::-1])
    columns: list[set[str]] = []
    read = hybrid._matches

    def watched(*given: Any) -> Any:
        rows = read(*given)
        columns.append(set(rows[0]))
        return rows

    made: list[int] = []
    monkeypatch.setattr(hybrid, "_matches", watched)
    monkeypatch.setattr(hybrid, "row_to_item", lambda row: made.append(1) or row_to_item(row))
    found = Index(store, WordHashEmbedder()).search(Query(text="caption", exclude=("t001",)), k=3, mode="text")
    assert found.ids == ("t000", "t002", "t003")
    assert [hit.item.text for hit in found] == ["the same caption"] * 3
    assert columns == [{"id", "_score", "_rowid"}]
    assert len(made) == 3
