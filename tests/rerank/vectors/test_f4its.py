"""F4-ITS: mixed queries, mixed galleries, a caption for each attribute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmrank.errors import MllmError, UsageError
from mmrank.rerank.vectors.f4its import f4its, f4its_list, fused_scores, per_attribute, weighted_sum
from mmrank.rerank.vectors.source import GivenVectors, Matrix
from mmrank.types import Query, Ranking

MakeRanking = Callable[..., Ranking]
Rows = Callable[..., Matrix]

PICTURE = Query(image=b"a picture", text="what it shows", id="q")


def by_loops(attributes: Any, image: Any, captions: Any, threshold: float) -> list[int]:
    """The list step as the authors' code does it, a number at a time."""

    def dot(a: Any, b: Any) -> float:
        return sum(float(p) * float(r) for p, r in zip(a, b, strict=True))

    kept: list[tuple[float, int]] = []
    for g in attributes:
        mixed = [0.3 * float(a) + 0.7 * float(b) for a, b in zip(g, image, strict=True)]
        two = sorted(range(len(captions)), key=lambda i: -dot(mixed, captions[i]))[:2]
        cosine, best = max((100 * dot(g, captions[i]), -i) for i in two)
        if cosine > 100 * threshold and -best not in [i for _, i in kept]:
            kept.append((cosine, -best))
    return [i for _, i in sorted(kept, key=lambda one: -one[0])]


@pytest.mark.parametrize("seed", range(8))
def test_the_list_step_is_that_of_the_loops(rows: Rows, seed: int) -> None:
    attributes, captions, image = rows(6, 5, seed=seed), rows(12, 5, seed=50 + seed), rows(1, 5, seed=90 + seed)[0]
    found = per_attribute(attributes, image, captions, threshold=0.1)
    assert [one.caption for one in found] == by_loops(attributes, image, captions, 0.1)
    for one in found:
        assert one.cosine == pytest.approx(float(attributes[one.attribute] @ captions[one.caption]), abs=1e-5)


def test_one_caption_is_kept_once_and_the_second_attribute_gets_none() -> None:
    eye = np.eye(3, dtype=np.float32)
    found = per_attribute(np.stack([eye[1], eye[1]]), eye[0], eye)
    assert [one.caption for one in found] == [1]


def test_a_mixed_query_and_gallery(rows: Rows) -> None:
    image, said, captions = rows(1, seed=1)[0], rows(1, seed=2)[0], rows(5, seed=3)
    query = weighted_sum([image, said], [0.7, 0.3])
    assert query == pytest.approx(0.7 * image + 0.3 * said, abs=1e-6)
    one_way = fused_scores(query, captions, image)
    assert one_way == pytest.approx(captions @ query / np.linalg.norm(query), abs=1e-6)
    both = fused_scores(query, captions, image, gallery_image=0.2)
    for row, score in zip(captions, both, strict=True):
        mixed = 0.8 * row + 0.2 * image
        assert score == pytest.approx(mixed @ query / np.linalg.norm(mixed) / np.linalg.norm(query), abs=1e-5)
    with pytest.raises(UsageError, match="2 vectors and 1 weights"):
        weighted_sum([image, said], [1.0])


@pytest.fixture
def asked(source: GivenVectors, rows: Rows) -> GivenVectors:
    """The picture under "q", its caption and attributes under "q/0", "q/1"."""
    said = rows(2, seed=40)
    return replace(source, queries={**source.queries, "q/0": said[0], "q/1": said[1]})


def test_the_stage_mixes_the_picture_with_its_caption(asked: GivenVectors, ranking: MakeRanking) -> None:
    ids = [f"i{n}" for n in range(15)]
    x = np.stack([asked.items[i] for i in ids])
    query = weighted_sum([asked.queries["q"], asked.queries["q/0"]], [0.6, 0.4])
    heard: list[str] = []

    def caption(query: Query) -> str:
        heard.append(query.id)
        return "written by a model"

    (after,) = f4its(asked, caption, text_weight=0.4).process([ranking(ids, query=PICTURE)])
    assert after.ids == tuple(ids[n] for n in np.argsort(-(x @ query), kind="stable"))
    assert heard == ["q"]
    assert f4its(asked, text_weight=0.4).process([ranking(ids, query=PICTURE)])[0].ids == after.ids


def test_the_list_stage_puts_what_was_found_first(asked: GivenVectors, ranking: MakeRanking) -> None:
    ids = [f"i{n}" for n in range(15)]
    x = np.stack([asked.items[i] for i in ids])
    asked = replace(asked, queries={**asked.queries, "q/0": x[7], "q/1": x[3]})
    attributes = np.stack([x[7], x[3]])
    kept = per_attribute(attributes, asked.queries["q"], x, weight=0.9)
    found = [ids[one.caption] for one in kept]
    assert sorted(found) == ["i3", "i7"]
    stage = f4its_list(asked, lambda query: ["tomato", "basil", "tomato"], weight=0.9)
    (after,) = stage.process([ranking(ids, query=PICTURE)])
    assert after.ids == (*found, *(i for i in ids if i not in found))
    assert after.records[0].note == "2 of 2 attributes found a caption above 0.6."
    (nothing,) = f4its_list(asked, lambda query: ["tomato"], threshold=1.0).process([ranking(ids, query=PICTURE)])
    assert (nothing.ids, nothing.outcome) == (tuple(ids), "fell_back")
    assert nothing.records[0].error == "0 of 1 attributes found a caption above 1."


def test_queries_that_cannot_be_mixed_say_why_and_the_others_go_on(asked: GivenVectors, ranking: MakeRanking) -> None:
    def caption(query: Query) -> str:
        if query.id == "mute":
            raise MllmError("no answer")
        return query.text or ""

    batch = [
        ranking(["i1", "i2"], query=Query(text="no picture", id="words")),
        ranking(["i1", "i2"], query=Query(image=b"x", text="t", id="mute")),
        ranking(["i1", "i2"], query=Query(image=b"x", id="silent")),
        ranking(["i1", "i2"], query=PICTURE),
    ]
    after = f4its(asked, caption).process(batch)
    assert [r.outcome for r in after] == ["fell_back", "fell_back", "fell_back", "ok"]
    errors = [str(r.records[0].error) for r in after[:3]]
    assert "no image or video" in errors[0]
    assert errors[1] == "no answer"
    assert "no caption or attributes" in errors[2]


@pytest.mark.parametrize("options", [{"text_weight": 2}, {"gallery_image": -0.1}, {"depth": 0}])
def test_settings_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        f4its(GivenVectors(), **options)
    with pytest.raises(UsageError, match="take"):
        f4its_list(GivenVectors(), lambda query: [], take=0)
