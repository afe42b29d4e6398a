"""The loop every ask shares: one batch, only what failed again, every cost counted; and the check before any call."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ONE, Scripted, chooser, prompt, writer

from mmrank.errors import MllmError, RecipeError
from mmrank.mllm.base import MLLM, Choices, Failure, Generated, Limits
from mmrank.rerank.asks import ASKS, ask_class
from mmrank.rerank.asks.first_token import FirstToken
from mmrank.rerank.asks.permutation import Permutation
from mmrank.rerank.asks.yes_no import YesNo
from mmrank.types import Cost

GONE = Failure(error="503", retry=True, retries=1, cost=Cost(seconds=1.0))
REFUSED = Failure(error="400 too long", retry=False)


def test_the_scripted_model_is_an_mllm() -> None:
    assert isinstance(writer("x"), MLLM)


def test_only_what_failed_is_asked_again_and_all_of_it_in_one_batch() -> None:
    says = {"a": ["[2] > [1]"], "b": ["what?", "[2, 1]"], "c": [GONE, "[1] > [2]"], "d": ["no", "no", "[2] > [1]"]}
    mllm = Scripted(says=lambda p, _s, times: says[p.messages[0].parts[0].text][times])  # type: ignore[union-attr]
    prompts = [prompt(word, 2) for word in says]
    answers = Permutation().ask(mllm, prompts, [1, 2, 3, 4])
    assert [a.order for a in answers] == [(1, 0), (1, 0), (0, 1), (1, 0)]
    assert [a.status for a in answers] == ["ok"] * 4
    assert [a.retries for a in answers] == [0, 1, 2, 2]
    assert [a.cost.model_calls for a in answers] == [1, 2, 1, 3]
    assert answers[2].cost.seconds == 1.0
    asked = [[p.text[-1] for p in call.prompts] for call in mllm.calls]
    assert asked == [["a", "b", "c", "d"], ["c"], ["b", "d"], ["d"]]


def test_a_greedy_text_that_could_not_be_read_is_drawn_warmer_and_a_failed_call_is_not() -> None:
    says = {"a": ["?", "?", "[1]"], "b": [GONE, "?", "[1]"]}
    mllm = Scripted(says=lambda p, _s, times: says[p.text[-1]][times])
    Permutation(retry_temperature=0.7).ask(mllm, [prompt("a", 1), prompt("b", 1)], [5, 6])
    drawn = [(call.prompts[0].text[-1], call.detail.temperature, call.detail.seeds) for call in mllm.calls]
    assert [(word, heat) for word, heat, _ in drawn] == [("a", 0.0), ("b", 0.0), ("a", 0.7), ("a", 0.7)]
    assert drawn[0][2] == (5, 6)
    assert len({seed for word, _, seeds in drawn for seed in seeds}) == 6


def test_a_warm_ask_keeps_its_temperature_and_changes_the_seed() -> None:
    mllm = writer("?", "[1]")
    Permutation(temperature=0.2, top_p=0.9, top_k=5, max_tokens=7).ask(mllm, [prompt("a", 1)], [5])
    first, second = (call.detail for call in mllm.calls)
    assert (first.temperature, first.top_p, first.top_k, first.max_tokens) == (0.2, 0.9, 5, 7)
    assert second.temperature == 0.2
    assert first.seeds != second.seeds


def test_what_stays_unread_falls_back_and_what_stays_broken_failed() -> None:
    says = {"a": "no idea", "b": GONE, "c": REFUSED, "d": ""}
    mllm = Scripted(says=lambda p, _s, _t: says[p.text[-1]])
    answers = Permutation(n_retries=1).ask(mllm, [prompt(word, 3) for word in says], [0] * 4)
    assert [a.status for a in answers] == ["fell_back", "failed", "failed", "fell_back"]
    assert [a.order for a in answers] == [(0, 1, 2)] * 4
    assert [a.named for a in answers] == [0] * 4
    assert "no idea" in (answers[0].error or "")
    assert [a.error for a in answers[1:3]] == ["503", "400 too long"]
    assert "nothing" in (answers[3].error or "")
    assert [a.retries for a in answers] == [1, 3, 0, 1]
    assert [a.cost for a in answers[:3]] == [ONE + ONE, GONE.cost + GONE.cost, Cost()]


def test_no_retries_when_none_are_wanted() -> None:
    mllm = writer("?")
    assert Permutation(n_retries=0).ask(mllm, [prompt("a", 2)], [0])[0].status == "fell_back"
    assert len(mllm.calls) == 1


def test_nothing_to_ask_calls_nothing() -> None:
    mllm = writer("?")
    assert Permutation().ask(mllm, [], []) == []
    assert mllm.calls == []


def test_an_error_shows_no_more_than_the_beginning_and_says_when_it_was_cut() -> None:
    mllm = writer(Generated(text="x" * 5000, cut=True))
    error = Permutation(n_retries=0, max_tokens=99).ask(mllm, [prompt("a", 2)], [0])[0].error or ""
    assert len(error) < 300
    assert "cut off" in error
    assert "max_tokens=" in error


def test_every_prompt_has_a_seed() -> None:
    with pytest.raises(ValueError, match="2 prompts came with 1 seeds"):
        Permutation().ask(writer("[1]"), [prompt("a", 1), prompt("b", 1)], [0])


class Short(Scripted):
    """A backend that loses results."""

    def generate(self, prompts: object, sampling: object) -> list[Generated | Failure]:
        return []

    def choice_logprobs(self, prompts: object, choices: object) -> list[Choices | Failure]:
        return [Choices(logprobs=(0.0,))]


def test_a_backend_that_breaks_its_contract_is_said_to() -> None:
    broken = Short(says=lambda *_: "", capabilities=frozenset({"generate", "choices"}))
    with pytest.raises(MllmError, match="0 results for 1 prompts"):
        Permutation().ask(broken, [prompt("a", 2)], [0])
    with pytest.raises(MllmError, match="1 log-probabilities for 2 choices"):
        YesNo().ask(broken, [prompt("a")], [0])


def test_a_model_that_cannot_is_refused_before_any_call_with_what_to_do() -> None:
    mllm = writer("x")
    with pytest.raises(RecipeError, match=r"'first_token' needs log-probabilities.*scripted gives free text.*logprobs"):
        FirstToken().check(mllm)
    with pytest.raises(RecipeError, match="needs attention weights.*hub id or a folder"):
        ask_class("attention")().check(mllm)
    with pytest.raises(RecipeError, match="log-probabilities of given answers or yes/no scores of pairs"):
        YesNo().ask(mllm, [prompt("a")], [0])
    with pytest.raises(RecipeError, match="nothing a judge can use"):
        Permutation().check(Scripted(says=lambda *_: "", capabilities=frozenset()))
    assert mllm.calls == []


def test_more_labels_than_the_model_scores_is_refused() -> None:
    mllm = chooser(lambda _p, c: [0.0] * len(c), limit=5)
    FirstToken().check(mllm, 5)
    assert FirstToken().max_labels(mllm) == 5
    with pytest.raises(RecipeError, match="6 labels.*5 at most"):
        FirstToken().check(mllm, 6)
    with pytest.raises(RecipeError, match="6 labels"):
        FirstToken().ask(mllm, [prompt("a", 2), prompt("b", 6)], [0, 0])
    assert mllm.limits == Limits(choices=5)


@pytest.mark.parametrize("kind", ASKS)
def test_every_kind_is_made_by_name_and_checks_its_settings(kind: str) -> None:
    made = ask_class(kind)()
    assert made.name == kind
    assert made.needs
    assert made.tokens_out(10) >= 1
    with pytest.raises(RecipeError, match="top_k=0; max_tokens and top_k must be 1 or more"):
        Permutation(top_k=0)
    with pytest.raises(RecipeError, match="n_retries"):
        ask_class(kind)(n_retries=-1)


def test_asks_and_parsers_load_no_model_library() -> None:
    code = "import sys, mmrank.rerank.asks; print(sorted({'torch', 'transformers', 'httpx'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean permutation"):
        ask_class("permutatoin")
    with pytest.raises(RecipeError, match="there are yes_no"):
        ask_class("zzz")


@pytest.mark.parametrize(
    "settings_", [{"max_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"format": "xml"}, {"top": 0}]
)
def test_settings_that_cannot_be_are_refused(settings_: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="permutation"):
        ask_class("permutation")(**settings_)  # type: ignore[arg-type]


said = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["[2] > [1]", "[1, 1, 9]", "(2)", '{"[1]": 3}', "<score>7</score>", "A", "tie", "NONE", "<think>"]),
    st.builds(Generated, text=st.text(max_size=10), cut=st.booleans()),
    st.builds(Failure, error=st.just("e"), retry=st.booleans()),
)
number = st.one_of(st.none(), st.floats(-1e6, 0.0), st.sampled_from([math.nan, math.inf, -math.inf]))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([kind for kind in ASKS if kind != "attention"]), st.integers(1, 6))
def test_whatever_a_model_says_every_answer_is_a_permutation_with_its_cost(
    data: st.DataObject, kind: str, count: int
) -> None:
    """The law of rerankers, held where it begins."""
    ask = ask_class(kind)()
    if kind == "duel":
        count = 2
    elif kind in ("yes_no", "rubric_score"):
        count = 1
    scores = "choices" in ask.needs and data.draw(st.booleans())

    def says(_prompt: object, choices: object, _times: int) -> object:
        if not isinstance(choices, tuple | list):
            return data.draw(said)
        return data.draw(st.one_of(st.lists(number, min_size=len(choices), max_size=len(choices)), st.just(REFUSED)))

    able = frozenset({"choices"}) if scores or kind in ("yes_no", "first_token") else frozenset({"generate"})
    mllm = Scripted(says=says, capabilities=able)  # type: ignore[arg-type]
    asked = [prompt(str(i), count) for i in range(3)]
    answers = ask.ask(mllm, asked, [1, 2, 3])
    assert len(answers) == 3
    for answer in answers:
        assert sorted(answer.order) == list(range(count))
        assert 0 <= answer.named <= count
        assert answer.scores == () or len(answer.scores) == count
        assert all(s is None or math.isfinite(s) for s in answer.scores)
        assert (answer.status == "ok") == (answer.error is None)
        if answer.status in ("failed", "fell_back"):
            assert answer.named == 0
    assert sum(a.retries for a in answers) == sum(len(call.prompts) for call in mllm.calls) - 3
