"""Asks with the prompts the package ships: an answer in the form a prompt asks for is read as it is meant."""

from __future__ import annotations

import pytest
from scripted import Scripted, writer

from mmrank.mllm.prompt import Prompt, TextPart
from mmrank.prompts import load_prompt
from mmrank.rerank.asks import ask_class
from mmrank.rerank.layouts import ListLayout, PairLayout, Slot
from mmrank.types import Hit, Item, Query

TEXTS = ("a cat", "a dog on grass", "two dogs", "a boat")


def shipped(name: str, count: int = 4) -> Prompt:
    """A prompt made of a shipped prompt file, for text candidates."""
    slots = [
        Slot(Hit(item=Item(id=str(i), kind="text", text=text), score=0.0), (TextPart(text=text, data=True),))
        for i, text in enumerate(TEXTS[:count])
    ]
    file = load_prompt(name)
    return (PairLayout(file) if file.layout == "pair" else ListLayout(file))(Query(text="dogs"), (), slots)


@pytest.mark.parametrize(
    ("name", "kind", "settings", "text"),
    [
        ("rankgpt", "permutation", {"format": "brackets"}, "[3] > [2] > [1] > [4]"),
        ("first", "permutation", {"format": "brackets"}, "C] > [B] > [A] > [D]"),
        ("jointrank", "permutation", {"format": "spaces"}, "3 2 1 4"),
        ("cotrr_text", "reasoned_permutation", {"format": "json"}, '{"CoT": "[1, 2]", "top_4_indices": [3, 2, 1, 4]}'),
        ("mm_r5", "reasoned_permutation", {}, "<think>Image 1 ... [1, 2]</think><answer>[3, 2, 1, 4]</answer>"),
        ("vic_t2v", "permutation", {"format": "list"}, "[3, 2, 1, 4]"),
        ("grouprank", "group_scores", {}, '<reason>a [1]: 9</reason><answer>{"[1]": 2, "[2]": 5, "[3]": 9, "[4]": 0}'),
    ],
)
def test_whole_orders(name: str, kind: str, settings: dict[str, str], text: str) -> None:
    ask = ask_class(kind)(n_retries=0, **settings)  # type: ignore[arg-type]
    [answer] = ask.ask(writer(text), [shipped(name)], [0])
    assert (answer.order, answer.named, answer.status) == ((2, 1, 0, 3), 4, "ok")


@pytest.mark.parametrize("text", ["3)", "3", "3) two dogs"])
def test_one_choice_behind_the_trained_prefix(text: str) -> None:
    [answer] = ask_class("choose_one")(n_retries=0).ask(writer(text), [shipped("unime_list")], [0])
    assert (answer.order, answer.status) == ((2, 0, 1, 3), "ok")


def test_duel_rubric_and_none() -> None:
    [answer] = ask_class("duel")().ask(writer("B"), [shipped("duel", 2)], [0])
    assert answer.order == (1, 0)
    graded = "1. a 2. b 3. 60 to 79 <score>64</score>"
    [answer] = ask_class("rubric_score")().ask(writer(graded), [shipped("rubric", 1)], [0])
    assert answer.scores == (64.0,)
    [answer] = ask_class("permutation")(format="spaces").ask(writer("NONE"), [shipped("jointrank")], [0])  # type: ignore[call-arg]
    assert (answer.named, answer.status) == (0, "ok")


def test_attention_finds_every_span_of_the_reversed_list() -> None:
    spans = {str(i): [float(i)] for i in range(4)}
    empty = {str(i): [0.0] for i in range(4)}
    mllm = Scripted(
        says=lambda p, _d, _t: empty if "Query: N/A" in p.text else spans, capabilities=frozenset({"attention"})
    )
    made = shipped("icr")
    [answer] = ask_class("attention")().ask(mllm, [made], [0])
    assert answer.order == (3, 2, 1, 0)
    assert made.text.index("a boat") < made.text.index("a cat") < made.text.index("Query: ")
