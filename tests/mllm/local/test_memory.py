from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mmrank.mllm.local.memory import ON_CPU, bytes_per_token, default_batch_tokens


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl", "internvl", "llava_onevision", "llama"])
def test_every_family_has_a_default(family: str, tiny: Callable[[str], Any]) -> None:
    model = tiny(family).model
    assert default_batch_tokens(model) == ON_CPU
    text = model.config.get_text_config()
    assert bytes_per_token(model.config) >= 2 * 2 * text.num_hidden_layers * 2 * 16
