"""permutation and reasoned_permutation: what was written becomes an order, and what was mended is said."""

from __future__ import annotations

from scripted import prompt, writer

from mmrank.mllm.base import Generated
from mmrank.rerank.asks.permutation import Permutation, ReasonedPermutation
from mmrank.rerank.parts import Answer


def ask(text: object, labels: int | tuple[str, ...] = 3, prefix: str = "", **settings: object) -> Answer:
    made = Permutation(n_retries=0, **settings)  # type: ignore[arg-type]
    [answer] = made.ask(writer(text), [prompt("q", labels, prefix)], [0])
    return answer


def test_a_whole_order_is_ok() -> None:
    answer = ask("[3] > [1] > [2]")
    assert (answer.order, answer.named, answer.status, answer.error) == ((2, 0, 1), 3, "ok", None)
    assert answer.scores == ()


def test_missing_repeated_and_unknown_labels_are_mended_and_counted() -> None:
    answer = ask("[3] > [7] > [3] > [2]", 4)
    assert (answer.order, answer.named, answer.status) == ((2, 1, 0, 3), 2, "repaired")
    assert (answer.dropped, answer.appended) == (2, 2)
    assert answer.error == "2 labels dropped, 2 appended"


def test_the_answer_prefix_is_part_of_the_answer() -> None:
    assert ask("2] > [1] > [3]", prefix="[").order == (1, 0, 2)
    assert ask("C] > [A]", ("A", "B", "C"), prefix="[").order == (2, 0, 1)


def test_labels_from_sentences_are_repaired_even_when_complete() -> None:
    answer = ask("Image 2 is right. Image 3 and [1] are not.")
    assert (answer.order, answer.status) == ((1, 2, 0), "repaired")
    assert "sentences" in (answer.error or "")


def test_fewer_than_all_is_ok_when_fewer_were_asked_for() -> None:
    text = '{"top_2_indices": [3, 1]}'
    assert ask(text, 5, format="json", top=2).status == "ok"
    assert ask(text, 5, format="json", top=2).appended == 0
    assert ask(text, 5, format="json", top=3).status == "repaired"
    assert ask('{"top_3_indices": [2, 1]}', 2, format="json", top=3).status == "ok"


def test_leaving_out_is_an_answer_in_the_form_with_spaces() -> None:
    answer = ask("4 2", 5, format="spaces")
    assert (answer.order, answer.named, answer.appended, answer.status) == ((3, 1, 0, 2, 4), 2, 0, "ok")
    assert answer.asserted == (3, 1)


def test_the_word_for_none_is_an_answer_and_not_a_failure() -> None:
    answer = ask("NONE", 4, format="spaces")
    assert (answer.order, answer.named, answer.status, answer.error) == ((0, 1, 2, 3), 0, "ok", None)
    assert ask("nothing", 4, format="spaces", sentinel="nothing").status == "ok"
    assert ask("NONE", 4, format="brackets").status == "fell_back"


def test_reasoning_never_counts() -> None:
    text = "Image 1 shows a cat. Image 3 and [2] do not."
    [answer] = ReasonedPermutation(n_retries=0).ask(writer(text), [prompt("q", 3)], [0])
    assert answer.status == "fell_back"
    thought = "<think>[1] > [2] > [3]? 1, 2, 3.</think><answer>[3, 2, 1]</answer>"
    [answer] = ReasonedPermutation().ask(writer(thought), [prompt("q", 3)], [0])
    assert (answer.order, answer.status) == ((2, 1, 0), "ok")


def test_a_thought_that_never_ended_is_asked_again() -> None:
    mllm = writer(Generated(text="<think>[1, 2, 3] and", cut=True), "<answer>[2, 1, 3]</answer>")
    [answer] = ReasonedPermutation().ask(mllm, [prompt("q", 3)], [0])
    assert (answer.order, answer.retries, answer.status) == ((1, 0, 2), 1, "ok")
    assert mllm.calls[0].detail.max_tokens == 8192


def test_an_order_cut_off_keeps_what_is_whole() -> None:
    answer = ask(Generated(text="[3, 12, 1", cut=True), 12, format="list")
    assert answer.asserted == (2, 11)


def test_there_is_room_for_as_many_labels_as_a_prompt_has() -> None:
    mllm = writer(" > ".join(f"[{i}]" for i in range(100, 0, -1)))
    answers = Permutation().ask(mllm, [prompt("a", 3), prompt("b", 100)], [0, 0])
    assert mllm.calls[0].detail.max_tokens == 616
    assert answers[1].order == tuple(range(99, -1, -1))
    assert Permutation().room(10) == 256
    assert Permutation(max_tokens=64).room(100) == 64


def test_a_constrained_answer_is_asked_for_when_the_recipe_says_so() -> None:
    mllm = writer('{"top_1_indices": [1]}')
    Permutation(format="json", json=True).ask(mllm, [prompt("q", 1)], [0])
    assert mllm.calls[0].detail.json is True
