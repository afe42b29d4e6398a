"""`load_reranker`: what is put together, and everything that can be wrong said before the first call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from knowing import ALL, knowing
from scripted import Scripted

import mmrank as mm
from mmrank.errors import RecipeError, UsageError
from mmrank.mllm.base import Capability, Generated, Limits
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.asks import YesNo
from mmrank.rerank.load import load_reranker
from mmrank.rerank.recipe import list_recipes
from mmrank.types import Query, Ranking

Make = Callable[..., Ranking]
WORTH = [float(w) for w in Random(3).sample(range(100), 40)]


def model(spec: str = "scripted", limits: Limits = Limits(), can: frozenset[Capability] = ALL) -> Scripted:
    return replace(knowing("yes_no", WORTH, can), spec=spec, limits=limits)


def test_it_is_public() -> None:
    assert mm.load_reranker is load_reranker


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        ("yes_no", {}, "has no model; give exactly one"),
        ("yes_no@", {}, "has no model"),
        ("yes_no@x/y", {"model": model()}, "has @MODEL and model="),
        ("yes_no@x/y", {"replay": "calls.jsonl"}, "has @MODEL and replay="),
        ("yes_no", {"model": model(), "replay": "calls.jsonl"}, "has model= and replay="),
        ("yes_noo@x/y", {}, "did you mean yes_no"),
        ("yes_no@x/y", {"form": "nothing"}, "no form 'nothing'"),
        ("yes_no@x/y", {"depth": 0}, "depth is 0"),
        ("yes_no@x/y", {"deadline": 0}, "deadline is 0"),
        ("yes_no@x/y", {"deadline": float("nan")}, "deadline is nan"),
        ("yes_no@x/y", {"deadline_ms": "soon"}, "deadline_ms is 'soon'; it must be a number of milliseconds"),
        ("yes_no@x/y", {"deadline": 1, "deadline_ms": 1000}, "deadline=1 .seconds. and deadline_ms=1000"),
        ("yes_no@x/y", {"windw": 3}, "no setting 'windw'"),
        ("rankgpt@x/y", {"stride": 12}, "windows must overlap"),
        ("rankgpt@x/y", {"max_tokens": "many"}, "max_tokens='many'"),
        ("rankgpt@x/y", {"schedule": {"kind": "sliding", "size": 3}}, "'sliding' has no setting 'size'"),
        ("rankgpt@x/y", {"ask": {"kind": "permutation", "positive": "yes"}}, "was given positive; it takes"),
        ("rankgpt@x/y", {"video": "movie"}, "rendering video is 'movie'"),
        ("rankgpt@x/y", {"schedule": "pointwise"}, "needs a score for each candidate"),
        ("rankgpt@x/y", {"schedule": "blocks"}, "'mean' needs scores"),
        ("rankfusion@x/y", {"aggregator": "mean"}, "'mean' needs scores"),
        ("rankfusion@x/y", {"schedule": "single"}, "'duel' shows 2 at a time"),
        ("yes_no@x/y", {"schedule": "single"}, "'pair' shows 1 at a time"),
        ("jointrank@x/y", {"aggregator": {"method": "pagerank", "damping": 7}}, "damping is 7"),
        ("psc@x/y", {"both_orders": True, "schedule": "pairs"}, "both_orders means nothing"),
    ],
)
def test_what_cannot_be_meant_is_said_before_a_model_is_looked_for(
    spec: str, given: dict[str, Any], message: str
) -> None:
    """No model x/y exists: an error about it would mean that it was looked for first."""
    with pytest.raises(UsageError, match=message):
        load_reranker(spec, **given)


def test_what_a_model_keeps_is_set_where_the_model_is_loaded() -> None:
    with pytest.raises(UsageError, match="feature_cache: for a model that is loaded by its name; it came by model="):
        load_reranker("yes_no", model=model(), feature_cache="here")


def test_a_prompt_of_another_layout_is_named() -> None:
    with pytest.raises(RecipeError, match="written for layout pair"):
        load_reranker("rankgpt", model=model(), prompt="pair")


@pytest.mark.parametrize(
    ("recipe", "can", "message"),
    [
        ("first", {"generate"}, "needs log-probabilities of given answers, and scripted gives free text"),
        ("yes_no", {"generate"}, "log-probabilities of given answers or yes/no scores of pairs"),
        ("icr", {"generate", "choices"}, "needs attention weights"),
        ("rankgpt", {"choices"}, "needs free text"),
        ("rankgpt", set(), "gives nothing a judge can use"),
    ],
)
def test_a_model_that_cannot_is_refused(recipe: str, can: set[Capability], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_reranker(recipe, model=model(can=frozenset(can)))


@pytest.mark.parametrize(
    ("recipe", "limits", "options", "message"),
    [
        ("rankgpt", Limits(images=4), {}, "up to 10 pictures in one prompt, and scripted takes 4"),
        ("full", Limits(images=8), {}, "up to 20 pictures"),
        ("vic", Limits(images=8), {"depth": 4}, "up to 14 pictures"),
        ("first", Limits(choices=5), {}, "10 labels in one prompt"),
        ("first", Limits(), {"schedule": "single", "depth": 30}, "30 candidates under letters"),
        ("unime", Limits(answer_prefix=False), {}, "takes no beginning of an answer"),
    ],
)
def test_a_model_that_takes_too_little_is_refused(
    recipe: str, limits: Limits, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        load_reranker(recipe, model=model(limits=limits), **options)


def test_limits_that_are_kept(texts: Make) -> None:
    assert load_reranker("rankgpt", model=model(limits=Limits(images=10))).depth == 20
    assert load_reranker("full", model=model(limits=Limits(images=5)), depth=5).depth == 5
    assert load_reranker("square", model=model(limits=Limits(images=2))).depth == 20
    assert load_reranker("rankgpt", model=model(limits=Limits(images=0))).depth == 20
    only_texts = load_reranker("rankgpt", model=model(limits=Limits(images=1)), image="text", page="text", video="text")
    assert only_texts.depth == 20


def test_a_longer_list_than_one_prompt_holds_is_said_on_its_record(texts: Make) -> None:
    """Without a depth, how long the list is shows when it comes."""
    judge = load_reranker("first", model=model(), schedule="single", depth=20).with_depth(None)
    long, short = judge.process([texts(30), texts(5)])
    assert (long.outcome, short.outcome) == ("fell_back", "ok")
    assert "30 candidates under letters" in (long.records[0].error or "")


def test_depth_is_the_recipes_own_or_the_callers(texts: Make) -> None:
    assert load_reranker("yes_no", model=model()).depth == 100
    judge = load_reranker("yes_no", model=model(), depth=2)
    assert judge.process([texts(4)])[0].ids[2:] == ("i2", "i3")


def test_options_reach_their_parts() -> None:
    judge = load_reranker(
        "rankgpt",
        model=model(),
        window=8,
        stride=4,
        temperature=0.3,
        n_retries=0,
        max_pixels=5000,
        instruction="Find it.",
    )
    assert repr(judge.schedule) == "Sliding(window=8, stride=4, passes=1)"
    assert (judge.ask.n_retries, judge.ask.temperature) == (0, 0.3)  # type: ignore[attr-defined]
    assert judge.renderer.settings.max_pixels == 5000
    assert judge.layouts["text"].instruction == "Find it."  # type: ignore[attr-defined]


def test_the_form_follows_from_the_models_name(texts: Make) -> None:
    judge = load_reranker("yes_no", model=model("lightonai/MonoQwen2-VL-v0.1"))
    assert judge.form is not None
    assert judge.ask == YesNo(positive="True", negative="False")
    assert judge.layouts["text"].prompt.name == "monoqwen2_vl"  # type: ignore[attr-defined]
    assert "text queries and page images only" in (judge.warning or "")
    plain = load_reranker("yes_no", model=model("org/some-instruct"))
    assert (plain.form, plain.warning) == (None, None)


def test_a_form_is_named_for_a_fine_tune_and_kept_from_settings_the_caller_names() -> None:
    judge = load_reranker("yes_no", model=model("/models/mine"), form="qwen3-vl-reranker")
    layout: Any = judge.layouts["composed"]
    assert (layout.prompt.name, layout.max_tokens_in) == ("qwen3_vl_reranker", 10240)
    assert layout.instruction.startswith("Given a search query")
    assert judge.renderer.settings.max_pixels == 1_843_200
    for options in (
        {"prompt": "pair", "max_pixels": 5000, "positive": "ja", "instruction": "Mine."},
        {
            "layout": {"prompt": "pair", "instruction": "Mine."},
            "rendering": {"max_pixels": 5000},
            "ask": {"positive": "ja"},
        },
    ):
        judge = load_reranker("yes_no", model=model(), form="qwen3-vl-reranker", **options)  # type: ignore[arg-type]
        layout = judge.layouts["text"]
        assert (layout.prompt.name, layout.instruction) == ("pair", "Mine.")
        assert (judge.renderer.settings.max_pixels, judge.ask.positive) == (5000, "ja")  # type: ignore[attr-defined]


def test_a_form_that_needs_a_server_says_so() -> None:
    with pytest.raises(RecipeError, match=r"scores need pairs|needs yes/no scores of pairs"):
        load_reranker("yes_no", model=model("jinaai/jina-reranker-m0"))


def test_more_candidates_than_a_checkpoint_was_trained_on() -> None:
    named = model("TianchengGu/UniME-V2-reranker-Qwen25VL-7B")
    with pytest.raises(RecipeError, match="would show 8 candidates .* trained on 6 at most"):
        load_reranker("unime", model=named, depth=8)
    assert load_reranker("unime", model=named).depth == 5
    assert load_reranker("yes_no", model=named).depth == 100


def test_the_models_warning_and_the_forms_are_both_kept() -> None:
    warned = replace(model("Qwen/Qwen3-VL-Reranker-2B"), warning="Be careful.")
    assert (load_reranker("yes_no", model=warned).warning or "").startswith("Be careful. By its authors'")


def test_json_that_a_backend_cannot_hold_to_is_said_when_it_is_loaded() -> None:
    free = model(limits=Limits(json=False))
    assert "cotrr asks for JSON, to which scripted cannot hold its texts" in (
        load_reranker("cotrr", model=free).warning or ""
    )
    assert load_reranker("cotrr", model=free, json=False).warning is None
    assert load_reranker("cotrr", model=model()).warning is None


@pytest.mark.parametrize(
    ("recipe", "options", "asked"),
    [
        ("yes_no", {}, ("", ("yes", "no"))),
        ("yes_no", {"form": "monoqwen2-vl"}, ("", ("True", "False"))),
        ("first", {"depth": 4}, ("[", ("A", "B", "C", "D"))),
        ("rankfusion", {}, ("", ("A", "B"))),
        ("unime", {"full_order": True, "prefix": "<"}, ("<", ("1", "2", "3", "4", "5"))),
    ],
)
def test_an_answer_that_is_no_single_token_is_refused_when_it_is_loaded(
    recipe: str, options: dict[str, Any], asked: tuple[str, tuple[str, ...]]
) -> None:
    class Looking(Scripted):
        def check_choices(self, prompt: Prompt, choices: Sequence[str]) -> None:
            raise RecipeError(f"{prompt.answer_prefix!r} {tuple(choices)!r}")

    looking = Looking(says=lambda *_: "", capabilities=ALL)
    with pytest.raises(RecipeError) as refused:
        load_reranker(recipe, model=looking, **options)
    assert str(refused.value) == f"{asked[0]!r} {asked[1]!r}"
    for writing in ("rankgpt", "cotrr", "unime", "grouprank", "icr"):
        load_reranker(writing, model=looking)


def test_a_prefix_of_the_asks_own_needs_a_model_that_takes_one() -> None:
    with pytest.raises(RecipeError, match=r"begins the model's answer with '\('"):
        load_reranker(
            "unime", model=model(limits=Limits(answer_prefix=False)), full_order=True, prefix="(", prompt="rankgpt"
        )


@pytest.mark.parametrize("recipe", [recipe.name for recipe in list_recipes()])
def test_a_transcript_played_back_gives_the_same_rankings_without_a_model(
    texts: Make, pictures: Make, tmp_path: Path, recipe: str
) -> None:
    path = tmp_path / "calls.jsonl"
    before = [(pictures if recipe == "square" else texts)(n, Query(text=f"q{n}")) for n in (5, 3, 1, 4)]
    first = load_reranker(recipe, model=knowing(recipe, WORTH), depth=5, transcript=path).process(before)
    again = load_reranker(recipe, replay=path, depth=5).process(before)
    assert again == first
    assert {r.outcome for r in first} == {"ok"}


def test_a_transcript_says_how_answers_were_read(texts: Make, tmp_path: Path) -> None:
    import json

    path = tmp_path / "calls.jsonl"
    said = Scripted(says=lambda p, _d, _t: Generated(text="[2] > [9] > [1]"))
    load_reranker("rankgpt", model=said, transcript=path).process([texts(3)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["line"] for line in lines] == ["model", "call", "parse"]
    parsed = lines[2]["parsed"]
    assert (parsed["order"], parsed["dropped"], parsed["appended"]) == ([1, 0, 2], 1, 1)
    assert parsed["status"] == "repaired"


def test_an_ask_with_words_of_its_own_can_be_recorded(texts: Make, tmp_path: Path) -> None:
    judge = load_reranker(
        "unime", model=knowing("unime", WORTH), transcript=tmp_path / "calls.jsonl", full_order=True, prefix="Best: ("
    )
    (after,) = judge.process([texts(4)])
    assert (list(after.ids), after.outcome) == (sorted(after.ids, key=lambda i: -WORTH[int(i[1:])]), "ok")


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> Any:
    """A real local model; what it says is noise."""
    return mm.load_mllm(str(tiny_folder), device="cpu", threads=1)


@pytest.mark.parametrize("recipe", ["yes_no", "first", "rankgpt", "icr", "square", "rankfusion", "unime"])
def test_a_real_model_runs_recipes_over_pictures(tiny: Any, pictures: Make, recipe: str) -> None:
    options = {} if recipe in ("yes_no", "first", "icr", "rankfusion") else {"max_tokens": 12, "n_retries": 0}
    judge = load_reranker(recipe, model=tiny, depth=4, max_pixels=1024, **options)  # type: ignore[arg-type]
    before = pictures(5)
    (after,) = judge.process([before])
    (record,) = after.records
    assert sorted(after.ids) == sorted(before.ids)
    assert after.ids[4] == "i4"
    assert record.calls == {"yes_no": 4, "first": 1, "icr": 2, "rankfusion": 12}.get(recipe, 1)
    if recipe in ("yes_no", "first", "icr", "rankfusion"):
        assert record.status == "ok"
        assert [h.score for h in after.hits[:4]] == sorted((h.score for h in after.hits[:4]), reverse=True)


def test_a_real_model_scores_a_batch_as_single(tiny: Any, pictures: Make, texts: Make) -> None:
    judge = load_reranker("yes_no", model=tiny, depth=4, max_pixels=1024)
    rankings = [pictures(4), texts(3), pictures(2, Query(text="a cat")), texts(4, "a boat")]
    for one, of_batch in zip([judge.process([r])[0] for r in rankings], judge.process(rankings), strict=True):
        assert one.ids == of_batch.ids
        assert [h.score for h in one] == pytest.approx([h.score for h in of_batch], abs=1e-4)


def test_spec_and_folder(tiny_folder: Path) -> None:
    judge = load_reranker(f"yes_no@{tiny_folder}", device="cpu", threads=1, depth=3)
    assert judge.name == f"yes_no@{tiny_folder}"


def test_a_deadline_in_milliseconds_is_one_in_seconds() -> None:
    assert load_reranker("yes_no", model=model(), deadline_ms=1500).deadline == 1.5
    assert load_reranker("yes_no", model=model(), deadline=1.5).deadline == 1.5
    assert load_reranker("yes_no", model=model()).deadline is None
