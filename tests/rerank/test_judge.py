"""The judge: the laws over whatever a model says, one batch for all queries, and what is said when things go wrong."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from knowing import ALL, knowing, shown
from scripted import ONE, Scripted

from mmrank.errors import MllmError, RecipeError
from mmrank.mllm.base import Choices, Failure, Generated, Limits
from mmrank.mllm.prompt import Prompt
from mmrank.rerank.load import load_reranker
from mmrank.rerank.recipe import list_recipes
from mmrank.types import Cost, Hit, Item, Query, Ranking

Make = Callable[..., Ranking]
RECIPES = [recipe.name for recipe in list_recipes()]
WORTH = [float(w) for w in Random(5).sample(range(100), 30)]

TEXTS = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")),
    st.lists(st.integers(-2, 30), max_size=14).map(lambda n: " > ".join(f"[{i}]" for i in n)),
    st.lists(st.integers(-2, 30), max_size=14).map(lambda n: f"<think>[1] > [2]</think><answer>{n}</answer>"),
    st.lists(st.integers(0, 30), max_size=14).map(lambda n: f'{{"a": {{"top_indices": {n}}}, "b": [[1], 2]}}'),
    st.dictionaries(st.integers(0, 12), st.floats(), max_size=12).map(lambda d: f"<answer>{d}</answer>"),
    st.floats().map(lambda x: f"<score>{x}</score>"),
    st.sampled_from(["A", "B > A", "NONE", "3)", "", "yes", "<think>" * 30, "[" * 400, "1" * 500, "\ud800", "tie"]),
)
NUMBERS = st.one_of(st.none(), st.floats(), st.floats(-5, 0))


class Chaos(Scripted):
    """Answers drawn from pools, with failures of both kinds, and a count of what was answered."""

    def __init__(self, texts: Sequence[str], numbers: Sequence[float | None], seed: int, capabilities: Any) -> None:
        self.random = Random(seed)
        self.texts, self.numbers = texts, numbers
        self.answered = 0
        super().__init__(says=self.any_answer, capabilities=capabilities)

    def any_answer(self, prompt: Prompt, detail: Any, _times: int) -> object:
        self.answered += 1
        kind = self.random.random()
        if kind < 0.2:
            return Failure(error="a fault", retry=kind < 0.1, retries=self.random.randint(0, 2), cost=ONE)
        draw = lambda: self.random.choice(self.numbers)  # noqa: E731
        if detail is None:
            return {str(i): [draw() or 0.0] for i in range(max(1, len(prompt.labels)))}
        if isinstance(detail, Sequence):
            return [draw() for _ in detail]
        return Generated(text=self.random.choice(self.texts), cut=kind > 0.8, cost=ONE)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # infinite attention is among what a model says here
@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 14), min_size=1, max_size=3),
    st.lists(TEXTS, min_size=1, max_size=5),
    st.lists(NUMBERS, min_size=1, max_size=5),
    st.integers(0, 99),
    st.integers(1, 12),
    st.booleans(),
)
@example([7], [""], [None], 0, 5, False)
def test_the_same_items_come_out_whatever_a_model_says(
    texts: Make, recipe: str, counts: list[int], said: list[str], numbers: Any, seed: int, depth: int, words_only: bool
) -> None:
    words = recipe == "rankfusion" and words_only
    model = Chaos(said, numbers, seed, frozenset({"generate"}) if words else ALL)
    judge = load_reranker(recipe, model=model, depth=min(depth, 5) if recipe == "unime" else depth)
    before = [texts(n, Query(text="q", id=f"q{i}")) for i, n in enumerate(counts)]
    after = judge.process(before)
    for old, new in zip(before, after, strict=True):
        assert sorted(new.ids) == sorted(old.ids)
        assert new.ids[judge.depth :] == old.ids[judge.depth :]
        assert new.hits[judge.depth :] == old.hits[judge.depth :]
        for hit in new.hits:
            was = next(h for h in old.hits if h.id == hit.id)
            assert hit.score == was.score or hit.trace[0].score == was.score
            assert hit.score == hit.score
        if not old.hits:
            assert new.records == ()
            continue
        (record,) = new.records
        assert record.calls == record.cost.model_calls
        assert (record.status == "fell_back") <= (new.ids == old.ids)
        assert record.status in ("ok", "repaired", "fell_back")
        assert record.error or record.status != "fell_back"
        if record.status == "ok":
            assert record.error is None
            assert not record.dropped
    assert sum(r.cost.model_calls for ranking in after for r in ranking.records) == model.answered


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_batch_is_judged_as_each_query_alone_and_a_round_is_one_call(
    texts: Make, pictures: Make, recipe: str
) -> None:
    depth = 5 if recipe == "unime" else 12
    made = pictures if recipe == "square" else texts
    rankings = [made(3 + i % 12, Query(text=f"query {i}")) for i in range(20)]
    alone, rounds = [], []
    for ranking in rankings:
        model = knowing(recipe, WORTH)
        alone += load_reranker(recipe, model=model, depth=depth).process([ranking])
        rounds.append(len(model.calls))
    together = knowing(recipe, WORTH)
    assert [r.ids for r in load_reranker(recipe, model=together, depth=depth).process(rankings)] == [
        r.ids for r in alone
    ]
    assert len(together.calls) == max(rounds)
    assert {r.outcome for r in alone} == {"ok"}


def test_judged_hits_carry_the_judges_score_and_the_first_stages_in_their_trace(texts: Make) -> None:
    judge = load_reranker("yes_no", model=knowing("yes_no", WORTH), depth=4)
    (after,) = judge.process([texts(6)])
    assert [hit.score for hit in after.hits[:4]] == sorted(WORTH[:4], reverse=True)
    for hit in after.hits[:4]:
        number = int(hit.id[1:])
        assert (hit.stage, hit.trace[0].stage) == ("yes_no@scripted", "first")
        assert (hit.trace[0].score, hit.trace[0].rank) == (1 - number / 100, number + 1)
    assert [(hit.id, hit.stage, hit.score) for hit in after.hits[4:]] == [("i4", "first", 0.96), ("i5", "first", 0.95)]


def test_an_order_does_not_borrow_the_old_scores(texts: Make) -> None:
    (after,) = load_reranker("rankgpt", model=knowing("rankgpt", WORTH)).process([texts(4)])
    assert [hit.score for hit in after.hits] == [4.0, 3.0, 2.0, 1.0]
    (after,) = load_reranker("icr", model=knowing("icr", WORTH)).process([texts(4)])
    assert [hit.score for hit in after.hits] == pytest.approx(sorted(WORTH[:4], reverse=True))


def test_a_candidate_without_an_answer_keeps_its_score_behind_the_judged(texts: Make) -> None:
    def says(prompt: Prompt, _detail: Any, _times: int) -> object:
        return Failure(error="too dark") if shown(prompt) == [0] else [-1.0, -2.0]

    judge = load_reranker("yes_no", model=Scripted(says=says, capabilities=ALL))
    (after,) = judge.process([texts(3)])
    assert after.ids == ("i1", "i2", "i0")
    assert (after.hits[2].score, after.hits[2].stage, after.hits[2].trace) == (1.0, "first", ())
    assert (after.outcome, after.records[0].error) == ("repaired", "too dark")


def test_what_cannot_be_opened_is_left_out_and_named(pictures: Make, tmp_path: Path) -> None:
    before = pictures(4)
    broken = Item(id="broken", kind="image", uri=str(tmp_path / "none.png"))
    hits = [before.hits[0], Hit(item=broken, score=0.995), *before.hits[1:]]
    model = knowing("first", WORTH)
    (after,) = load_reranker("first", model=model).process([Ranking(query=before.query, hits=hits)])
    assert len(model.calls[0].prompts[0].labels) == 4
    assert after.ids[-1] == "broken"
    assert list(after.ids[:-1]) == sorted(before.ids, key=lambda i: -WORTH[int(i[1:])])
    (record,) = after.records
    assert record.status == "repaired"
    assert re.match(r"not shown to the judge: .*none\.png", record.error or "")


def test_what_has_no_place_on_a_sheet_is_left_out_and_named(pictures: Make, texts: Make) -> None:
    note = Hit(item=Item(id="note", kind="text", text="doc9."), score=2.0)
    before = pictures(4)
    judge = load_reranker("square", model=knowing("square", WORTH))
    (after,) = judge.process([Ranking(query=before.query, hits=[note, *before.hits])])
    assert list(after.ids) == [*sorted(before.ids, key=lambda i: -WORTH[int(i[1:])]), "note"]
    assert "note was not shown: a sheet shows" in (after.records[0].error or "")
    (after,) = judge.process([texts(3)])
    assert after.outcome == "fell_back"


def test_nothing_can_be_opened(tmp_path: Path) -> None:
    hits = [Hit(item=Item(id=f"x{i}", kind="image", uri=str(tmp_path / f"{i}.png")), score=0.0) for i in range(5)]
    model = knowing("yes_no", WORTH)
    (after,) = load_reranker("yes_no", model=model).process([Ranking(query=Query(text="q"), hits=hits)])
    assert after.ids == ("x0", "x1", "x2", "x3", "x4")
    (record,) = after.records
    assert (record.status, record.calls, model.calls) == ("fell_back", 0, [])
    assert "none of the candidates" in (record.error or "")
    assert "and 3 more" in (record.error or "")


def test_a_reference_that_cannot_be_opened_stops_its_own_query_only(pictures: Make, tmp_path: Path) -> None:
    lost = pictures(4, Query(text="at night", image=str(tmp_path / "gone.png")))
    good = pictures(4)
    judge = load_reranker("yes_no", model=knowing("yes_no", WORTH))
    one, other = judge.process([lost, good])
    assert (one.ids, one.outcome) == (lost.ids, "fell_back")
    assert "the query's own picture" in (one.records[0].error or "")
    assert "gone.png" in (one.records[0].error or "")
    assert other.outcome == "ok"
    assert other.ids != good.ids


def test_a_query_that_the_words_are_not_made_for_is_named(pictures: Make, picture_folder: Path) -> None:
    judge = load_reranker("yes_no", model=knowing("yes_no", WORTH), form="monoqwen2-vl")
    composed = pictures(4, Query(text="at night", image=str(picture_folder / "9.png")))
    one, other = judge.process([composed, pictures(4)])
    assert (one.ids, one.outcome) == (composed.ids, "fell_back")
    assert "made for text queries" in (one.records[0].error or "")
    assert other.outcome == "ok"


@pytest.mark.parametrize("query", [Query(), Query(text="  ")])
def test_an_empty_query_is_named(texts: Make, query: Query) -> None:
    (after,) = load_reranker("rankgpt", model=knowing("rankgpt", WORTH)).process([texts(3, query)])
    assert after.outcome == "fell_back"
    assert "is empty" in (after.records[0].error or "")


class Gone(Scripted):
    """A backend that is lost after some batches."""

    def __init__(self, batches: int) -> None:
        super().__init__(says=knowing("rankgpt", WORTH).says)
        self.left = batches

    def generate(self, prompts: Sequence[Prompt], sampling: Any) -> list[Generated | Failure]:
        if not self.left:
            raise MllmError("The server does not answer.")
        self.left -= 1
        return super().generate(prompts, sampling)


@pytest.mark.parametrize("batches", [0, 1])
def test_a_lost_backend_leaves_every_query_as_it_was(texts: Make, batches: int) -> None:
    before = [texts(14, f"q{i}") for i in range(3)]
    after = load_reranker("rankgpt", model=Gone(batches)).process(before)
    assert [r.ids for r in after] == [r.ids for r in before]
    assert {(r.outcome, r.records[0].error) for r in after} == {("fell_back", "The server does not answer.")}
    assert [r.cost.model_calls for r in after] == [batches] * 3
    judge = load_reranker("rankgpt", model=Gone(batches), strict=True)
    named = [texts(14, Query(text="q", id=f"q{i}")) for i in range(3)]
    with pytest.raises(MllmError, match=r"q0.*fell_back.*does not answer"):
        judge.process(named)


def test_what_a_backend_shows_of_itself_while_it_is_asked_is_noted(texts: Make) -> None:
    model = knowing("rankgpt", WORTH)
    says = model.says

    def learning(prompt: Prompt, detail: Any, times: int) -> object:
        model.warning = "It takes no seed."
        return says(prompt, detail, times)

    model.says = learning
    judge = load_reranker("rankgpt", model=model)
    first, second = judge.process([texts(3)]), judge.process([texts(3)])
    assert (first[0].outcome, first[0].records[0].note) == ("ok", "It takes no seed.")
    assert second[0].records[0].note is None  # said once


class Refusing(Scripted):
    """Refuses a whole batch when a label in it is no single token, as backends do."""

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        if any("C" in given for given in choices):
            raise RecipeError("'C' is 2 tokens for this model, and a choice must be one.")
        return super().choice_logprobs(prompts, choices)


def test_what_a_model_cannot_be_asked_costs_its_own_queries_only(texts: Make) -> None:
    model = Refusing(says=knowing("first", WORTH).says, capabilities=ALL)
    before = [texts(n, Query(text=f"q{n}")) for n in (2, 3, 2, 5, 2)]
    after = load_reranker("first", model=model).process(before)
    assert [ranking.outcome for ranking in after] == ["ok", "fell_back", "ok", "fell_back", "ok"]
    for old, new in zip(before, after, strict=True):
        if new.outcome == "ok":
            assert new.ids == tuple(sorted(old.ids, key=lambda i: -WORTH[int(i[1:])]))
        else:
            assert new.ids == old.ids
            assert new.records[-1].error == "'C' is 2 tokens for this model, and a choice must be one."
    with pytest.raises(MllmError, match="'C' is 2 tokens"):
        load_reranker("first", model=model, strict=True).process(before)


def test_strict_raises_for_a_candidate_that_got_no_answer(texts: Make) -> None:
    model = Scripted(says=lambda p, _d, _t: Failure(error="too dark"), capabilities=ALL)
    with pytest.raises(MllmError, match="too dark"):
        load_reranker("yes_no", model=model, strict=True).process([texts(2)])
    assert load_reranker("yes_no", model=knowing("yes_no", WORTH), strict=True).process([texts(2)])[0].outcome == "ok"


class Slow(Scripted):
    """A model that takes its time for each batch."""

    seconds = 0.15

    def generate(self, prompts: Sequence[Prompt], sampling: Any) -> list[Generated | Failure]:
        time.sleep(self.seconds)
        return super().generate(prompts, sampling)

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        time.sleep(self.seconds)
        return super().choice_logprobs(prompts, choices)


def slow(recipe: str) -> Slow:
    return Slow(says=knowing(recipe, WORTH).says, capabilities=ALL)


@pytest.mark.parametrize(("both", "seconds"), [(False, 0.1), (True, 0.44)])
def test_out_of_time_a_window_carries_what_it_had(texts: Make, both: bool, seconds: float) -> None:
    """Windows of 4 with stride 2 over 8: the first orders the last four, and the others keep their places."""
    before = texts(8)
    judge = load_reranker("rankgpt", model=slow("rankgpt"), window=4, stride=2, both_orders=both, deadline=seconds)
    (after,) = judge.process([before])
    last = sorted(before.ids[4:], key=lambda i: -WORTH[int(i[1:])])
    assert list(after.ids) == [*before.ids[:4], *last]
    (record,) = after.records
    assert record.status == "partial"
    assert record.error == f"out of time after {seconds:g} s; {1 + both} questions had been answered"
    assert record.calls == 1 + both
    assert [hit.stage for hit in after.hits] == ["first"] * 4 + ["rankgpt@scripted"] * 4


@pytest.mark.parametrize("method", ["bubble", "heap"])
def test_out_of_time_a_sort_answers_with_its_order_so_far(texts: Make, method: str) -> None:
    model = slow("rankfusion")
    model.seconds = 0.03
    judge = load_reranker("rankfusion", model=model, method=method, deadline=0.1)
    before = texts(8)
    (after,) = judge.process([before])
    assert (after.outcome, sorted(after.ids)) == ("partial", sorted(before.ids))
    assert 0 < after.cost.model_calls < 56


def test_out_of_time_early_exit_keeps_what_it_scored(texts: Make) -> None:
    judge = load_reranker("yes_no", model=slow("yes_no"), schedule="early_exit", k=3, patience=9, deadline=0.4)
    before = texts(8)
    (after,) = judge.process([before])
    done = after.cost.model_calls
    assert 0 < done < 8
    best = sorted(before.ids[:done], key=lambda i: -WORTH[int(i[1:])])
    assert list(after.ids) == [*best, *before.ids[done:]]
    assert after.outcome == "partial"
    assert after.records[0].note is None  # those that were not asked would have been


class Paced(Scripted):
    """A yes/no model that takes as long for each question, and notes how many it was asked at a time."""

    batch_tokens: int | None = None
    each = 0.02

    def __init__(self) -> None:
        super().__init__(says=knowing("yes_no", WORTH).says, capabilities=ALL)
        self.sizes: list[int] = []

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        self.sizes.append(len(prompts))
        time.sleep(self.each * len(prompts))
        return super().choice_logprobs(prompts, choices)

    def count_tokens(self, prompt: Prompt) -> int:
        return 100


def test_a_deadline_holds_inside_one_long_round(texts: Make) -> None:
    """Twelve questions of 0.02 s are one round of a pointwise schedule."""
    model, before = Paced(), texts(12)
    started = time.monotonic()
    (after,) = load_reranker("yes_no", model=model, deadline_ms=120).process([before])
    assert time.monotonic() - started < 12 * model.each
    done = after.cost.model_calls
    assert 0 < done == sum(model.sizes) < 12
    best = sorted(before.ids[:done], key=lambda i: -WORTH[int(i[1:])])
    assert list(after.ids) == [*best, *before.ids[done:]]
    assert after.outcome == "partial"
    assert after.records[0].error == f"out of time after 0.12 s; {done} questions had been answered"
    assert [hit.stage for hit in after.hits] == ["yes_no@scripted"] * done + ["first"] * (12 - done)


def test_short_of_time_all_queries_get_their_first_answers(texts: Make) -> None:
    model = Paced()
    rankings = [texts(12, Query(text="q", id=f"q{i}")) for i in range(2)]
    after = load_reranker("yes_no", model=model, deadline=0.15).process(rankings)
    counts = [ranking.cost.model_calls for ranking in after]
    assert max(counts) - min(counts) <= 1
    assert min(counts) > 0
    assert max(counts) < 12


def test_a_deadline_with_time_to_spare_changes_nothing(texts: Make) -> None:
    model = Paced()
    model.each = 0.0
    whole = load_reranker("yes_no", model=model).process([texts(12)])
    portions = load_reranker("yes_no", model=model, deadline=60).process([texts(12)])
    assert model.sizes[0] == 12
    assert sum(model.sizes[1:]) == 12
    assert [(h.id, h.score) for h in portions[0]] == [(h.id, h.score) for h in whole[0]]
    assert portions[0].records[0].status == "ok"


def test_progress_is_told_within_a_round_in_whole_batches(texts: Make) -> None:
    """Batches of five prompts of 100 tokens; the second word comes after two of them, for the first was quick."""
    told: list[tuple[int, int]] = []
    model = Paced()
    model.each = 0.0
    model.batch_tokens = 500
    load_reranker("yes_no", model=model, progress=lambda *now: told.append(now)).process([texts(12)])
    assert model.sizes == [5, 7]
    assert told == [(5, 12), (12, 12)]


def test_without_a_deadline_or_a_watcher_a_round_is_one_batch(texts: Make) -> None:
    model = Paced()
    model.each, model.batch_tokens = 0.0, 100
    load_reranker("yes_no", model=model).process([texts(12)])
    assert model.sizes == [12]


def test_early_exit_says_how_many_it_did_not_ask(texts: Make) -> None:
    judge = load_reranker("yes_no", model=knowing("yes_no", WORTH), schedule="early_exit", k=2, patience=1)
    (after,) = judge.process([texts(8)])
    asked = after.cost.model_calls
    assert asked < 8
    assert after.records[0].note == f"{8 - asked} of 8 candidates not asked: early exit"
    assert after.outcome == "ok"


def test_a_cascade_asks_only_where_the_best_could_still_change(texts: Make) -> None:
    """The first judge's scores are the second's: with a margin of 0 the second asks for the best two alone."""
    cheap = load_reranker("yes_no", model=knowing("yes_no", WORTH), depth=6)
    dear = load_reranker("yes_no", model=knowing("yes_no", WORTH), schedule="early_exit", k=2, margin=0.0)
    before = texts(8)
    (after,) = (cheap >> dear).process([before])
    assert after.records[1].calls == 2
    assert after.records[1].note == "6 of 8 candidates not asked: early exit"
    (alone,) = cheap.process([before])
    assert after.ids == alone.ids


def test_out_of_time_before_the_first_question(texts: Make) -> None:
    model = knowing("yes_no", WORTH)
    (after,) = load_reranker("yes_no", model=model, deadline=1e-9).process([texts(3)])
    assert (after.ids, after.outcome, model.calls) == (("i0", "i1", "i2"), "fell_back", [])
    assert "out of time" in (after.records[0].error or "")


def parses(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(call, what the judge made of it) for each parse line of a transcript."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    calls = {line["key"]: line for line in lines if line["line"] == "call"}
    return [(calls[line["key"]], line["parsed"]) for line in lines if line["line"] == "parse"]


def test_every_sample_is_noted_with_its_own_call(texts: Make, tmp_path: Path) -> None:
    def says(_prompt: Prompt, sampling: Any, _times: int) -> object:
        return f"<score>{sampling.seed % 100}</score>"

    path = tmp_path / "calls.jsonl"
    load_reranker("retro", model=Scripted(says=says), samples=3, transcript=path).process([texts(2)])
    noted = parses(path)
    assert len(noted) == len({call["key"] for call, _ in noted}) == 6
    assert all(parsed["scores"] == [call["asked"]["seed"] % 100] for call, parsed in noted)


def test_a_call_in_other_words_than_the_layouts_is_noted_too(texts: Make, tmp_path: Path) -> None:
    """An ask may reword a prompt, and asks an unreadable one again."""
    path = tmp_path / "calls.jsonl"
    judge = load_reranker("unime", model=knowing("unime", WORTH), full_order=True, prefix="(", transcript=path)
    judge.process([texts(3)])
    ((call, parsed),) = parses(path)
    assert call["prompt"]["answer_prefix"] == "("
    assert parsed["named"] == 3
    path = tmp_path / "again.jsonl"
    tries = Scripted(says=lambda _p, _s, times: "what?" if times == 0 else "[2] > [1]")
    load_reranker("full", model=tries, transcript=path).process([texts(2)])
    ((call, parsed),) = parses(path)
    assert (call["result"]["text"], parsed["order"], parsed["retries"]) == ("[2] > [1]", [1, 0], 1)


def test_progress_counts_questions(texts: Make) -> None:
    seen: list[tuple[int, int]] = []
    judge = load_reranker(
        "rankgpt",
        model=knowing("rankgpt", WORTH),
        window=4,
        stride=2,
        progress=lambda done, known: seen.append((done, known)),
    )
    judge.process([texts(8), texts(3)])
    assert seen == [(2, 3), (3, 4), (4, 4)]


def test_agreement_of_both_orders_is_noted(texts: Make) -> None:
    judge = load_reranker("full", model=knowing("full", WORTH), both_orders=True)
    (after,) = judge.process([texts(6)])
    assert (after.records[0].note, after.records[0].status) == ("both orders agree on 100% of pairs", "ok")


def test_more_pictures_than_the_model_takes_are_named_and_texts_are_not_counted(pictures: Make, texts: Make) -> None:
    blind = replace(knowing("rankgpt", WORTH), limits=Limits(images=0))
    one, other = load_reranker("rankgpt", model=blind).process([pictures(3), texts(3)])
    assert one.outcome == "fell_back"
    assert "reads text only" in (one.records[0].error or "")
    assert other.outcome == "ok"


def test_blend_with_first_stage_scores_that_are_not_finite(texts: Make) -> None:
    before = texts(3)
    odd = Ranking(query=before.query, hits=[replace(before.hits[0], score=float("inf")), *before.hits[1:]])
    judge = load_reranker("yes_no", model=knowing("yes_no", WORTH), blend=0.5)
    one, other = judge.process([odd, before])
    assert "not blended" in (one.records[0].note or "")
    assert list(one.ids) == sorted(before.ids, key=lambda i: -WORTH[int(i[1:])])
    assert other.records[0].note is None
    assert {hit.score for hit in other.hits} >= {0.5}


def test_pruning_by_scores_that_are_not_finite_stops_its_own_query_only(texts: Make) -> None:
    before = texts(5)
    odd = Ranking(query=before.query, hits=[replace(before.hits[0], score=float("nan")), *before.hits[1:]])
    judge = load_reranker("yes_no", model=knowing("yes_no", WORTH), schedule={"kind": "early_exit", "k": 2, "alpha": 1})
    one, other = judge.process([odd, before])
    assert (one.outcome, other.outcome) == ("fell_back", "ok")
    assert "early_exit" in (one.records[0].error or "")


def test_costs_are_the_answers_costs(texts: Make) -> None:
    model = Scripted(
        says=lambda p, _d, _t: Generated(text="[2] > [1]", cost=Cost(model_calls=1, tokens_in=7, tokens_out=5)),
    )
    (after,) = load_reranker("full", model=model).process([texts(2)])
    assert after.cost == Cost(model_calls=1, tokens_in=7, tokens_out=5)


def test_text_that_was_left_out_is_noted(texts: Make) -> None:
    model = Scripted(says=lambda p, _d, _t: Generated(text="[2] > [1]", cost=ONE, shortened=12))
    (after,) = load_reranker("full", model=model).process([texts(2)])
    assert (after.outcome, after.ids) == ("ok", ("i1", "i0"))
    assert after.records[0].note == "12 tokens of text were left out to keep the model's limit"


def test_the_seed_and_the_querys_id_decide_what_is_shown(texts: Make) -> None:
    def asked(seed: int, name: str) -> list[str]:
        model = knowing("psc", WORTH)
        load_reranker("psc", model=model, seed=seed).process([texts(6, Query(text="q", id=name))])
        return [prompt.text for prompt in model.calls[0].prompts]

    assert asked(0, "a") == asked(0, "a")
    assert asked(0, "a") != asked(1, "a")
    assert asked(0, "a") != asked(0, "b")


def test_a_judge_is_a_stage_that_prints_and_deepens(texts: Make) -> None:
    judge = load_reranker("rankgpt", model=knowing("rankgpt", WORTH), depth=3)
    assert repr(judge) == "load_reranker('rankgpt@scripted', depth=3)"
    deeper = judge.with_depth(6)
    assert (judge.depth, deeper.depth) == (3, 6)
    assert (judge >> deeper).process([texts(6)])[0].outcome == "ok"


def test_own_items_are_ranked_without_an_index() -> None:
    judge = load_reranker("yes_no", model=knowing("yes_no", WORTH))
    items = [Item(id=f"i{n}", kind="text", text=f"doc{n}.") for n in range(5)]
    assert list(judge.rank("a dog", items).ids) == sorted((i.id for i in items), key=lambda i: -WORTH[int(i[1:])])
