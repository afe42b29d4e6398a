"""A late-interaction model and real PDFs: found by the pooled vector, ordered by MaxSim over stored token vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrank.embed.base import Embedder
from mmrank.embed.late import load as load_late
from mmrank.embed.late_base import TokensEmbedded
from mmrank.embed.registry import load_embedder, parse_spec
from mmrank.errors import IndexStoreError
from mmrank.index.index import Index
from mmrank.media.load import load
from mmrank.media.scan import scan
from mmrank.toybox.assets import sample_media_folder
from mmrank.types import Query

REPORTS = sample_media_folder() / "reports"
ASKED = ("a red boat at night", "two dogs on a red boat")


@pytest.fixture(scope="module")
def late(colqwen2: Path) -> Any:
    return load_embedder(str(colqwen2), device="cpu", threads=1)


@pytest.fixture(scope="module")
def index(late: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Index:
    made = Index.create(tmp_path_factory.mktemp("late") / "index", late)
    report = made.add(scan(REPORTS), thumbnails=False)
    assert report.failed == ()
    assert report.added == len(made) > 5
    return made


@pytest.fixture(scope="module")
def expected(late: Any) -> dict[str, dict[str, float]]:
    """MaxSim of every page for each query, by numpy, from the model alone."""
    pages = {item.id: late.prepare(load(item, size=late.needs.size, frames=1)) for item in scan(REPORTS)}
    tokens = dict(zip(pages, (np.float64(rows) for rows in late.embed_tokens(list(pages.values()))), strict=True))
    scores: dict[str, dict[str, float]] = {}
    for text in ASKED:
        asked = np.float64(late.query_tokens([text])[0])
        scores[text] = {name: float((asked @ rows.T).max(axis=1).sum()) for name, rows in tokens.items()}
    return scores


@pytest.mark.parametrize("text", ASKED)
def test_max_sim_over_all_pages(index: Index, expected: dict[str, dict[str, float]], text: str) -> None:
    pooled = index.search(text, k=99)
    pipeline = index.retriever(k=99) >> index.late_interaction()
    (found,) = pipeline.run([Query(text=text)])
    assert found.outcome == "ok"
    assert set(found.ids) == set(pooled.ids) == set(expected[text])
    assert found.ids != pooled.ids, "the pooled vectors alone give another order"
    best = sorted(expected[text].values(), reverse=True)
    assert [hit.score for hit in found] == pytest.approx(best, abs=1e-4)
    assert [expected[text][name] for name in found.ids] == pytest.approx(best, abs=1e-4)
    assert found.cost.model_calls >= 1


def test_the_first_few_and_the_best_one(index: Index, expected: dict[str, dict[str, float]]) -> None:
    pooled = index.search(ASKED[0], k=99)
    (found,) = (index.retriever(k=99) >> index.late_interaction(3)).run([Query(text=ASKED[0])])
    assert set(found.ids[:3]) == set(pooled.ids[:3])
    assert found.ids[3:] == pooled.ids[3:]
    (early,) = (index.retriever(k=99) >> index.late_interaction(k=1, patience=2, batch=1)).run([Query(text=ASKED[0])])
    scored = [hit.id for hit in early if hit.stage == "late_interaction"]
    assert 3 <= len(scored) <= len(pooled.ids)
    assert early.ids[0] == max(scored, key=lambda name: expected[ASKED[0]][name])


def test_run_again_it_embeds_nothing(index: Index, late: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "_run", None)  # a page that went through the model would fail
    report = Index.create(index.uri, late).add(scan(REPORTS), thumbnails=False)
    assert (report.added, report.updated, report.failed) == (0, 0, ())
    assert report.unchanged == len(index)


def test_opened_by_its_name_it_gives_the_same(index: Index) -> None:
    """By a reader that has only the folder: the model is loaded by the spec in the manifest."""
    opened = Index.open(index.uri)
    query = Query(text=ASKED[1])
    (here,), (there,) = ((one.retriever(k=99) >> one.late_interaction()).run([query]) for one in (index, opened))
    assert there.ids == here.ids
    names = list(here.ids[:3])
    for name, rows in opened.token_vectors(names).items():
        np.testing.assert_array_equal(rows, index.token_vectors(names)[name])


def test_other_embedders_are_refused(index: Index, late: Any, embedder: Embedder, colqwen2: Path) -> None:
    with pytest.raises(IndexStoreError, match="do not compare"):
        Index.open(index.uri, embedder)
    few = load_late(replace(parse_spec(str(colqwen2)), options=(("pool_tokens", "4"),)), device="cpu")
    with pytest.raises(IndexStoreError, match="tokens pooled to 4"):
        Index.create(index.uri, few)


def test_the_embedder_gives_both(late: Any) -> None:
    item = next(iter(scan(REPORTS)))
    (made,) = late.embed([late.prepare(load(item, size=late.needs.size, frames=1))])
    assert isinstance(made, TokensEmbedded)
    mean = np.float64(made.token_vectors).mean(axis=0)
    np.testing.assert_allclose(made.vector, mean / np.linalg.norm(mean), atol=2e-3)
