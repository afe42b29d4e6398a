"""Search against brute force: ties, filters, exclude, among; other processes' writes; one bad query among good ones."""

from __future__ import annotations

import runpy
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmrank.errors import EmbedderError, UsageError
from mmrank.index.calibrate import Mean
from mmrank.index.filters import LANCE_ERRORS
from mmrank.index.index import Index
from mmrank.index.snapshot import Channel, StaleSnapshotError
from mmrank.index.store import Store
from mmrank.types import Query

_GIVEN = runpy.run_path(str(Path(__file__).with_name("given.py")))
new_store, put, unit, random_rows = (_GIVEN[n] for n in ("new_store", "put", "unit", "random_rows"))
brute_force, WordHashEmbedder = _GIVEN["brute_force"], _GIVEN["WordHashEmbedder"]

DIMENSION = 16


def queries_of(n: int, seed: int = 100) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, DIMENSION)))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """300 images, every vector three times, so that ties are everywhere."""
    made = random_rows(100)
    copies = [{**row, "id": f"{row['id']}{letter}"} for row in made for letter in "cab"]
    return [copies[i] for i in np.random.default_rng(1).permutation(300)]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> Index:
    store = new_store(tmp_path_factory.mktemp("search") / "index")
    put(store, rows[:200])
    put(store, rows[200:])
    return Index(store, WordHashEmbedder())


@pytest.fixture(params=["matrix", "table"])
def either(request: pytest.FixtureRequest, index: Index) -> Index:
    """The same index searched through the matrix, and with no budget for one through LanceDB's flat scan."""
    if request.param == "matrix":
        return index
    return Index(index._store, WordHashEmbedder(), exact_bytes=0)


def test_both_ways_equal_brute_force_and_a_batch_equals_single_queries(
    index: Index, rows: list[dict[str, Any]]
) -> None:
    vectors = queries_of(12)
    together = index.search_vectors(vectors, 10)
    for vector, ranking in zip(vectors, together, strict=True):
        alone = index.search_vectors(vector[None], 10)[0]
        assert list(ranking.ids) == brute_force(rows, vector, 10)
        assert [(h.id, h.score) for h in ranking] == [(h.id, h.score) for h in alone]
        assert [r.stage for r in ranking.records] == ["vector"]


def test_a_flat_scan_gives_the_same_hits_to_a_float(index: Index, rows: list[dict[str, Any]]) -> None:
    scan = Index(index._store, WordHashEmbedder(), exact_bytes=0)
    for a, b in zip(index.search_vectors(queries_of(5), 9), scan.search_vectors(queries_of(5), 9), strict=True):
        assert set(a.ids) == set(b.ids)
        np.testing.assert_allclose([h.score for h in a], [h.score for h in b], atol=1e-5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    k=st.integers(1, 400),
    seed=st.integers(0, 1_000),
    exclude=st.lists(st.integers(0, 330), max_size=40),
    among=st.one_of(st.none(), st.lists(st.integers(0, 330), max_size=40)),
    folder=st.sampled_from([None, 0, 2]),
)
def test_exclude_among_and_where_hold_together_and_k_stays_full(
    index: Index,
    rows: list[dict[str, Any]],
    k: int,
    seed: int,
    exclude: list[int],
    among: list[int] | None,
    folder: int | None,
) -> None:
    def name(i: int) -> str:
        return rows[i]["id"] if i < 300 else f"unknown-{i}"

    query = Query(id="q", exclude=tuple(map(name, exclude)), among=None if among is None else tuple(map(name, among)))
    where = None if folder is None else f"uri LIKE 'folder{folder}/%'"
    vector = queries_of(1, seed)
    found = index.search_vectors(vector, k, queries=[query], where=where)[0]
    allowed = [
        row
        for row in rows
        if row["id"] not in query.exclude
        and (query.among is None or row["id"] in query.among)
        and (folder is None or row["uri"].startswith(f"folder{folder}/"))
    ]
    assert list(found.ids) == brute_force(allowed, vector[0], k)


def test_exclude_and_among_hold_without_a_matrix_too(either: Index, rows: list[dict[str, Any]]) -> None:
    vector = queries_of(1)
    best = either.search_vectors(vector, 9)[0].ids
    queries = [Query(id="a", exclude=best[:4]), Query(id="b", among=(*best[2:5], "unknown"), exclude=best[2:3])]
    without, only = either.search_vectors(np.repeat(vector, 2, axis=0), 9, queries=queries)
    assert len(without) == 9
    assert not set(without.ids) & set(best[:4])
    assert set(only.ids) == set(best[3:5])
    assert len(either.search_vectors(vector, 10_000)[0]) == len(rows)


def test_items_come_back_whole(either: Index) -> None:
    hit = either.search("number 7 of the green ones", k=1, where="id = 'i7a'").hits[0]
    assert (hit.item.kind, hit.item.uri, hit.item.text) == ("image", "folder1/i7", "number 7 of the green ones")
    assert hit.stage == "vector"


@pytest.mark.parametrize("where", ["nothing = 3", "kind = ", "kind = 'image", "", "1", "kind + 1"])
@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_a_filter_that_cannot_be_read_is_refused_with_the_columns(either: Index, where: str, mode: Any) -> None:
    with pytest.raises(UsageError, match=r"columns id, kind, uri, parent, text"):
        either.search("number", where=where, mode=mode)


def test_wrong_options_are_refused(index: Index) -> None:
    for call in (
        lambda: index.search(""),
        lambda: index.search("  "),
        lambda: index.search("a", k=0),
        lambda: index.search("a", kinds=["photo"]),
        lambda: index.search("a", kinds=[]),
        lambda: index.search("a", mode="fuzzy"),
        lambda: index.search("a", exact=False),
        lambda: index.search_many(["a"], compose="no-such-form"),
    ):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(EmbedderError, match="shape"):
        index.search_vectors(np.zeros((1, 5), np.float32))
    with pytest.raises(EmbedderError, match="finite"):
        index.search_vectors(np.full((1, DIMENSION), np.nan, np.float32))


def test_one_query_that_cannot_be_asked_costs_only_itself(index: Index, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    asked = ["number 3", "", Query(image=str(broken)), "red"]
    rankings = index.search_many(asked, k=4)
    assert [r.outcome for r in rankings] == ["ok", "failed", "failed", "ok"]
    assert [len(r) for r in rankings] == [4, 0, 0, 4]
    assert "empty" in str(rankings[1].records[0].error)
    assert "broken.jpg" in str(rankings[2].records[0].error)
    assert rankings[3].ids == index.search("red", k=4).ids
    with pytest.raises(UsageError, match="empty"):
        index.search_many(asked, strict=True)
    lacking = index.search_many(["red"], compose="image")[0]
    assert (lacking.outcome, len(lacking)) == ("failed", 0)


def test_an_empty_index_gives_empty_rankings_with_a_record(tmp_path: Path) -> None:
    index = Index(new_store(tmp_path / "empty"), None)  # no embedder: none may be needed
    ranking = index.search("anything")
    assert (len(ranking), ranking.outcome, len(ranking.records)) == (0, "ok", 1)
    assert len(index.search_vectors(queries_of(2))) == 2
    assert len(index.search("anything", mode="hybrid")) == 0
    with pytest.raises(UsageError, match="columns"):
        index.search("anything", where="no such thing")


def test_writes_of_another_process_are_seen_at_once(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    put(store, random_rows(20))
    index = Index(store, WordHashEmbedder())
    vector = queries_of(1)
    assert len(index.search_vectors(vector, 100)[0]) == 20
    code = (
        "import sys, runpy; from mmrank.index.store import Store\n"
        f"given = runpy.run_path({str(Path(__file__).with_name('given.py'))!r})\n"
        f"store = Store.open({str(tmp_path / 'index')!r})\n"
        "given['put'](store, given['random_rows'](5, prefix='new', seed=9)); store.items.delete(\"id = 'i3'\")\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    ids = index.search_vectors(vector, 100)[0].ids
    assert len(ids) == 24
    assert "i3" not in ids
    assert "new4" in ids


def test_a_version_cleaned_up_under_the_reader_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(tmp_path / "index")
    for part in range(4):
        put(store, random_rows(30, seed=part, prefix=f"p{part}-"))
    index, vector = Index(store, WordHashEmbedder()), queries_of(1)
    before = index.search_vectors(vector, 120)[0].ids
    stale = index._viewer.view()
    other = Store.open(tmp_path / "index")
    other.items.delete("id LIKE 'p0-%'")
    with pytest.warns(UserWarning, match="cleanup_older_than=0"):
        other.items.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
    with pytest.raises((StaleSnapshotError, *LANCE_ERRORS)):
        stale.snapshot().rows(np.arange(120), ["id"])
    newest, views = index._viewer.view, [stale]
    # As if the version had been looked at just before the other process was done.
    monkeypatch.setattr(index._viewer, "view", lambda: views.pop() if views else newest())
    after = index.search_vectors(vector, 120)[0].ids
    assert list(after) == [i for i in before if not i.startswith("p0-")]


def test_building_an_index_keeps_the_matrix(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    put(store, random_rows(50))
    index = Index(store, WordHashEmbedder())
    first = index._viewer.view().snapshot()
    from lancedb.index import BTree

    store.items.create_index("id", config=BTree())
    second = index._viewer.view().snapshot()
    assert second.version > first.version
    assert all(second.channels[c].vectors is first.channels[c].vectors for c in first.channels)
    store.items.delete("id = 'i1'")
    assert index._viewer.view().snapshot().channels.keys() == first.channels.keys()
    assert len(index.search_vectors(queries_of(1), 100)[0]) == 49


def test_deleting_while_others_search(tmp_path: Path) -> None:
    store = new_store(tmp_path / "index")
    put(store, random_rows(400))
    index, errors = Index(store, WordHashEmbedder()), []
    sizes: list[int] = []
    stop = threading.Event()

    def search() -> None:
        mine = Index(Store.open(tmp_path / "index"), WordHashEmbedder())
        while not stop.is_set():
            try:
                sizes.append(len(mine.search_vectors(queries_of(1), 400)[0]))
            except Exception as error:  # noqa: BLE001 - the test reports whatever it was
                errors.append(error)
                return

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(0, 400, 40):
        index.delete(f"id IN ({', '.join(repr(f'i{j}') for j in range(i, i + 20))})")
    stop.set()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors
    assert set(sizes) <= set(range(200, 401, 20)), "a search saw half a deletion"
    assert len(index.search_vectors(queries_of(1), 400)[0]) == 200


def test_ties_at_the_cut_go_by_id_without_a_matrix_too(either: Index, rows: list[dict[str, Any]]) -> None:
    for vector in queries_of(8, seed=5):
        for k in (1, 2, 4):
            assert list(either.search_vectors(vector[None], k)[0].ids) == brute_force(rows, vector, k)


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_a_query_that_is_no_unicode_costs_itself_only(index: Index, mode: Any) -> None:
    bad = [Query(text="half \ud83d"), Query(text="red", turns=("\udcff",))]
    first, good, last = index.search_many([bad[0], "number 3", bad[1]], 3, mode=mode)
    assert len(good) == 3
    for ranking in (first, last):
        assert ranking.outcome == "failed"
        assert "not valid Unicode" in str(ranking.records[0].error)
    with pytest.raises(UsageError, match="not valid Unicode"):
        index.search(bad[0], mode=mode)


def test_only_pictures_that_were_encoded_are_counted(index: Index) -> None:
    query = Query(text="red", image=Image.new("RGB", (8, 8), (200, 10, 10)))
    counted = {form: index.search(query, compose=form).cost.images_encoded for form in ("text", "image", "sum", None)}
    assert counted == {"text": 0, "image": 1, "sum": 1, None: 1}


def test_settings_written_after_the_rows_by_another_process_are_seen_without_reading_the_matrix_again(
    tmp_path: Path,
) -> None:
    put(new_store(tmp_path / "index"), random_rows(20, kinds=("image", "text")))
    here, there = Index.open(tmp_path / "index"), Store.open(tmp_path / "index")
    vector = queries_of(1)
    before = here.search_vectors(vector, 20)[0]
    snapshot = here._viewer.view().snapshot()
    for kind in ("image", "text"):
        mean = Mean(rows=10, vector=unit(np.ones(DIMENSION)))
        there.set_setting(f"mean:{kind}.vector", mean.to_json())
    after = here.search_vectors(vector, 20)[0]
    assert [h.score for h in after] != [h.score for h in before]
    assert here._viewer.view().snapshot() is snapshot
    there.set_setting("mean:text.vector", Mean(rows=7, vector=unit(-np.ones(DIMENSION))).to_json())
    measured = here._viewer.view().gaps["picture"][Channel("text", "vector")]
    texts = np.mean([r["vector"] for r in random_rows(20, kinds=("image", "text")) if r["kind"] == "text"], axis=0)
    assert measured == pytest.approx(float(unit(np.ones(DIMENSION)) @ texts), abs=1e-5), "a mean of other rows was used"


def test_a_search_looks_for_the_newest_version_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(tmp_path / "index")
    put(store, random_rows(12))
    index = Index(store, WordHashEmbedder())
    index.search("number", where="kind = 'image'")
    looks: list[int] = []
    look = index._viewer._look
    monkeypatch.setattr(index._viewer, "_look", lambda: looks.append(1) or look())
    index.search("number", where="kind = 'image'")
    assert len(looks) == 1
    put(store, random_rows(3, prefix="later"))
    assert len(index.search("number", k=99)) == 15, "the next search sees what was written meanwhile"
