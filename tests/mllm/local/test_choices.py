from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mmrank.errors import RecipeError
from mmrank.mllm.local.choices import ChoiceTokens, choice_logits

HEADER = "<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def tokenizer(tiny_vl: Any) -> Any:
    return tiny_vl.new_tokenizer()


def test_the_token_of_a_word_behind_the_header(tokenizer: Any) -> None:
    tokens = ChoiceTokens(tokenizer)
    yes, no = tokens.ids(HEADER, ["yes", "no"])
    assert tokenizer.convert_ids_to_tokens([yes, no]) == ["yes", "no"]
    assert tokens.ids(HEADER, [" yes"]) == (tokenizer.convert_tokens_to_ids("Ġyes"),)


def test_the_token_behind_a_prefix(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(list(ChoiceTokens(tokenizer).ids(HEADER + "(", ["1", "2"]))) == ["1", "2"]
    assert tokenizer.convert_ids_to_tokens(list(ChoiceTokens(tokenizer).ids(HEADER + "answer:", [" A"]))) == ["ĠA"]


def test_a_choice_of_several_tokens_is_named(tokenizer: Any) -> None:
    with pytest.raises(RecipeError, match=r"The choice '12' is 2 tokens of this model.*'1' \+ '2'.*exactly one"):
        ChoiceTokens(tokenizer).ids(HEADER, ["1", "12"])
    with pytest.raises(RecipeError, match="The choice '' is 0 tokens"):
        ChoiceTokens(tokenizer).ids(HEADER, [""])


def test_a_choice_that_melts_into_the_prefix_is_named(tokenizer: Any) -> None:
    with pytest.raises(RecipeError, match=r"The choice 'yes' is no token of its own after .*' yes'.*other sign"):
        ChoiceTokens(tokenizer).ids(HEADER + " ", ["yes"])


def test_no_choice_and_equal_choices_are_refused(tokenizer: Any) -> None:
    with pytest.raises(RecipeError, match="No choices"):
        ChoiceTokens(tokenizer).ids(HEADER, [])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("bent", [{}, {"final_logit_softcapping": 5.0}, {"logit_scale": 0.5}, {"logits_scaling": 4.0}])
def test_rows_of_the_head_give_its_logits(bias: bool, bent: dict[str, float]) -> None:
    class Config:
        def get_text_config(self) -> Any:
            return type("Text", (), bent)

    class Model:
        config = Config()
        head = torch.nn.Linear(16, 50, bias=bias)

        def get_output_embeddings(self) -> torch.nn.Linear:
            return self.head

    model, hidden = Model(), torch.randn(16) * 3
    full = model.head(hidden)
    if "final_logit_softcapping" in bent:
        full = 5 * torch.tanh(full / 5)
    full = full * bent.get("logit_scale", 1) / bent.get("logits_scaling", 1)
    torch.testing.assert_close(choice_logits(model, hidden, [3, 49, 0]), full[[3, 49, 0]])


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl", "qwen2_vl", "internvl", "llava_onevision", "llama"])
def test_logprobs_are_the_models_own_logits_over_the_choices(
    family: str, tiny: Callable[[str], Any], ask: Callable[..., Any]
) -> None:
    mllm = tiny(family)
    prompt = ask("red boat", "a cat", pictures=() if family == "llama" else (1,), answer_prefix="[")
    labels = ["1", "2", "3"]
    (encoded,) = mllm._encoder.encode([mllm._drafter.draft(prompt)])
    with torch.inference_mode():
        logits = mllm.model(**mllm._inputs([encoded])).logits[0, -1]
    expected = logits[mllm._tokenizer.convert_tokens_to_ids(labels)].log_softmax(0)
    (found,) = mllm.choice_logprobs([prompt], [labels])
    torch.testing.assert_close(torch.tensor(found.logprobs), expected, atol=1e-5, rtol=0)
    assert sum(torch.tensor(found.logprobs).exp().tolist()) == pytest.approx(1)
