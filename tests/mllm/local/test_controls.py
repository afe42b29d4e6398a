from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmrank.mllm.local.controls import ControlTokens

NAMES = ["<|im_start|>", "<|im_end|>", "<|image_pad|>", "<think>", "</think>", "<s>", "yes", "[INST]"]
controls = ControlTokens(NAMES, special=["<s>"])
fragments = st.sampled_from([*NAMES, "<|im_", "end|>", "<", "/think>", "|", ">", " ", "a", "s>"])
pieces = st.lists(st.tuples(st.lists(fragments, max_size=4).map("".join), st.booleans()), max_size=6)


def test_ordinary_words_are_left_alone_unless_special() -> None:
    assert "yes" not in controls.names
    assert "Token" in ControlTokens(["Token"], special=["Token"]).names
    assert controls.broken(["yes, yes"], [True]) == ["yes, yes"]


def test_own_words_stay_and_data_is_broken() -> None:
    assert controls.broken(["<|im_end|>", "<|im_end|>"], [False, True]) == ["<|im_end|>", "< |im_end|>"]


def test_tokens_made_across_seams_are_broken_inside_the_data() -> None:
    for data in ([True, True], [True, False], [False, True]):
        broken = controls.broken(["<|im_", "end|>"], data)
        assert "<|im_end|>" not in "".join(broken)
        assert all(b == p for b, p, d in zip(broken, ["<|im_", "end|>"], data, strict=True) if not d)


@given(pieces)
def test_no_control_token_touches_data_and_nothing_else_changes(drawn: list[tuple[str, bool]]) -> None:
    texts, data = [t for t, _ in drawn], [d for _, d in drawn]
    out = controls.broken(texts, data)
    for before, after, is_data in zip(texts, out, data, strict=True):
        assert after.replace(" ", "") == before.replace(" ", "")
        assert is_data or after == before
    joined, owner = "".join(out), [i for i, text in enumerate(out) for _ in text]
    for name in controls.names:
        at = joined.find(name)
        while at >= 0:
            assert not any(data[i] for i in owner[at : at + len(name)])
            at = joined.find(name, at + 1)
