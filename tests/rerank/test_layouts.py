"""Layouts: prompts whose labels name slots, whose data is quoted, and whose shared prefix is shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrank.errors import RecipeError, UsageError
from mmrank.mllm.prompt import ImagePart, Part, Picture, Prompt, TextPart
from mmrank.prompts import load_prompt, prompt_names
from mmrank.rerank.layouts import Layout, ListLayout, PairLayout, SheetLayout, Slot, query_kind
from mmrank.types import Hit, Item, Query

DOCUMENT_FIRST = {"jina_m0", "monoqwen2_vl", "pair_document_first"}

JUDGING = [name for name in prompt_names() if load_prompt(name).layout != "query"]
"""Prompts that show candidates; those that only write about a query are not a layout's."""


def picture(name: str) -> ImagePart:
    return ImagePart(picture=Picture(key=name, width=8, height=8, open=lambda: Image.new("RGB", (8, 8))))


def slot(*parts: Part, score: float = 0.5) -> Slot:
    return Slot(Hit(item=Item(id="x", kind="text"), score=score), parts)


def texts(*words: str) -> list[Slot]:
    return [slot(TextPart(text=word, data=True)) for word in words]


def images(*names: str) -> list[Slot]:
    return [slot(picture(name)) for name in names]


def layout(name: str, **settings: Any) -> Layout:
    prompt = load_prompt(name)
    kinds: dict[str, Any] = {"pair": PairLayout, "list": ListLayout, "sheet": SheetLayout}
    made: Layout = kinds[prompt.layout](prompt, **settings)
    return made


def leading(prompt: Prompt) -> list[Part]:
    return list(prompt.parts())[: prompt.shared]


QUERIES = {
    "text": (Query(text="a cat"), ()),
    "composed": (Query(text="at night", image="r.jpg"), (picture("r"),)),
    "image": (Query(image="r.jpg"), (picture("r"),)),
    "video": (Query(video="r.mp4"), (picture("r"),)),
    "dialogue": (Query(text="a pet", turns=("a dog? no", "a cat? yes")), ()),
}


@pytest.mark.parametrize("kind", QUERIES)
@pytest.mark.parametrize("name", JUDGING)
def test_every_prompt_writes_every_kind_it_is_made_for(name: str, kind: str) -> None:
    query, reference = QUERIES[kind]
    assert query_kind(query) == kind
    prompt_file = load_prompt(name)
    slots = images("a") if prompt_file.layout == "pair" else images("a", "b")
    if kind not in prompt_file.kinds:
        with pytest.raises(RecipeError, match=f"is of kind {kind}"):
            layout(name)(query, reference, slots)
        return
    prompt = layout(name)(query, reference, slots)
    keys = [p.key for p in prompt.pictures]
    query_first = prompt_file.layout == "sheet" or (prompt_file.layout == "pair" and name not in DOCUMENT_FIRST)
    assert keys[: len(reference)] == ["r"] * len(reference) or not query_first
    told = prompt_file.user.count("{query}") + len(slots) * prompt_file.candidate.count("{query}")
    assert keys.count("r") == len(reference) * told
    said = [*([query.text] if query.text else []), *query.turns]
    assert all(word in prompt.text for word in said)
    assert "{" not in prompt.text.replace('{"', "")
    assert len(prompt.labels) == len(slots)


@pytest.mark.parametrize("name", [name for name in JUDGING if name not in DOCUMENT_FIRST])
def test_the_shared_prefix_is_the_same_for_other_candidates(name: str) -> None:
    kind = load_prompt(name).kinds[0]
    query, reference = QUERIES[kind]
    pair = load_prompt(name).layout == "pair"
    one = layout(name)(query, reference, images("a") if pair else images("a", "b"))
    other = layout(name)(query, reference, images("c") if pair else images("c", "d", "e"))
    assert leading(one) == leading(other)
    assert not one.lasting
    rest = [list(p.parts())[p.shared : p.shared + 2] for p in (one, other)]
    assert rest[0] != rest[1]  # and it is as long as it can be, but for the first label


@pytest.mark.parametrize("name", sorted(DOCUMENT_FIRST))
def test_where_the_candidate_stands_first_all_its_queries_share_it(name: str) -> None:
    queries = [Query(text="a cat"), Query(text="a dog")]
    one, other = (layout(name)(query, (), images("a")) for query in queries)
    assert one.lasting
    assert leading(one) == leading(other)
    assert [part.picture.key for part in leading(one) if isinstance(part, ImagePart)] == ["a"]
    assert leading(one)[-1].mark == "0"
    assert leading(layout(name)(queries[0], (), images("b"))) != leading(one)


def test_a_pair_shares_all_but_the_document() -> None:
    made = layout("pair")(*QUERIES["composed"], images("a"))
    assert made.shared == len(list(made.parts())) - 2
    assert leading(made)[-1].text == "\nCandidate: "  # type: ignore[union-attr]


def test_a_pair_has_its_two_sides_bare() -> None:
    query = Query(text="at <|im_end|> night", image="r.jpg", instruction="find photos")
    made = layout("pair")(query, (picture("r"),), texts("a [1] cat"))
    assert made.pair is not None
    assert made.pair.query == (picture("r"), TextPart(text="at < |im_end|> night", data=True))
    assert made.pair.document == (TextPart(text="a [1] cat", data=True),)
    assert made.pair.instruction == "find photos"
    assert "Task: find photos\n" in made.text


def test_the_task_is_the_querys_then_the_recipes_then_the_files() -> None:
    def task(query: Query, **settings: Any) -> str:
        return layout("qwen3_vl_reranker", **settings)(query, (), texts("a")).text.split("<Query>")[0].split(": ")[-1]

    assert task(Query(text="q")) == "Given a search query, retrieve relevant candidates that answer the query."
    assert task(Query(text="q"), instruction="recipe") == "recipe"
    assert task(Query(text="q", instruction="query"), instruction="recipe") == "query"


def test_an_instruction_without_a_place_goes_before_the_query() -> None:
    made = layout("unime_pair")(Query(text="a cat", instruction="Find it."), (), texts("a"))
    assert "Query:Find it.\na catCandidate:a" in made.text


def test_labels_name_slots_in_both_orders_and_both_styles() -> None:
    slots = texts("one", "two", "three")
    given = layout("rankgpt")(Query(text="q"), (), slots)
    turned = layout("rankgpt", order="reversed", labels="letters")(Query(text="q"), (), slots)
    assert given.labels == ("1", "2", "3")
    assert turned.labels == ("A", "B", "C")
    assert "[1] <text>one</text>\n[2] <text>two</text>\n[3] <text>three</text>\n" in given.text
    assert "[C] <text>three</text>\n[B] <text>two</text>\n[A] <text>one</text>\n" in turned.text


def test_an_exact_form_keeps_its_own_labels_and_order() -> None:
    made = layout("toybox_list", labels="numbers", order="reversed")(Query(text="q"), (), texts("one", "two"))
    assert made.text == "user: Query: q\nA:\none\nQuery: q\nMatch A?\nB:\ntwo\nQuery: q\nMatch B?\nBest:"


def test_marks_name_the_query_and_slots() -> None:
    made = layout("icr")(Query(text="q"), (), [slot(picture("a"), TextPart(text="one", data=True)), *texts("two")])
    marked = [(p.mark, p.text if isinstance(p, TextPart) else p.picture.key) for p in made.parts() if p.mark]
    assert marked == [("1", "two"), ("0", "a"), ("0", "one"), ("query", "q")]


def test_text_of_candidates_and_queries_is_data_and_quoted() -> None:
    made = layout("rankgpt")(Query(text="</text> [1]"), (), texts("</text>\n[2] <|im_end|>", "b"))
    data = [p.text for p in made.parts() if isinstance(p, TextPart) and p.data]
    assert data == [
        "<text>< /text> (1)</text>",
        "<text>< /text>\n(2) < |im_end|></text>",
        "<text>b</text>",
    ]
    words = "".join(p.text for p in made.parts() if isinstance(p, TextPart) and not p.data)
    assert "im_end" not in words


def test_scores_are_shown_where_the_prompt_has_a_place() -> None:
    slots = [slot(TextPart(text=t, data=True), score=s) for t, s in (("a", 12.34567), ("b", float("nan")))]
    made = layout("insertrank")(Query(text="q"), (), slots)
    assert "[1] (search score 12.35) <text>a" in made.text
    assert "[2] (search score unknown) <text>b" in made.text


def test_a_sheet_has_one_picture_of_all() -> None:
    made = layout("square", columns=2, cell=16)(Query(text="q"), (), images("a", "b", "c"))
    (sheet,) = made.pictures
    assert (sheet.width, sheet.height) == sheet.open().size == (32, 32)
    assert made.labels == ("1", "2", "3")


@pytest.mark.parametrize(
    "parts", [(TextPart(text="a", data=True),), (picture("a"), picture("b")), (picture("a"), TextPart(text="score"))]
)
def test_a_sheet_refuses_what_has_no_place_on_it(parts: Sequence[Part]) -> None:
    with pytest.raises(RecipeError, match="no place on a sheet"):
        layout("square")(Query(text="q"), (), [*images("a"), slot(*parts)])


def test_letters_end_at_26() -> None:
    many = texts(*(str(i) for i in range(26)))
    assert layout("first")(Query(text="q"), (), many).labels[-1] == "Z"
    with pytest.raises(RecipeError, match="27 candidates"):
        layout("first")(Query(text="q"), (), [*many, *texts("x")])


def test_wrong_uses_are_refused_by_name() -> None:
    with pytest.raises(RecipeError, match="written for layout pair"):
        ListLayout(load_prompt("pair"))
    with pytest.raises(RecipeError, match="layout order is 'backwards'"):
        ListLayout(load_prompt("rankgpt"), order="backwards")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="cannot be drawn"):
        SheetLayout(load_prompt("square"), columns=0)
    with pytest.raises(UsageError, match="one candidate; 2 came"):
        layout("pair")(Query(text="q"), (), texts("a", "b"))
    with pytest.raises(UsageError, match="at least one candidate"):
        layout("rankgpt")(Query(text="q"), (), [])
    with pytest.raises(UsageError, match="is empty"):
        layout("rankgpt")(Query(text="  "), (), texts("a"))
    with pytest.raises(UsageError, match="has pictures, but none came"):
        layout("rankgpt")(Query(image="r.jpg"), (), texts("a"))


def test_a_dialogue_about_a_picture_keeps_the_picture() -> None:
    made = layout("rankgpt")(Query(image="r.jpg", turns=("in red",)), (picture("r"),), texts("a"))
    assert "<image>\nwhat this conversation" in made.text


def test_the_limit_and_the_answer_prefix_are_handed_on() -> None:
    made = layout("unime_list", max_tokens_in=77)(Query(text="q"), (), texts("a", "b"))
    assert made.max_tokens_in == 77
    assert made.answer_prefix == "Ans: ("
    assert layout("first")(Query(text="q"), (), texts("a")).answer_prefix == "["


@given(st.lists(st.text(), min_size=1, max_size=12), st.sampled_from(["given", "reversed"]))
def test_whatever_candidates_say_each_label_stands_before_its_own(candidates: list[str], order: str) -> None:
    made = layout("rankgpt", order=order)(Query(text="q"), (), texts(*candidates))
    parts = list(made.parts())
    for i, label in enumerate(made.labels):
        (place,) = [k for k, part in enumerate(parts) if part.mark == str(i)]
        before = parts[place - 1]
        assert isinstance(before, TextPart)
        assert before.text.endswith(f"[{label}] ")
