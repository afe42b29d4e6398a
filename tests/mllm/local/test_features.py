"""A picture passes the tower once, and what was kept gives the answers that computing it anew gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.mllm.base import Attended, Choices, Generated, Sampling
from mmrank.mllm.local.backend import LocalMLLM
from mmrank.mllm.local.features import FeatureCache, Features
from mmrank.mllm.prompt import ImagePart, Message, Picture, Prompt, TextPart

QWEN = ["qwen3_vl", "qwen2_5_vl", "qwen2_vl"]
CLOSE = 1e-4


def features(tokens: int) -> Features:
    return Features(levels=torch.zeros(2, tokens, 4), grid=(1, 2, 2 * tokens))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30)), max_size=30), st.integers(0, 1500))
def test_memory_stays_within_its_bytes_and_the_last_used_remain(puts: list[tuple[int, int]], capacity: int) -> None:
    cache = FeatureCache(capacity)
    kept: list[tuple[str, Features]] = []  # least recently used first
    for key, tokens in puts:
        made = features(tokens)
        cache.put(str(key), made)
        kept = [(k, f) for k, f in kept if k != str(key)]
        if made.bytes <= capacity:
            kept.append((str(key), made))
        while sum(f.bytes for _, f in kept) > capacity:
            kept.pop(0)
        assert cache.bytes == sum(f.bytes for _, f in kept) <= capacity
        if kept:
            kept = [*kept[1:], kept[0]]
            assert cache.get(kept[-1][0]) is kept[-1][1]
    assert all(cache.get(key) is one for key, one in kept)


def many(pair: Callable[..., Prompt]) -> list[Prompt]:
    """Three queries, two with pictures that are candidates too; words, pictures and both."""
    queries: list[dict[str, Any]] = [
        {"query": "red boat"},
        {"query": "same, at night", "reference": (1,)},
        {"query": "more of them", "reference": (2, 3)},
    ]
    documents: list[dict[str, Any]] = [{"pictures": (seed,)} for seed in range(4)]
    documents += [{"pictures": (4, 1), "document": "cat"}, {"document": "dog"}]
    return [pair(**query, **document) for query in queries for document in documents]


@pytest.mark.parametrize("family", QWEN)
@pytest.mark.parametrize("budget", [8192, 200])
def test_every_picture_passes_the_tower_once_in_a_run(
    family: str,
    budget: int,
    fresh: Callable[..., LocalMLLM],
    pair: Callable[..., Prompt],
    counted: Callable[..., Any],
) -> None:
    mllm, prompts = fresh(family, batch_tokens=budget), many(pair)
    different = {picture.key for prompt in prompts for picture in prompt.pictures}
    with counted(mllm) as seen:
        answers: list[Any] = mllm.choice_logprobs(prompts, [("yes", "no")] * len(prompts))
    assert seen["pictures"] == len(different) == sum(a.cost.images_encoded for a in answers)
    assert [a.cost.images_encoded + a.cost.cache_hits for a in answers] == [len(p.pictures) for p in prompts]
    with counted(mllm) as seen:
        again: list[Any] = mllm.choice_logprobs(prompts[::-1], [("yes", "no")] * len(prompts))
        mllm.generate(prompts, Sampling(max_tokens=2))
    assert seen["pictures"] == 0
    assert all(a.cost.images_encoded == 0 for a in again)
    found = [a.logprobs for a in again[::-1]]
    assert found == [pytest.approx(a.logprobs, abs=CLOSE) for a in answers]


@pytest.mark.parametrize("family", QWEN)
def test_kept_features_give_the_answers_of_fresh_ones_in_every_call(
    family: str, fresh: Callable[..., LocalMLLM], picture: Callable[..., Picture]
) -> None:
    shown = [ImagePart(picture=picture(seed, 60 + 20 * seed, 90), mark=f"d{seed}") for seed in range(3)]
    asked = TextPart(text="which is red?", data=True, mark="query")
    prompts = [Prompt(messages=(Message(role="user", parts=(*some, asked)),)) for some in (shown, shown[1:], shown[:1])]
    kept, nothing = fresh(family), fresh(family, feature_memory=0)
    kept.choice_logprobs(prompts, [("yes", "no")] * 3)
    assert kept._features.bytes > 0 == nothing._features.bytes

    for a, b in zip(
        kept.choice_logprobs(prompts, [("yes", "no")] * 3),
        nothing.choice_logprobs(prompts, [("yes", "no")] * 3),
        strict=True,
    ):
        assert isinstance(a, Choices)
        assert isinstance(b, Choices)
        assert a.logprobs == pytest.approx(b.logprobs, abs=CLOSE)
        assert a.cost.images_encoded == 0
    texts = [
        [g.text for g in m.generate(prompts, Sampling(max_tokens=6)) if isinstance(g, Generated)]
        for m in (kept, nothing)
    ]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 3
    for a, b in zip(kept.attention(prompts), nothing.attention(prompts), strict=True):
        assert isinstance(a, Attended)
        assert isinstance(b, Attended)
        assert a.cost.cache_hits == a.cost.cache_hits + a.cost.images_encoded > 0
        for mark, scores in a.scores.items():
            np.testing.assert_allclose(scores, b.scores[mark], atol=1e-5)


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_a_tiny_memory_drops_features_and_changes_no_answer(
    family: str,
    fresh: Callable[..., LocalMLLM],
    pair: Callable[..., Prompt],
    counted: Callable[..., Any],
    log_odds: Callable[..., list[float]],
) -> None:
    prompts = many(pair)
    expected = log_odds(fresh(family), prompts)
    roomy = fresh(family)
    log_odds(roomy, prompts)
    tiny = roomy._features.bytes // 3
    mllm = fresh(family, feature_memory=tiny, batch_tokens=200)
    with counted(mllm) as seen:
        assert log_odds(mllm, prompts) == pytest.approx(expected, abs=CLOSE)
    assert 0 < mllm._features.bytes <= tiny
    assert seen["pictures"] > 5


def test_other_families_go_on_as_before(fresh: Callable[..., LocalMLLM], pair: Callable[..., Prompt]) -> None:
    mllm = fresh("internvl")
    (first, again) = (mllm.choice_logprobs([pair(pictures=(1, 2))], [("yes", "no")])[0] for _ in range(2))
    assert (first.cost.images_encoded, again.cost.images_encoded, again.cost.cache_hits) == (2, 2, 0)
    assert mllm._features.bytes == 0


def test_bytes_below_zero_are_refused(fresh: Callable[..., LocalMLLM]) -> None:
    with pytest.raises(UsageError, match="feature_memory is -1"):
        fresh("qwen3_vl", feature_memory=-1)
    with pytest.raises(UsageError, match="prefix_memory is -5"):
        fresh("qwen3_vl", prefix_memory=-5)


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_halved_features_take_half_the_memory_and_are_the_same_fresh_and_kept(
    family: str,
    fresh: Callable[..., LocalMLLM],
    pair: Callable[..., Prompt],
    log_odds: Callable[..., list[float]],
    tmp_path: Path,
) -> None:
    prompts = [pair("red boat", pictures=(seed,)) for seed in range(5)]
    exact, halved = fresh(family), fresh(family, feature_precision="float16", feature_cache=tmp_path)
    as_made, first = log_odds(exact, prompts), log_odds(halved, prompts)
    assert halved._features.bytes == exact._features.bytes / 2
    assert log_odds(halved, prompts) == pytest.approx(first, abs=1e-6)
    for options in ({"feature_memory": 0}, {"feature_cache": tmp_path}):
        again = fresh(family, feature_precision="float16", **options)
        assert log_odds(again, prompts) == pytest.approx(first, abs=1e-4)
    apart = max(abs(a - b) for a, b in zip(as_made, first, strict=True))
    assert 0 < apart < 0.02
    assert exact._tower is not None
    assert halved._tower is not None
    assert exact._tower.fingerprint() != halved._tower.fingerprint()


def test_features_that_float16_cannot_hold_stay_as_they_are() -> None:
    from mmrank.mllm.local.vision import _halved

    assert _halved(torch.tensor([1.0, 65_000.0])).dtype == torch.float16
    assert torch.equal(_halved(torch.tensor([1.0, 70_000.0])), torch.tensor([1.0, 70_000.0]))


def test_another_precision_of_features_is_refused(fresh: Callable[..., LocalMLLM]) -> None:
    with pytest.raises(UsageError, match="feature_precision is 'int8'; it is 'float16'"):
        fresh("qwen3_vl", feature_precision="int8")
