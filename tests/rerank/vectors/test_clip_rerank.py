"""The best frame, blended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.rerank.vectors.clip_rerank import blended, clip_rerank, frame_max
from mmrank.rerank.vectors.source import GivenVectors, Matrix
from mmrank.types import Ranking

MakeRanking = Callable[..., Ranking]


def test_the_best_frame_is_that_of_a_loop(rows: Callable[..., Matrix]) -> None:
    query = rows(1, seed=7)[0]
    videos = [rows(n, seed=n) for n in (1, 4, 2, 12, 1)]
    expected = [max(sum(float(a) * float(b) for a, b in zip(query, f, strict=True)) for f in own) for own in videos]
    assert frame_max(query, videos).tolist() == pytest.approx(expected, abs=1e-6)


def test_min_max_blending_does_not_change_with_the_scale_of_either_side() -> None:
    first, second = np.array([0.2, 0.9, 0.5]), np.array([0.1, 0.0, 0.7])
    plain = blended(first, second, 0.4)
    assert plain.tolist() == pytest.approx([0.6 / 7, 0.4, 0.4 * 3 / 7 + 0.6])
    assert blended(first * 7 - 3, second * 0.01 + 9, 0.4) == pytest.approx(plain)
    assert blended(first, second, 0.4, normalise="raw").tolist() == pytest.approx([0.14, 0.36, 0.62])


@pytest.mark.parametrize("normalise", ["min_max", "raw"])
def test_the_stage_blends_what_the_hits_came_with(source: GivenVectors, ranking: MakeRanking, normalise: Any) -> None:
    before = ranking([f"i{n}" for n in range(10)])
    (after,) = clip_rerank(source, alpha=0.3, normalise=normalise).process([before])
    best = frame_max(source.queries["q"], [source.frames[f"i{n}"] for n in range(10)])
    expected = blended(np.array([h.score for h in before]), best, 0.3, normalise=normalise)
    assert after.ids == tuple(f"i{n}" for n in np.argsort(-expected, kind="stable"))
    assert after.hits[0].score == pytest.approx(max(expected), abs=1e-6)


def test_alpha_1_is_the_first_stage_and_alpha_0_the_frames(source: GivenVectors, ranking: MakeRanking) -> None:
    before = ranking([f"i{n}" for n in range(10)])
    assert clip_rerank(source, alpha=1).process([before])[0].ids == before.ids
    best = frame_max(source.queries["q"], [source.frames[f"i{n}"] for n in range(10)])
    (frames,) = clip_rerank(source, alpha=0).process([before])
    assert frames.ids == tuple(f"i{n}" for n in np.argsort(-best, kind="stable"))


def test_hits_without_frames_stand_behind_and_are_named(source: GivenVectors, ranking: MakeRanking) -> None:
    (after,) = clip_rerank(source).process([ranking(["i20", "i1", "i21", "i2"])])
    assert set(after.ids[:2]) == {"i1", "i2"}
    assert after.ids[2:] == ("i20", "i21")
    assert [h.stage for h in after.hits[2:]] == ["first", "first"]
    (record,) = after.records
    assert record.status == "repaired"
    assert "2 hits have no frame vectors here" in str(record.error)
    assert "'i20', 'i21'" in str(record.error)


def test_scores_of_two_stages_are_not_mixed(source: GivenVectors, ranking: MakeRanking) -> None:
    before = ranking(["i1", "i2", "i3"])
    mixed = replace(before, hits=[replace(before.hits[0], score=900.0, stage="judge"), *before.hits[1:]])
    (ranks,) = clip_rerank(source, alpha=1).process([mixed])
    assert ranks.ids == before.ids
    assert [h.score for h in ranks] == [1.0, 0.5, 0.0]
    assert "judge, first" in str(ranks.records[0].note)
    (raw,) = clip_rerank(source, normalise="raw").process([mixed])
    assert (raw.ids, raw.outcome) == (before.ids, "fell_back")
    assert "do not compare" in str(raw.records[0].error)


@pytest.mark.parametrize("options", [{"alpha": 1.5}, {"normalise": "z_score"}, {"depth": -1}])
def test_settings_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        clip_rerank(GivenVectors(), **options)
