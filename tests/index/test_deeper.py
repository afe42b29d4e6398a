"""k groups and k distinct hits, however deep they lie; against a full list folded by hand."""

from __future__ import annotations

import io
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from mmrank.errors import UsageError
from mmrank.group import group_by
from mmrank.index.index import Index
from mmrank.index.schema import THUMBNAILS_SCHEMA
from mmrank.types import Query, Ranking

_GIVEN = runpy.run_path(str(Path(__file__).with_name("given.py")))
new_store, put, unit, random_rows = (_GIVEN[n] for n in ("new_store", "put", "unit", "random_rows"))
WordHashEmbedder = _GIVEN["WordHashEmbedder"]


def near(towards: np.ndarray, by: float, seed: int) -> np.ndarray:
    moved: np.ndarray = unit(towards + by * unit(np.random.default_rng(seed).standard_normal(len(towards))))
    return moved


ASKED = WordHashEmbedder().embed_texts(["a red boat"])[0]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """A video of 200 spans that fills the top, five pages of a PDF and 40 videos without spans below it; all images
    of the boat are called one."""
    long = [
        {"id": f"long#{i}", "kind": "video", "parent": "long", "vector": near(ASKED, 0.1, i), "text": "a red boat"}
        for i in range(200)
    ]
    pages = [{"id": f"pdf#{i}", "kind": "page", "parent": "pdf", "vector": near(ASKED, 0.5, i)} for i in range(5)]
    return [*long, *pages, *random_rows(40, kinds=["video"], prefix="v")]


@pytest.fixture(params=["matrix", "table"], scope="module")
def index(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> Index:
    store = new_store(tmp_path_factory.mktemp("deeper") / "index")
    put(store, rows)
    if request.param == "matrix":
        return Index(store, WordHashEmbedder())
    return Index(store, WordHashEmbedder(), exact_bytes=0)


def by_hand(full: Ranking, by: str, k: int) -> tuple[str, ...]:
    return group_by(by).folded(full).ids[:k]


@pytest.mark.parametrize("k", [1, 2, 7, 42, 99])
def test_k_groups_however_deep(index: Index, k: int) -> None:
    full = index.search("a red boat", k=999)
    found = index.search("a red boat", k=k, group_by="parent")
    assert found.ids == by_hand(full, "parent", k)
    assert len(found) == min(k, 42)
    note = found.records[-1].note or ""
    assert "folded behind" in note
    folded = sum(len(hit.folded) for hit in found)
    assert note.startswith(f"{folded} hit")
    if k > 2:
        assert {f.hit.id for hit in found for f in hit.folded} >= {f"long#{i}" for i in range(200)} - set(found.ids)
    assert not {f.hit.id for hit in found for f in hit.folded} & set(found.ids)


def test_a_batch_is_its_queries_one_by_one(index: Index) -> None:
    queries = ["a red boat", "number 7 of the green ones", "blue"]
    together = index.search_many([*queries, ""], k=4, group_by="parent", distinct=0.97)
    assert together[-1].outcome == "failed"
    for query, ranking in zip(queries, together, strict=False):
        alone = index.search(query, k=4, group_by="parent", distinct=0.97)
        assert [(h.id, h.score, h.folded) for h in ranking] == [(h.id, h.score, h.folded) for h in alone]


@pytest.mark.parametrize("mode", ["vector", "hybrid"])
def test_modes_kinds_and_filters_hold(index: Index, mode: Any) -> None:
    index.optimize()
    videos = index.search("a red boat", k=3, group_by="parent", mode=mode, kinds=["video"])
    assert [hit.item.kind for hit in videos] == ["video"] * 3
    assert videos.ids[0].startswith("long#")
    rest = index.search("a red boat", k=3, group_by="parent", mode=mode, where="parent = 'pdf'")
    assert (len(rest), len(rest.hits[0].folded)) == (1, 4) if mode == "vector" else len(rest) == 1


def test_words_alone_are_grouped(index: Index) -> None:
    index.optimize()
    found = index.search("red", k=5, group_by="parent", mode="text")
    assert len(found) == 5
    assert len([hit for hit in found if hit.id.startswith("long#")]) == 1


def test_parts_are_the_list_unfolded_with_k_groups_in_it(index: Index) -> None:
    ranking = index.retriever(3, group_by="parent", parts=True)(Query(text="a red boat"))
    assert len(ranking) > 200
    assert not any(hit.folded for hit in ranking)
    assert len(group_by().folded(ranking)) >= 3


def test_a_cut_off_is_not_pushed_into_a_search_that_folds(index: Index) -> None:
    retriever = index.retriever(5, group_by="parent")
    cut = (retriever % 2)(Query(text="a red boat"))
    assert cut.hits == retriever(Query(text="a red boat")).hits[:2]
    assert "group_by='parent'" in repr(retriever)


def test_distinct_counts_what_is_left(index: Index) -> None:
    found = index.search_vectors(ASKED[None], 4, distinct=0.97, kinds=["video"])[0]
    assert found.records[-1].stage == "distinct"
    assert len(found) == 4
    held = index.known_vectors([h.id for h in found])
    for i, one in enumerate(found.hits):
        assert all(held[one.id] @ held[other.id] < 0.97 for other in found.hits[:i])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"group_by": "shop"}, "it has parent"),
        ({"group_by": "vector"}, "no metadata column of this index"),
        ({"distinct": 95}, "cosine from -1 to 1"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_searched(
    index: Index, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        index.search("a red boat", **options)


def test_parts_of_no_groups_are_refused(index: Index) -> None:
    with pytest.raises(UsageError, match="say group_by='parent' too"):
        index.retriever(3, parts=True)


def test_thumbnails_decide_and_copies_of_one_content_are_one(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    vector = near(ASKED, 0.2, 1)
    colours = {"a": "red", "b": "red", "c": "blue", "d": "red"}
    put(store, [{"id": i, "vector": vector, "content": "same" if i in "cd" else i} for i in colours])
    jpegs = []
    for colour in colours.values():
        file = io.BytesIO()
        Image.new("RGB", (40, 40), colour).save(file, "JPEG")
        jpegs.append(file.getvalue())
    store.thumbnails.add(pa.table({"id": [*colours], "jpeg": jpegs}, schema=THUMBNAILS_SCHEMA))
    index = Index(store, WordHashEmbedder())
    assert index.thumbnails(["a", "none"]) == {"a": jpegs[0]}
    found = index.search("a red boat", distinct=True)
    assert {hit.id: [f.hit.id for f in hit.folded] for hit in found} == {"a": ["b"], "c": ["d"]}
    assert index.contents(["c", "d", "none"]) == {"c": "same", "d": "same"}
