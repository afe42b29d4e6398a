"""What an MLLM is held to: one right answer or one named Failure a prompt, whatever else is in the batch."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mmrank.errors import MediaError, RecipeError, UsageError
from mmrank.mllm.base import Choices, Failure, Generated, Sampling
from mmrank.mllm.local.backend import LocalMLLM
from mmrank.mllm.prompt import ImagePart, Message, Picture, Prompt, TextPart

SEEING = ["qwen3_vl", "qwen2_5_vl", "qwen2_vl", "internvl", "llava_onevision"]
FAMILIES = [*SEEING, "llama"]
YES_NO = ("yes", "no")


@pytest.fixture
def many(ask: Callable[..., Prompt]) -> Callable[[str], list[Prompt]]:
    """Prompts of all sorts and lengths: no picture, one, several; short and long words."""

    def made(family: str) -> list[Prompt]:
        sees = family != "llama"
        return [
            ask(
                " ".join(["red", "boat", "dog"][: 1 + i % 3]),
                " a cat at night" * (i % 4),
                pictures=tuple(range(i, i + [0, 1, 1, 2, 3][i % 5])) if sees else (),
            )
            for i in range(8)
        ]

    return made


def log_odds(answers: list[Any]) -> list[float]:
    assert all(isinstance(a, Choices) for a in answers)
    return [a.logprobs[0] - a.logprobs[1] for a in answers]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_does_not_depend_on_batch_mates_size_or_order(
    family: str, tiny: Callable[[str], LocalMLLM], many: Callable[[str], list[Prompt]]
) -> None:
    shared, prompts = tiny(family), many(family)
    alone = [log_odds(shared.choice_logprobs([p], [YES_NO]))[0] for p in prompts]
    assert max(alone) - min(alone) > 0.5  # the model tells them apart
    rng = random.Random(family)
    for budget in (1, 150, 400, 8192):
        mllm = LocalMLLM(shared.model, shared.processor, spec="tiny", batch_tokens=budget)
        chosen = [rng.randrange(len(prompts)) for _ in range(rng.randint(2, 10))]
        found = log_odds(mllm.choice_logprobs([prompts[i] for i in chosen], [YES_NO] * len(chosen)))
        assert found == pytest.approx([alone[i] for i in chosen], abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_a_naive_loop_with_the_processors_own_call(
    family: str, tiny: Callable[[str], LocalMLLM], many: Callable[[str], list[Prompt]]
) -> None:
    """transformers' documented way: apply_chat_template to tensors, forward, logits of the last position."""
    mllm = tiny(family)
    for prompt, found in zip(many(family), mllm.choice_logprobs(many(family), [YES_NO] * 8), strict=True):
        if family == "llama":
            messages = [{"role": m.role, "content": "".join(p.text for p in m.parts)} for m in prompt.messages]
        else:
            messages = [{"role": m.role, "content": [_part(p) for p in m.parts]} for m in prompt.messages]
        if family == "llava_onevision" and prompt.pictures:
            continue  # its template moves the pictures, which mmrank does not follow
        batch = mllm.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = mllm.model(**batch).logits[0, -1]
        yes, no = mllm._tokenizer.convert_tokens_to_ids(list(YES_NO))
        assert isinstance(found, Choices)
        assert found.cost.tokens_in == batch["input_ids"].shape[1]
        assert log_odds([found])[0] == pytest.approx(float(logits[yes] - logits[no]), abs=1e-4)


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image", "image": part.picture.open()}


ROLES_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>system\\nJudge<|im_end|>\\n<|im_start|>user\\nQuery: ' if message['role'] == 'query' -}}
{{- '\\nDocument: ' if message['role'] == 'document' -}}
{{- '<|im_start|>' + message['role'] + '\\n' if message['role'] in ('system', 'user') -}}
{%- if message['content'] is string -%}{{- message['content'] -}}{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- else -%}{{- part['text'] -}}{%- endif -%}
{%- endfor -%}{%- endif -%}
{{- '<|im_end|>\\n' if message['role'] != 'query' -}}
{%- endfor -%}
{%- if add_generation_prompt or messages[-1]['role'] == 'document' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
"""Writes sentence-transformers' roles (query, document) and mmrank's messages alike."""


def test_equals_sentence_transformers_cross_encoder(
    tiny_folder: Callable[[str], Path], tmp_path: Path, picture: Callable[..., Picture]
) -> None:
    import shutil

    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore

    from mmrank.mllm.registry import load_mllm

    folder = tmp_path / "model"
    shutil.copytree(tiny_folder("qwen3_vl"), folder)
    (folder / "chat_template.jinja").write_text(ROLES_TEMPLATE)
    mllm: Any = load_mllm(str(folder), device="cpu")
    yes, no = mllm._tokenizer.convert_tokens_to_ids(list(YES_NO))
    body = Transformer(str(folder), transformer_task="any-to-any", model_kwargs={"dtype": torch.float32})
    oracle = CrossEncoder(modules=[body, LogitScore(true_token_id=yes, false_token_id=no)], device="cpu")

    rows = [("red boat", picture(1)), ("a cat at night", picture(2, 120, 70)), ("dog", "a dog, right"), ("dog", "x")]
    pairs = [(q, d if isinstance(d, str) else d.open()) for q, d in rows]
    expected = oracle.predict(pairs, batch_size=2, activation_fn=torch.nn.Identity()).tolist()

    prompts = []
    for query, document in rows:
        shown = TextPart(text=document, data=True) if isinstance(document, str) else ImagePart(picture=document)
        words = (TextPart(text="Query: "), TextPart(text=query, data=True), TextPart(text="\nDocument: "), shown)
        system = Message(role="system", parts=(TextPart(text="Judge"),))
        prompts.append(Prompt(messages=(system, Message(role="user", parts=words))))
    assert max(expected) - min(expected) > 0.5
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        found = log_odds(mllm.choice_logprobs([prompts[i] for i in order], [YES_NO] * 4))
        assert found == pytest.approx([expected[i] for i in order], abs=1e-4)


def test_a_picture_that_cannot_be_opened_fails_alone(
    tiny: Callable[[str], LocalMLLM], ask: Callable[..., Prompt]
) -> None:
    def gone() -> Image.Image:
        raise MediaError("photo.jpg is gone")

    def broken() -> Image.Image:
        raise OSError("image file is truncated")

    mllm, good = tiny("qwen3_vl"), ask("red boat", pictures=(1,))

    def bad(opener: Callable[[], Image.Image], key: str) -> Prompt:
        shown = ImagePart(picture=Picture(key=key, width=64, height=64, open=opener))
        return Prompt(messages=(Message(role="user", parts=(shown,)),))

    sizes = bad(lambda: Image.new("RGB", (32, 64)), "m")
    answers = mllm.choice_logprobs([bad(gone, "g"), good, bad(broken, "k"), sizes], [YES_NO] * 4)
    assert answers[1].logprobs == pytest.approx(mllm.choice_logprobs([good], [YES_NO])[0].logprobs, abs=1e-5)
    errors = [a.error for a in answers if isinstance(a, Failure)]
    assert errors[0] == "photo.jpg is gone"
    assert errors[1] == "The picture k cannot be opened: OSError: image file is truncated"
    assert errors[2].startswith("The picture m is 32 x 64 pixels and was announced as 64 x 64")


def test_too_long_is_a_failure_with_its_count(tiny: Callable[[str], LocalMLLM], ask: Callable[..., Prompt]) -> None:
    long = ask("red", " cat" * 5000)
    answers = tiny("qwen3_vl").choice_logprobs([ask(), long, replace(long, max_tokens_in=100)], [YES_NO] * 3)
    assert isinstance(answers[1], Failure)
    assert "5025 tokens and the model's context is 4096" in answers[1].error
    assert isinstance(answers[2], Choices)
    assert (answers[2].cost.tokens_in, answers[2].shortened) == (100, 4925)
    assert answers[0].shortened == 0


def test_out_of_memory_gives_smaller_batches_and_the_same_answers(
    tiny: Callable[[str], LocalMLLM], many: Callable[[str], list[Prompt]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, prompts = tiny("qwen3_vl"), many("qwen3_vl")
    expected = log_odds(shared.choice_logprobs(prompts, [YES_NO] * 8))
    mllm = LocalMLLM(shared.model, shared.processor, spec="tiny", batch_tokens=8192)
    largest = max(mllm.count_tokens(p) for p in prompts)
    inner = shared.model.model.forward

    def small_memory(*args: Any, **kwargs: Any) -> Any:
        if kwargs["input_ids"].numel() > 2 * largest:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return inner(*args, **kwargs)

    monkeypatch.setattr(shared.model.model, "forward", small_memory)
    assert log_odds(mllm.choice_logprobs(prompts, [YES_NO] * 8)) == pytest.approx(expected, abs=1e-4)
    assert largest <= mllm.batch_tokens <= 4 * largest
    smaller = mllm.batch_tokens
    mllm.choice_logprobs(prompts, [YES_NO] * 8)
    assert mllm.batch_tokens == smaller


def test_numbers_that_overflow_are_a_failure(tiny_folder: Callable[[str], Path], ask: Callable[..., Prompt]) -> None:
    from mmrank.mllm.registry import load_mllm

    mllm: Any = load_mllm(str(tiny_folder("llama")), device="cpu")
    with torch.no_grad():
        mllm.model.model.norm.weight.fill_(math.inf)
    (answer,) = mllm.choice_logprobs([ask()], [YES_NO])
    assert isinstance(answer, Failure)
    assert "overflowed in float32" in answer.error


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_is_the_models_own(
    family: str, tiny: Callable[[str], LocalMLLM], many: Callable[[str], list[Prompt]]
) -> None:
    mllm, prompts = tiny(family), many(family)[:4]
    for prompt, found in zip(prompts, mllm.generate(prompts, Sampling(max_tokens=6)), strict=True):
        assert isinstance(found, Generated)
        (encoded,) = mllm._encoder.encode([mllm._drafter.draft(prompt)])
        inputs, own = mllm._inputs([encoded]), []
        visual = mllm.model.config.image_token_id if mllm._drafter.sees else None
        inputs.pop("position_ids", None)
        for _ in range(6):
            with torch.inference_mode():
                own.append(int(mllm.model(**inputs).logits[0, -1].argmax()))
            if own[-1] in (*mllm._ends, visual):
                break
            for name, value in (("input_ids", own[-1]), ("attention_mask", 1), ("mm_token_type_ids", 0)):
                if name in inputs:
                    inputs[name] = torch.cat([inputs[name], torch.tensor([[value]])], dim=1)
        if own[-1] == visual:  # random weights may write a picture's placeholder, which a full forward refuses
            assert found.text.startswith(mllm._tokenizer.decode(own[:-1], skip_special_tokens=True))
            continue
        assert found.text == mllm._tokenizer.decode(own, skip_special_tokens=True)
        assert found.cost.tokens_out == len(own)
        assert found.cut == (own[-1] not in mllm._ends)


def test_a_draw_depends_on_its_seed_and_not_on_its_mates(
    tiny: Callable[[str], LocalMLLM], many: Callable[[str], list[Prompt]]
) -> None:
    mllm, prompts = tiny("qwen3_vl"), many("qwen3_vl")
    hot = Sampling(max_tokens=8, temperature=1.5, seed=5)
    together = [g.text for g in mllm.generate(prompts, hot)]
    assert [mllm.generate([p], hot)[0].text for p in prompts] == together
    assert [g.text for g in mllm.generate(prompts, replace(hot, seed=6))] != together
    same = mllm.generate([prompts[0]] * 3, replace(hot, seeds=(5, 6, 5)))
    assert same[0].text == same[2].text == together[0]
    assert same[1].text != same[0].text


def test_the_checkpoints_own_sampling_is_ignored(
    tiny: Callable[[str], LocalMLLM], ask: Callable[..., Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    mllm, prompt = tiny("qwen3_vl"), ask("red boat", pictures=(1,))
    expected = mllm.generate([prompt], Sampling(max_tokens=8))
    own = mllm.model.generation_config
    for name, value in {"do_sample": True, "temperature": 3.0, "top_k": 1, "repetition_penalty": 9.0}.items():
        monkeypatch.setattr(own, name, value)
    assert mllm.generate([prompt], Sampling(max_tokens=8))[0].text == expected[0].text
    assert mllm.model.generation_config is own


def test_what_cannot_be_meant_is_refused(tiny: Callable[[str], LocalMLLM], ask: Callable[..., Prompt]) -> None:
    mllm = tiny("llama")
    with pytest.raises(UsageError, match="2 prompts and 1 lists"):
        mllm.choice_logprobs([ask(), ask()], [YES_NO])
    for sampling in (Sampling(max_tokens=0), Sampling(temperature=-1), Sampling(top_p=0), Sampling(top_k=0)):
        with pytest.raises(UsageError):
            mllm.generate([ask()], sampling)
    with pytest.raises(UsageError, match="1 seeds for 2 prompts"):
        mllm.generate([ask(), ask()], Sampling(temperature=1, seeds=(1,)))
    with pytest.raises(RecipeError, match="'maybe' is .* tokens"):
        mllm.choice_logprobs([ask()], [("yes", "maybe")])
    with pytest.raises(RecipeError, match="no pair scores"):
        mllm.pair_scores([ask()])
    with pytest.raises(UsageError, match="batch_tokens is 0"):
        LocalMLLM(mllm.model, mllm.processor, spec="x", batch_tokens=0)


def test_no_prompts_no_answers(tiny: Callable[[str], LocalMLLM]) -> None:
    mllm = tiny("llama")
    assert mllm.choice_logprobs([], []) == []
    assert mllm.generate([], Sampling()) == []
    assert mllm.attention([]) == []


def test_pictures_for_a_model_of_text_alone_are_a_failure(
    tiny: Callable[[str], LocalMLLM], ask: Callable[..., Prompt]
) -> None:
    mllm = tiny("llama")
    assert mllm.limits.images == 0
    answers = mllm.choice_logprobs([ask(pictures=(1,)), ask()], [YES_NO] * 2)
    assert isinstance(answers[0], Failure)
    assert "reads text alone" in answers[0].error
    assert isinstance(answers[1], Choices)


def test_costs_add_up(tiny: Callable[[str], LocalMLLM], many: Callable[[str], list[Prompt]]) -> None:
    prompts = many("qwen3_vl")
    shared = tiny("qwen3_vl")
    mllm = LocalMLLM(shared.model, shared.processor, spec="fresh")
    costs = [a.cost for a in mllm.choice_logprobs(prompts, [YES_NO] * 8)]
    assert [c.model_calls for c in costs] == [1] * 8
    assert [c.images_encoded + c.cache_hits for c in costs] == [len(p.pictures) for p in prompts]
    assert sum(c.images_encoded for c in costs) == len({picture.key for p in prompts for picture in p.pictures})
    assert all(c.seconds > 0 and c.tokens_out == 0 for c in costs)


def test_threads_wait_for_each_other(tiny: Callable[[str], LocalMLLM], many: Callable[[str], list[Prompt]]) -> None:
    mllm, prompts = tiny("qwen2_vl"), many("qwen2_vl")
    expected = log_odds(mllm.choice_logprobs(prompts, [YES_NO] * 8))
    found: dict[int, list[float]] = {}

    def work(number: int) -> None:
        some = prompts[number:] + prompts[:number]
        odds = log_odds(mllm.choice_logprobs(some, [YES_NO] * 8))
        found[number] = odds[8 - number :] + odds[: 8 - number]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[i] == pytest.approx(expected, abs=1e-4) for i in range(4))


def test_bfloat16_is_near_and_its_head_is_exact(
    tiny_folder: Callable[[str], Path], tiny: Callable[[str], LocalMLLM], many: Callable[[str], list[Prompt]]
) -> None:
    from mmrank.mllm.registry import load_mllm

    prompts = many("qwen3_vl")
    half = load_mllm(str(tiny_folder("qwen3_vl")), device="cpu", precision="bfloat16")
    found = log_odds(half.choice_logprobs(prompts, [YES_NO] * 8))
    exact = log_odds(tiny("qwen3_vl").choice_logprobs(prompts, [YES_NO] * 8))
    assert found == pytest.approx(exact, abs=0.5)
    assert found != exact
    assert len({abs(x) % 2**-8 for x in found}) > 1  # a bfloat16 head would round to steps


def test_speed_is_measured_once(tiny: Callable[[str], LocalMLLM]) -> None:
    for family in ("qwen3_vl", "llama"):
        speed = tiny(family).speed()
        assert speed.read > speed.write > 1
        assert tiny(family).speed() is speed


def test_another_template_and_its_options(tiny: Callable[[str], LocalMLLM], tmp_path: Path) -> None:
    shared = tiny("llama")
    template = "{% for m in messages %}{{ m.content }}{% endfor %}{% if thinking %}<think>{% endif %}"
    (tmp_path / "t.jinja").write_text(template)
    prompt = Prompt(messages=(Message(role="user", parts=(TextPart(text="hello"),)),))
    for given in (template, tmp_path / "t.jinja", str(tmp_path / "t.jinja")):
        mllm = LocalMLLM(
            shared.model, shared.processor, spec="x", chat_template=given, template_options={"thinking": True}
        )
        assert mllm._drafter.draft(prompt).text == "hello<think>"
    with pytest.raises(UsageError, match=r"nowhere\.jinja"):
        LocalMLLM(shared.model, shared.processor, spec="x", chat_template="nowhere.jinja")
