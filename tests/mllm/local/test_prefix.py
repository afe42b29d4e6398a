"""Continuing from a shared prefix is the same as reading the whole prompt, and reads less."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmrank.mllm.local.backend import LocalMLLM
from mmrank.mllm.local.prefix import why_no_prefix
from mmrank.mllm.prompt import ImagePart, Picture, Prompt

QWEN = ["qwen3_vl", "qwen2_5_vl", "qwen2_vl"]
CLOSE = 1e-4

DOCUMENTS: list[dict[str, Any]] = [
    {"pictures": (1,)},
    {"pictures": (2,)},
    {"pictures": (3,), "document": " title: a cat"},
    {"document": "a dog at night, left of the pizza"},
    {"document": "cat"},
    {"pictures": (4, 5, 6)},  # frames
    {"pictures": (1, 7), "document": " subtitle: boat"},
]
QUERIES: list[dict[str, Any]] = [
    {"query": "red boat"},
    {"query": "same, but at night", "reference": (2,)},
    {"query": "a long one: two dogs and a cat above the blue pizza, at night", "reference": (8, 9)},
]


def mixed(pair: Callable[..., Prompt], *, shared: bool, pictures: bool = True) -> list[Prompt]:
    """All queries with all documents: texts, pictures, frames."""
    prompts = []
    for query in QUERIES:
        for document in DOCUMENTS:
            given = {**query, **document} if pictures else {"query": query["query"], **document}
            if not pictures:
                given = {"query": query["query"], "document": f"{document}"}
            prompts.append(pair(**given, shared=shared))
    return prompts


@pytest.mark.parametrize("family", [*QWEN, "llama"])
def test_prefix_equals_whole_for_mixed_batches_in_any_order(
    family: str,
    fresh: Callable[..., LocalMLLM],
    pair: Callable[..., Prompt],
    log_odds: Callable[..., list[float]],
) -> None:
    sees = family != "llama"
    whole = fresh(family)
    alone = [log_odds(whole, [prompt])[0] for prompt in mixed(pair, shared=False, pictures=sees)]
    assert max(alone) - min(alone) > 0.5  # the model tells them apart
    prompts = mixed(pair, shared=True, pictures=sees)
    rng = random.Random(family)
    for budget, memory in ((8192, 1 << 20), (300, 1 << 20), (8192, 0), (150, 30_000)):
        mllm = fresh(family, batch_tokens=budget, prefix_memory=memory)
        for _ in range(2):  # with no prefix kept, then with some
            order = rng.sample(range(len(prompts)), len(prompts))
            found = log_odds(mllm, [prompts[i] for i in order])
            assert found == pytest.approx([alone[i] for i in order], abs=CLOSE)
            assert mllm._prefixes is not None
            assert mllm._prefixes.bytes <= memory


def test_in_bfloat16_a_prefix_is_as_near_as_batches_are_to_each_other(
    tiny_folder: Callable[[str], Path], pair: Callable[..., Prompt], log_odds: Callable[..., list[float]]
) -> None:
    from mmrank.mllm.registry import load_mllm

    def loaded(**options: Any) -> Any:
        return load_mllm(str(tiny_folder("qwen3_vl")), device="cpu", **options)

    exact = log_odds(loaded(), mixed(pair, shared=False))
    whole = log_odds(loaded(precision="bfloat16"), mixed(pair, shared=False))
    found = log_odds(loaded(precision="bfloat16"), mixed(pair, shared=True))

    def apart(one: list[float]) -> float:
        return max(abs(a - b) for a, b in zip(one, exact, strict=True))

    assert 0 < apart(found) < 2 * apart(whole)


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_videos_as_frames_and_as_sheets(
    family: str, fresh: Callable[..., LocalMLLM], log_odds: Callable[..., list[float]]
) -> None:
    from dataclasses import replace

    from mmrank.prompts import load_prompt
    from mmrank.rerank.layouts import PairLayout, Slot
    from mmrank.rerank.render_settings import RenderSettings
    from mmrank.rerank.renderings import Renderer
    from mmrank.types import Hit, Item, Query

    media = Path(__file__).parents[3] / "assets" / "toybox" / "media"
    clips, photos = sorted(media.rglob("*.mp4"))[:2], sorted(media.rglob("*.jpg"))[:2]
    items = [Item(id=f.stem, kind="video", uri=str(f)) for f in clips]
    items += [Item(id=f.stem, kind="image", uri=str(f)) for f in photos]
    assert len(items) == 4
    layout = PairLayout(load_prompt("pair"))
    prompts = []
    for settings in (RenderSettings(video="frames", frames=3, max_pixels=4096), RenderSettings(s=2, sheet_size=96)):
        renderer = Renderer(settings)
        for query in (Query(text="a dog enters"), Query(text="the same with a cat", video=str(clips[0]))):
            reference = tuple(renderer.query(query))
            shown = [Slot(Hit(item=item, score=0.0), tuple(renderer.item(Hit(item=item, score=0.0)))) for item in items]
            prompts += [layout(query, reference, [slot]) for slot in shown]
    whole = fresh(family, feature_memory=0, prefix_memory=0)
    alone = [log_odds(whole, [replace(prompt, shared=0)])[0] for prompt in prompts]
    assert max(alone) - min(alone) > 0.1
    mllm = fresh(family)
    assert log_odds(mllm, prompts) == pytest.approx(alone, abs=CLOSE)
    assert mllm._prefixes is not None
    assert mllm._prefixes.bytes > 0


@pytest.mark.parametrize("family", ["qwen3_vl", "llama"])
def test_a_prefix_is_read_once_and_kept_for_later_rounds(
    family: str,
    fresh: Callable[..., LocalMLLM],
    pair: Callable[..., Prompt],
    log_odds: Callable[..., list[float]],
    counted: Callable[..., Any],
) -> None:
    query = "a long query: two dogs and a cat above the blue pizza at night, left of the red boat"
    documents = ["cat", "dog at night", "boat", "pizza", "red", "blue", "green"]
    mllm = fresh(family)
    prompts = [pair(query, words) for words in documents]
    whole = sum(mllm.count_tokens(prompt) for prompt in prompts)
    with counted(mllm) as together:
        log_odds(mllm, prompts[:6])
    assert together["tokens"] < 0.4 * whole
    with counted(mllm) as later:  # one more, such as early exit asks for
        log_odds(mllm, prompts[6:])
    assert later["tokens"] < 0.4 * mllm.count_tokens(prompts[6])
    keeps_nothing = fresh(family, prefix_memory=0)
    log_odds(keeps_nothing, prompts[:6])
    with counted(keeps_nothing) as again:
        log_odds(keeps_nothing, prompts[6:])
    assert again["tokens"] == mllm.count_tokens(prompts[6])


def test_kept_prefixes_stay_within_their_memory_and_the_newest_remain(
    fresh: Callable[..., LocalMLLM], pair: Callable[..., Prompt], log_odds: Callable[..., list[float]]
) -> None:
    one = fresh("qwen3_vl")
    log_odds(one, [pair("red boat number 0 at night", "cat " * i) for i in range(6)])
    assert one._prefixes is not None
    size = one._prefixes.bytes
    mllm = fresh("qwen3_vl", prefix_memory=3 * size)
    prefixes = mllm._prefixes
    assert prefixes is not None
    for number in range(8):
        prompts = [pair(f"red boat number {number} at night", "cat " * i) for i in range(6)]
        log_odds(mllm, prompts)
        assert size <= prefixes.bytes <= 3 * size
        assert all(cut is not None for cut in mllm._cuts([mllm._drafter.draft(prompts[0])]))
    assert len(prefixes._of_group) == len(prefixes._kept) == 3
    gone = pair("red boat number 0 at night", "dog")
    assert mllm._cuts([mllm._drafter.draft(gone)]) == [None]


def test_models_that_cannot_say_so_and_read_whole_prompts(
    fresh: Callable[..., LocalMLLM], pair: Callable[..., Prompt], log_odds: Callable[..., list[float]]
) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": 64}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    sliding = MistralForCausalLM(MistralConfig(**small, **heads, sliding_window=8))
    assert "sliding window" in str(why_no_prefix(sliding, None, sees=False))
    full = MistralForCausalLM(MistralConfig(**small, **heads, sliding_window=None))
    assert why_no_prefix(full, None, sees=False) is None
    full.config._attn_implementation = "flash_attention_2"
    assert "'flash_attention_2' is not one of eager, sdpa" in str(why_no_prefix(full, None, sees=False))

    other = fresh("internvl")
    assert other.unshared is not None
    assert "this model is a internvl" in other.unshared
    assert "every prompt is read from its beginning" in other.unshared
    prompts = [pair("red boat at night", pictures=(seed,)) for seed in range(3)]
    assert log_odds(other, prompts) == pytest.approx([log_odds(other, [p])[0] for p in prompts], abs=CLOSE)
    assert fresh("llama").unshared is None
    assert fresh("qwen2_5_vl").unshared is None


def candidate_first(query: str, pictures: list[Picture], *, reference: Picture | None = None) -> list[Prompt]:
    """The pairs of one query, as the layout makes them from the words that show the candidate first."""
    from mmrank.prompts import load_prompt
    from mmrank.rerank.layouts import PairLayout, Slot
    from mmrank.types import Hit, Item, Query

    layout = PairLayout(load_prompt("pair_document_first"))
    asked = Query(text=query, image=None if reference is None else "reference.jpg")
    shown = () if reference is None else (ImagePart(picture=reference),)
    hits = [Hit(item=Item(id=one.key, kind="image", uri="a.jpg"), score=0.0) for one in pictures]
    return [layout(asked, shown, [Slot(h, (ImagePart(picture=p),))]) for h, p in zip(hits, pictures, strict=True)]


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_a_candidate_that_stands_first_is_read_once_for_all_queries(
    family: str,
    fresh: Callable[..., LocalMLLM],
    picture: Callable[..., Picture],
    log_odds: Callable[..., list[float]],
    counted: Callable[..., Any],
) -> None:
    from dataclasses import replace

    pictures = [picture(seed, 56, 56 + 28 * seed) for seed in range(4)]
    whole = fresh(family, feature_memory=0, prefix_memory=0)
    mllm = fresh(family)
    for number, query in enumerate(("red boat", "the same, but at night", "two dogs above a blue pizza")):
        prompts = candidate_first(query, pictures, reference=pictures[1] if number == 1 else None)
        alone = [log_odds(whole, [replace(prompt, shared=0, lasting=False)])[0] for prompt in prompts]
        assert max(alone) - min(alone) > 0.01
        with counted(mllm) as seen:  # each query in a call of its own, as a user asks them
            assert log_odds(mllm, prompts) == pytest.approx(alone, abs=CLOSE)
        lengths = sum(mllm.count_tokens(prompt) for prompt in prompts)
        assert seen["pictures"] == (0 if number else len(pictures))
        assert seen["tokens"] < (0.7 * lengths if number else 1.4 * lengths)
    assert mllm._prefixes is not None
    assert len(mllm._prefixes._kept) == len(pictures)


def test_a_lone_prompt_is_cut_behind_its_candidate_only_where_that_is_kept(
    fresh: Callable[..., LocalMLLM], picture: Callable[..., Picture], log_odds: Callable[..., list[float]]
) -> None:
    prompts = candidate_first("red boat", [picture(1, 56, 84)])
    for memory, kept in ((1 << 20, 1), (0, 0)):
        mllm = fresh("qwen3_vl", prefix_memory=memory)
        log_odds(mllm, prompts)
        assert mllm._prefixes is not None
        assert len(mllm._prefixes._kept) == kept
