from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmrank.errors import MllmError
from mmrank.mllm.base import Attended, Failure
from mmrank.mllm.prompt import ImagePart, Message, Picture, Prompt, TextPart

FAMILIES = ["qwen3_vl", "qwen2_5_vl", "qwen2_vl", "internvl", "llava_onevision", "llama"]


def documents_first(pictures: list[Picture], query: str = "which boat is red?") -> Prompt:
    """In-Context Re-ranking's layout: documents, then the query. Document 1 has two parts."""
    parts: list[Any] = [TextPart(text="Documents\n")]
    for i, words in enumerate(["a red boat at night", "one cat", "blue pizza"]):
        parts += [TextPart(text=f"[{i}] "), TextPart(text=words, data=True, mark=f"d{i}"), TextPart(text="\n\n")]
    if pictures:
        parts += [ImagePart(picture=pictures[0], mark="d1"), ImagePart(picture=pictures[1], mark="d2")]
    parts += [TextPart(text="Query: "), TextPart(text=query, data=True, mark="query"), TextPart(text="\n")]
    return Prompt(messages=(Message(role="user", parts=tuple(parts)),))


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_full_matrix_of_eager_attention(
    family: str, tiny: Callable[[str], Any], picture: Callable[..., Picture]
) -> None:
    mllm = tiny(family)
    pictures = [] if family == "llama" else [picture(1), picture(2, 100, 70)]
    prompt = documents_first(pictures)
    (found,) = mllm.attention([prompt])
    assert isinstance(found, Attended)

    (encoded,) = mllm._encoder.encode([mllm._drafter.draft(prompt)])
    spans = mllm._encoder.marked(encoded)
    inputs = mllm._inputs([encoded])
    before = mllm.model.config._attn_implementation
    mllm.model.set_attn_implementation("eager")
    try:
        layers = mllm.model(**inputs, output_attentions=True).attentions
    finally:
        mllm.model.set_attn_implementation(before)
    full = sum(layer[0].detach() for layer in layers)[:, spans["query"]].mean(1).sum(0).numpy()
    assert set(found.scores) == {"d0", "d1", "d2"}
    for mark, scores in found.scores.items():
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, full[spans[mark]], atol=1e-5)
    assert full.sum() == pytest.approx(len(layers) * layers[0].shape[1], rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_spans_hold_exactly_their_words(
    family: str, tiny: Callable[[str], Any], picture: Callable[..., Picture]
) -> None:
    mllm = tiny(family)
    pictures = [] if family == "llama" else [picture(1), picture(2, 100, 70)]
    (encoded,) = mllm._encoder.encode([mllm._drafter.draft(documents_first(pictures))])
    spans = mllm._encoder.marked(encoded)
    ids, token = encoded.tensors["input_ids"][0].tolist(), mllm._drafter.picture_token
    visual = None if token is None else mllm._tokenizer.convert_tokens_to_ids(token)

    def words(mark: str) -> str:
        return str(mllm._tokenizer.decode([ids[i] for i in spans[mark] if ids[i] != visual])).strip()

    assert words("d0") == "a red boat at night"
    assert words("d1") == "one cat"
    assert words("d2") == "blue pizza"
    assert words("query").startswith("which boat is red?")
    if pictures:
        counts = [sum(ids[i] == visual for i in spans[mark]) for mark in ("d1", "d2")]
        assert all(counts)
        assert sum(counts) == ids.count(visual)


def test_other_work_is_not_touched(tiny: Callable[[str], Any], ask: Callable[..., Prompt]) -> None:
    mllm = tiny("qwen3_vl")
    before = mllm.choice_logprobs([ask(pictures=(1,))], [["yes", "no"]])[0].logprobs
    config = mllm.model.config
    names = (config._attn_implementation, config.text_config._attn_implementation)
    mllm.attention([ask(document="a cat", pictures=(1,))])
    assert (config._attn_implementation, config.text_config._attn_implementation) == names
    assert mllm.choice_logprobs([ask(pictures=(1,))], [["yes", "no"]])[0].logprobs == before


def test_a_batch_gives_what_each_gives_alone(tiny: Callable[[str], Any], ask: Callable[..., Prompt]) -> None:
    mllm = tiny("qwen2_5_vl")
    prompts = [ask("red", "a cat"), ask("one two", "a dog", pictures=(1, 2)), ask("red boat", pictures=(4,))]
    for prompt, found in zip(prompts, mllm.attention(prompts), strict=True):
        (alone,) = mllm.attention([prompt])
        np.testing.assert_array_equal(found.scores["document"], alone.scores["document"])


def test_spans_that_cannot_be_found_fail_their_own_prompt_only(
    tiny: Callable[[str], Any], ask: Callable[..., Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    mllm = tiny("qwen3_vl")
    marked = mllm._encoder.marked

    def torn(encoded: Any) -> Any:
        if "cat" in encoded.draft.text:
            raise MllmError("The processor did not write the tokens it announced.")
        return marked(encoded)

    monkeypatch.setattr(mllm._encoder, "marked", torn)
    found = mllm.attention([ask("red", "a dog"), ask("red", "a cat"), ask("blue", "a dog")])
    assert [type(result) for result in found] == [Attended, Failure, Attended]
    assert "announced" in found[1].error


def test_a_prompt_without_marks_is_a_failure(tiny: Callable[[str], Any]) -> None:
    prompt = Prompt(messages=(Message(role="user", parts=(TextPart(text="hello"),)),))
    (found,) = tiny("qwen3_vl").attention([prompt])
    assert isinstance(found, Failure)
    assert "marked 'query'" in found.error
