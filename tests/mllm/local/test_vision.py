from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mmrank.mllm.local import vision
from mmrank.mllm.local.backend import LocalMLLM
from mmrank.mllm.local.encode import Encoded
from mmrank.mllm.local.vision import VisionTower
from mmrank.mllm.prompt import Picture, Prompt

QWEN = ["qwen3_vl", "qwen2_5_vl", "qwen2_vl"]


@pytest.mark.parametrize("family", QWEN)
@pytest.mark.parametrize("pictures", [(), (1,), (1, 2, 3)])
def test_tokens_and_pixels_are_the_processors_own(
    family: str, pictures: tuple[int, ...], fresh: Callable[..., LocalMLLM], pair: Callable[..., Prompt]
) -> None:
    mllm = fresh(family)
    draft = mllm._drafter.draft(pair("red boat", "a cat", pictures=pictures))
    (encoded,) = mllm._encoder.encode([draft])
    assert isinstance(encoded, Encoded)
    images = [picture.open() for picture in draft.prompt.pictures]
    own = mllm.processor(text=[draft.text], images=[images] if images else None, return_tensors="pt")
    assert mllm._tower is not None
    if images:
        pixels = torch.cat([mllm._tower.patches(image).pixels for image in images])
        assert torch.equal(pixels, own.pop("pixel_values"))
    assert set(encoded.tensors) == set(own)
    for name, tensor in own.items():
        assert torch.equal(encoded.tensors[name].long(), tensor.long()), name


@pytest.mark.parametrize("family", QWEN)
def test_features_do_not_depend_on_what_runs_beside(
    family: str, fresh: Callable[..., LocalMLLM], picture: Callable[..., Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = fresh(family)._tower
    assert tower is not None
    patches = [tower.patches(picture(seed, 40 + 20 * seed, 120 - 15 * seed).open()) for seed in range(5)]
    together = tower.run(patches)
    monkeypatch.setattr(vision, "ON_CPU", 40)
    runs: list[int] = []
    inner = tower._run

    def counted(some: Any) -> Any:
        runs.append(sum(len(one.pixels) for one in some))
        return inner(some)

    monkeypatch.setattr(tower, "_run", counted)
    apart = tower.run(patches)
    assert len(runs) > 1
    assert all(size <= 40 or size in [len(one.pixels) for one in patches] for size in runs)
    for a, b, one in zip(together, apart, patches, strict=True):
        assert a.grid == b.grid == one.grid
        assert a.levels.shape == (3 if family == "qwen3_vl" else 1, len(one.pixels) // tower.merged, 64)
        torch.testing.assert_close(a.levels, b.levels, atol=1e-5, rtol=1e-5)


def test_a_model_without_such_a_tower_says_why(tiny: Callable[[str], LocalMLLM]) -> None:
    other, words = tiny("llava_onevision"), tiny("llama")
    assert "this model is a llava_onevision" in str(VisionTower.of(other.model, other.processor))
    assert VisionTower.of(words.model, words.processor) == "the model reads text alone"


def test_a_transformers_that_takes_no_features_is_named(
    tiny: Callable[[str], LocalMLLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tiny("qwen2_vl")
    monkeypatch.setattr(type(shared.model), "forward", lambda self, input_ids=None: None)
    assert "takes no features of its qwen2_vl" in str(VisionTower.of(shared.model, shared.processor))


def test_the_fingerprint_is_of_weights_settings_and_precision(tiny_vl: Any, fresh: Callable[..., LocalMLLM]) -> None:
    shared = fresh("qwen2_vl")
    tower = VisionTower(shared.model, shared.processor.image_processor)
    known = tower.fingerprint()
    assert known == VisionTower(shared.model, shared.processor.image_processor).fingerprint()
    assert len(known) == 64

    torch.manual_seed(0)
    model, processor = tiny_vl.qwen2_vl()
    seen = {known, VisionTower(model, processor.image_processor).fingerprint()}
    weight = model.model.visual.blocks[0].mlp.fc1.weight
    with torch.no_grad():
        weight[0, 0] += 1e-3
    seen.add(VisionTower(model, processor.image_processor).fingerprint())
    seen.add(VisionTower(model.to(torch.bfloat16), processor.image_processor).fingerprint())
    processor.image_processor.size = {"shortest_edge": 1024, "longest_edge": 2048}
    seen.add(VisionTower(model, processor.image_processor).fingerprint())
    assert len(seen) == 5
