"""What a query's sides say."""

from __future__ import annotations

from mmrank.compose.sides import query_text, sides_of
from mmrank.types import Query


def test_a_dialogue_is_its_caption_and_the_rounds_so_far_as_one_text() -> None:
    assert (
        query_text(Query(text=" a beach ", turns=("palms? no", "", "at night? yes ")))
        == "a beach\npalms? no\nat night? yes"
    )
    assert query_text(Query(turns=("a dog?",))) == "a dog?"
    assert query_text(Query(image="a.jpg")) == ""


def test_blank_texts_are_no_side() -> None:
    assert sides_of(Query(text="  ", image="a.jpg")) == {"image"}
    assert sides_of(Query(turns=(" ", "a"), video="a.mp4")) == {"image", "text"}
