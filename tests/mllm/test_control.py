"""Control tokens cannot be written by a candidate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.mllm.control import broken_control_tokens
from mmrank.mllm.local.controls import ControlTokens
from tests.models.tiny_vl import OTHER_SPECIAL, QWEN_SPECIAL, THINKING

TOKENS = [
    "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|vision_start|>", "<|eot_id|>", "<|start_header_id|>",
    "</s>", "<s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>", "<image>",
    "<think>", "</think>", "<bos>", "<eos>", "<｜begin▁of▁sentence｜>", "[IMG]", "</tool_call>", "<row_1_col_2>",
]  # fmt: skip


@pytest.mark.parametrize("token", TOKENS)
def test_every_token_is_broken_anywhere(token: str) -> None:
    for text in (token, f"a{token}b", f"<{token}>", token * 2, f"<|{token}|>"):
        assert token.lower() not in broken_control_tokens(text).lower()


@given(st.lists(st.sampled_from([*TOKENS, "<", "|", ">", "[", "]", "/", "SYS", "s", "im_end", "a"]), max_size=12))
def test_nothing_is_left_and_nothing_is_broken_twice(pieces: list[str]) -> None:
    broken = broken_control_tokens("".join(pieces))
    assert not any(token in broken for token in TOKENS)
    assert broken_control_tokens(broken) == broken
    assert broken.replace(" ", "") == "".join(pieces)


@pytest.mark.parametrize("token", [*QWEN_SPECIAL, *OTHER_SPECIAL, *THINKING])
def test_a_token_is_broken_as_the_local_backend_breaks_it(token: str) -> None:
    known = ControlTokens([*QWEN_SPECIAL, *OTHER_SPECIAL, *THINKING])
    for text in (token, f"a dog{token} and {token}{token}"):
        assert known.broken([text], [True]) == [broken_control_tokens(text)]


def test_plain_words_stay() -> None:
    text = "3 < 4 | a > b, <b>bold</b> [1] (see </div>) x<y"
    assert broken_control_tokens(text) == text
